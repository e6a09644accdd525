"""Mamba-2: a linear-time mixer whose memory fades by as much as each token writes."""

from __future__ import annotations

from math import log
from typing import ClassVar, cast

import torch
from torch import nn
from torch.nn import functional as F

from librehps.errors import ConfigError
from librehps.kernels.arguments import compute_dtype
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.selective_scan import selective_scan
from librehps.modeling.config import Qwen3_5TextConfig
from librehps.modeling.mamba2_config import Mamba2Config
from librehps.modeling.mixer import MIXERS, Rotary
from librehps.modeling.state import Mamba2State, check_state
from librehps.typing import Float, Int, Tensor


class GroupedRMSNorm(nn.Module):
    """``x / sqrt(mean(x²) + eps) · weight``, the mean taken within each group of channels.

    Args:
        dim: Channels of all groups.
        groups: Number of groups.
        eps: Added to the mean square.
    """

    def __init__(self, dim: int, *, groups: int, eps: float) -> None:
        super().__init__()
        self.groups = groups
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
        """Normalise; computes in float32 (float64 stays), returns ``x.dtype``."""
        dtype = compute_dtype(x, self.weight)
        wide = x.to(dtype).unflatten(-1, (self.groups, -1))
        unit = F.rms_norm(wide, wide.shape[-1:], eps=self.eps).flatten(-2)
        return (unit * self.weight.to(dtype)).to(x.dtype)


class Mamba2Mixer(nn.Module):
    """A selective scan between a short convolution and a gated norm.

    ::

        [z | xBC | dt] = in_proj(x)
        [x | B | C] = silu(conv(xBC))
        d   = clamp(softplus(dt + dt_bias), *time_step_limit)    how much is written and forgotten
        S_t = exp(-exp(A_log) d_t) S_{t-1} + B_t (d_t x_t)ᵀ
        y   = out_proj(norm((S_tᵀ C_t + D x_t) · silu(z)))

    The gate comes before the norm, and the norm works within each group of heads. It knows no
    positions: the order of the tokens is in the recurrence and the convolution.

    Args:
        config: Shape of the text model, with a ``mamba2`` part.
        layer_index: Place of the layer; not needed here.
        attn_impl: Implementation of attention; not needed here.
        kernel_impl: Implementation of the ops.

    Raises:
        ConfigError: The config has no ``mamba2`` part (code ``config_missing``).

    References:
        Dao and Gu, "Transformers are SSMs: Generalized Models and Efficient Algorithms Through
        Structured State Space Duality", arXiv 2405.21060, sections 6 and 7.1.
    """

    module_name: ClassVar[str] = "mamba2"

    def __init__(
        self, config: Qwen3_5TextConfig, *, layer_index: int, attn_impl: str, kernel_impl: str
    ) -> None:
        super().__init__()
        shape = _shape(config)
        self.kernel_impl = kernel_impl
        self.head_dim = shape.head_dim
        self.state_size = shape.state_size
        self.time_step_limit = shape.time_step_limit
        self.fresh_steps = (shape.time_step_min, shape.time_step_max, shape.time_step_floor)
        width, heads, channels = shape.intermediate_size, shape.num_heads, shape.conv_dim
        address = shape.n_groups * shape.state_size
        self.in_sizes = (width, channels, heads)
        self.conv_sizes = (width, address, address)

        self.in_proj = nn.Linear(config.hidden_size, sum(self.in_sizes), bias=shape.use_bias)
        # Only holds the parameters under the usual names; the op does the work.
        self.conv1d = nn.Conv1d(
            channels, channels, shape.conv_kernel, groups=channels, bias=shape.use_conv_bias
        )
        self.A_log = nn.Parameter(torch.empty(heads))
        self.dt_bias = nn.Parameter(torch.empty(heads))
        self.D = nn.Parameter(torch.empty(heads))
        self.norm = GroupedRMSNorm(width, groups=shape.n_groups, eps=shape.layer_norm_epsilon)
        self.out_proj = nn.Linear(width, config.hidden_size, bias=shape.use_bias)
        self.reset_decay()

    @staticmethod
    def num_params(config: Qwen3_5TextConfig) -> int:
        """Count the parameters: two projections, the convolution, the scan and the norm."""
        shape = _shape(config)
        width, channels = shape.intermediate_size, shape.conv_dim
        rows = width + channels + shape.num_heads
        projections = (rows + width) * config.hidden_size
        biases = shape.use_bias * (rows + config.hidden_size) + shape.use_conv_bias * channels
        return projections + biases + channels * shape.conv_kernel + 3 * shape.num_heads + width

    @torch.no_grad()
    def reset_decay(self, generator: torch.Generator | None = None) -> None:
        """Draw the decay so that the heads' memories last from a token to hundreds of them.

        The rate ``A`` is uniform in [1, 16] and the step ``softplus(dt_bias)`` log-uniform between
        ``time_step_min`` and ``time_step_max``, but no less than ``time_step_floor``; all of
        ``x`` passes by.
        """
        least, most, floor = self.fresh_steps
        self.A_log.uniform_(1.0, 16.0, generator=generator).log_()
        step = torch.empty_like(self.dt_bias, dtype=torch.float32)
        step.uniform_(log(least), log(most), generator=generator).exp_().clamp_(min=floor)
        self.dt_bias.copy_(step.expm1_().log_())  # the inverse of softplus
        self.D.fill_(1.0)

    def forward(
        self,
        x: Float[Tensor, "T D"],
        *,
        rotary: Rotary,
        cu_seqlens: Int[Tensor, " N_plus_1"],
        state: Mamba2State | None = None,
        return_state: bool = False,
    ) -> tuple[Float[Tensor, "T D"], Mamba2State | None]:
        """Mix the tokens of each sequence; see ``TokenMixer``."""
        if state is not None:
            check_state(state, Mamba2State)
        gate, mixed, step = self.in_proj(x).split(self.in_sizes, dim=-1)
        mixed, conv = causal_conv1d(
            mixed,
            self.conv1d.weight.squeeze(1),
            cu_seqlens=cu_seqlens,
            bias=cast("nn.Parameter | None", self.conv1d.bias),
            initial_state=None if state is None else state.conv,
            activation="silu",
            impl=self.kernel_impl,
        )
        value, write, read = mixed.split(self.conv_sizes, dim=-1)
        rate = self.A_log.to(compute_dtype(x, self.A_log)).exp()
        y, recurrent = selective_scan(
            value.unflatten(-1, (-1, self.head_dim)),
            step,
            -rate,
            write.unflatten(-1, (-1, self.state_size)),
            read.unflatten(-1, (-1, self.state_size)),
            cu_seqlens=cu_seqlens,
            D=self.D,
            z=gate.unflatten(-1, (-1, self.head_dim)),
            dt_bias=self.dt_bias,
            dt_softplus=True,
            dt_limit=self.time_step_limit,
            initial_state=None if state is None else state.recurrent,
            impl=self.kernel_impl,
        )
        y = self.out_proj(self.norm(y.flatten(1)))
        return y, Mamba2State(recurrent=recurrent, conv=conv) if return_state else None


def _shape(config: Qwen3_5TextConfig) -> Mamba2Config:
    if config.mamba2 is None:
        raise ConfigError(
            "a Mamba-2 layer has its settings here, and there are none",
            code="config_missing",
            item="text_config.mamba2",
        )
    return config.mamba2


MIXERS.register("mamba2")(Mamba2Mixer)
