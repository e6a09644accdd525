"""The attention-pooling head: learned queries choose which tokens a score looks at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from librehps.errors import ConfigError
from librehps.heads.multi_axis import MultiAxisHead
from librehps.heads.pooling import reduce_segments
from librehps.heads.protocol import HEADS, HeadOutput, read_settings
from librehps.heads.sequences import Sequences
from librehps.kernels.first_derivative import first_derivative_only
from librehps.typing import Float, Int, Tensor

__all__ = ["AttentionPoolingHead", "attention_pool"]

# Each is a column of scores for all tokens, and a vector for each sequence.
_MAX_QUERIES = 2**12


class AttentionPoolingHead(nn.Module):
    """Average all tokens of a sequence with learned weights, then score it as `MultiAxisHead` does.

    With queries ``w_q`` and the hidden states ``h_t`` of one sequence,

        a_qt = softmax over t of (w_q . h_t / sqrt(D)),    p_q = sum over t of a_qt h_t,

    and the vectors ``p_q`` of all queries, side by side, go through a linear layer or an MLP to a
    mean and a sigma per axis. Computes in float32 (float64 where its parameters are). A fresh head
    weighs all tokens almost alike.

    Args:
        hidden_size: Width of the hidden states.
        axes: Names from ``AXES``, one column each.
        queries: How many there are; None for one per axis.
        hidden_sizes: Widths of MLP layers after pooling; none for a linear readout.
        activation: What stands between the layers of an MLP.
        bias: Whether the layers have a bias.
        sigma: Whether there are sigma outputs.

    Raises:
        ConfigError: Fewer than one query or more than 4096 (code ``head_value``), or as
            `MultiAxisHead`.

    References:
        Ilse, Tomczak and Welling, "Attention-based deep multiple instance learning", 2018,
        equations 7 and 8, with the dot product of Vaswani et al., "Attention is all you need",
        2017, equation 1, as the score; Lee et al., "Set Transformer", 2019, section 3.2, for
        several queries side by side.
    """

    #: All tokens of each sequence are read.
    last_tokens: int | None = None

    def __init__(
        self,
        *,
        hidden_size: int,
        axes: Sequence[str] = ("overall", "alignment", "coherence", "style"),
        queries: int | None = None,
        hidden_sizes: Sequence[int] = (),
        activation: str = "silu",
        bias: bool = True,
        sigma: bool = True,
    ) -> None:
        super().__init__()
        count = len(axes) if queries is None else queries
        if queries is not None and not 1 <= queries <= _MAX_QUERIES:
            raise ConfigError(
                f"attention pooling needs at least one query and takes at most {_MAX_QUERIES}, not "
                f"{queries}",
                code="head_value",
            )
        self.readout = MultiAxisHead(
            hidden_size=count * hidden_size,
            axes=axes,
            hidden_sizes=hidden_sizes,
            activation=activation,
            bias=bias,
            sigma=sigma,
        )
        self.axes = self.readout.axes
        self.queries = nn.Parameter(torch.empty(count, hidden_size, dtype=torch.float32))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh weights; queries are normal, of standard deviation ``1 / sqrt(D)``."""
        nn.init.normal_(self.queries, std=self.queries.shape[1] ** -0.5, generator=generator)
        self.readout.reset_parameters(generator)

    def forward(self, sequences: Sequences) -> HeadOutput:
        """Return mean and sigma per axis, float32, in log-odds."""
        hidden = sequences.hidden
        dtype = torch.promote_types(self.queries.dtype, torch.float32)
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            wide = hidden.to(dtype)
            scores = F.linear(wide, self.queries.to(dtype)) / math.sqrt(hidden.shape[-1])
            pooled = attention_pool(scores, wide, cu_seqlens=sequences.cu_seqlens)
        return self.readout(pooled.flatten(1))

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON data."""
        settings = self.readout.to_config()
        return {**settings, "kind": "attention_pooling", "queries": self.queries.shape[0]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, hidden_size: int) -> AttentionPoolingHead:
        """Build an untrained head from `to_config` data; missing keys take the defaults."""
        known = {
            "axes": "names",
            "queries": "count",
            "hidden_sizes": "widths",
            "activation": "name",
            "bias": "flag",
            "sigma": "flag",
        }
        settings = read_settings(config, kind="attention_pooling", known=known)
        return cls(hidden_size=hidden_size, **settings)


def attention_pool(
    scores: Float[Tensor, "T Q"],
    values: Float[Tensor, "T D"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
) -> Float[Tensor, "N Q D"]:
    """Return the mean of each sequence's values under the softmax of its scores, per query.

    Every sequence is reduced by itself: a neighbour's scores and values never enter, not even as
    rounding. Memory grows with the number of tokens, not with the longest sequence.

    Args:
        scores: Logits of the weights, for each token and query.
        values: What is averaged, in the dtype of the scores.
        cu_seqlens: Sequence ``n`` is the rows from ``cu_seqlens[n]`` up to ``cu_seqlens[n + 1]``.
    """
    lengths = cu_seqlens.to(torch.int64).diff()
    num_tokens, num_sequences = scores.shape[0], lengths.shape[0]
    owner = torch.repeat_interleave(
        torch.arange(num_sequences, device=scores.device), lengths, output_size=num_tokens
    )
    # The largest weight is exp(0): nothing overflows, and the sum is never below 1. A shift of all
    # scores changes no softmax, so none of its gradient is lost here.
    highest = reduce_segments(scores.detach(), "max", lengths=lengths)
    weights = (scores - highest.index_select(0, owner)).exp()
    total = reduce_segments(weights, "sum", lengths=lengths)
    return _WeightedSums.apply(weights, values, lengths, owner) / total.unsqueeze(-1)


class _WeightedSums(torch.autograd.Function):
    """``out[n, q] = sum over the tokens t of sequence n of weights[t, q] * values[t]``.

    Goes query by query in both directions: autograd would keep a product ``[T, D]`` for each.
    """

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, values: Tensor, lengths: Tensor, owner: Tensor
    ) -> Tensor:
        ctx.save_for_backward(weights, values, owner)
        columns = weights.split(1, dim=1)
        sums = [reduce_segments(column * values, "sum", lengths=lengths) for column in columns]
        return torch.stack(sums, dim=1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    weights, values, owner = ctx.saved_tensors
    to_values = torch.zeros_like(values) if ctx.needs_input_grad[1] else None
    to_weights: list[Tensor] = []
    for column, of_query in zip(weights.split(1, dim=1), grad.unbind(1), strict=True):
        spread = of_query.index_select(0, owner)
        to_weights.append((spread * values).sum(-1))
        if to_values is not None:
            to_values.addcmul_(spread, column)
    return torch.stack(to_weights, dim=1), to_values, None, None


HEADS.register("attention_pooling")(AttentionPoolingHead)
