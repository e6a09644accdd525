"""Gated DeltaNet: a linear-time mixer that keeps its memory in one matrix per head."""

from __future__ import annotations

from math import log
from typing import ClassVar

import torch
from torch import nn

from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.modeling.config import Qwen3_5TextConfig
from librehps.modeling.mixer import MIXERS, Rotary
from librehps.modeling.state import GatedDeltaNetState, check_state
from librehps.typing import Float, Int, Tensor


class GatedRMSNorm(nn.Module):
    """``x / sqrt(mean(x²) + eps) · weight · silu(gate)``; one weight serves all heads.

    Args:
        dim: Width of a head.
        eps: Added to the mean square.
        kernel_impl: Implementation of the op.
    """

    def __init__(self, dim: int, *, eps: float, kernel_impl: str) -> None:
        super().__init__()
        self.eps = eps
        self.kernel_impl = kernel_impl
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(
        self, x: Float[Tensor, "T HV V"], gate: Float[Tensor, "T HV V"]
    ) -> Float[Tensor, "T HV V"]:
        """Normalise each head and gate it; computes in float32, returns ``x.dtype``."""
        return gated_rms_norm(x, gate, self.weight, eps=self.eps, impl=self.kernel_impl)


class GatedDeltaNet(nn.Module):
    """A gated delta rule between a short convolution and a gated norm.

    ::

        [q | k | v] = silu(conv(in_proj_qkv(x)))
        beta = sigmoid(in_proj_b(x))                                 how much is written
        g    = -exp(A_log) · softplus(in_proj_a(x) + dt_bias)        log of how much is kept
        S_t  = e^g_t S_{t-1} + k_t (beta_t (v_t - (e^g_t S_{t-1})ᵀ k_t))ᵀ
        y    = out_proj(norm(S_tᵀ q_t) · silu(in_proj_z(x)))

    It knows no positions: the order of the tokens is in the recurrence and the convolution.

    Args:
        config: Shape of the text model.
        layer_index: Place of the layer; not needed here.
        attn_impl: Implementation of attention; not needed here.
        kernel_impl: Implementation of the ops.

    References:
        Yang, Kautz and Hatamizadeh, "Gated Delta Networks: Improving Mamba2 with Delta Rule",
        arXiv 2412.06464, equation 10.
    """

    module_name: ClassVar[str] = "linear_attn"

    def __init__(
        self, config: Qwen3_5TextConfig, *, layer_index: int, attn_impl: str, kernel_impl: str
    ) -> None:
        super().__init__()
        self.kernel_impl = kernel_impl
        self.head_k_dim = config.linear_key_head_dim
        self.head_v_dim = config.linear_value_head_dim
        self.key_dim = config.linear_num_key_heads * self.head_k_dim
        self.value_dim = config.linear_num_value_heads * self.head_v_dim
        conv_dim = 2 * self.key_dim + self.value_dim
        heads, taps = config.linear_num_value_heads, config.linear_conv_kernel_dim

        self.in_proj_qkv = nn.Linear(config.hidden_size, conv_dim, bias=False)
        self.in_proj_z = nn.Linear(config.hidden_size, self.value_dim, bias=False)
        self.in_proj_b = nn.Linear(config.hidden_size, heads, bias=False)
        self.in_proj_a = nn.Linear(config.hidden_size, heads, bias=False)
        # Only holds the weight under the checkpoint's name; the op does the work.
        self.conv1d = nn.Conv1d(conv_dim, conv_dim, taps, groups=conv_dim, bias=False)
        self.A_log = nn.Parameter(torch.empty(heads))
        self.dt_bias = nn.Parameter(torch.empty(heads))
        self.norm = GatedRMSNorm(self.head_v_dim, eps=config.rms_norm_eps, kernel_impl=kernel_impl)
        self.out_proj = nn.Linear(self.value_dim, config.hidden_size, bias=False)
        self.reset_decay()

    @staticmethod
    def num_params(config: Qwen3_5TextConfig) -> int:
        """Count the parameters: five projections, the convolution, the decay and the norm."""
        heads = config.linear_num_value_heads
        key_dim = config.linear_num_key_heads * config.linear_key_head_dim
        value_dim = heads * config.linear_value_head_dim
        conv_dim = 2 * key_dim + value_dim
        projections = (conv_dim + 2 * value_dim + 2 * heads) * config.hidden_size
        conv = conv_dim * config.linear_conv_kernel_dim
        return projections + conv + 2 * heads + config.linear_value_head_dim

    @torch.no_grad()
    def reset_decay(self, generator: torch.Generator | None = None) -> None:
        """Draw the decay so that the heads' memories last from a token to hundreds of them.

        The rate ``A`` is uniform in [1, 16] and the step ``softplus(dt_bias)`` log-uniform in
        [0.001, 0.1]: without input, a head keeps ``exp(-A · step)`` of its memory per token.
        """
        self.A_log.uniform_(1.0, 16.0, generator=generator).log_()
        step = torch.empty_like(self.dt_bias, dtype=torch.float32)
        step.uniform_(log(0.001), log(0.1), generator=generator).exp_()
        self.dt_bias.copy_(step.expm1_().log_())  # the inverse of softplus

    def forward(
        self,
        x: Float[Tensor, "T D"],
        *,
        rotary: Rotary,
        cu_seqlens: Int[Tensor, " N_plus_1"],
        state: GatedDeltaNetState | None = None,
        return_state: bool = False,
    ) -> tuple[Float[Tensor, "T D"], GatedDeltaNetState | None]:
        """Mix the tokens of each sequence; see ``TokenMixer``."""
        if state is not None:
            check_state(state, GatedDeltaNetState)
        mixed, conv = causal_conv1d(
            self.in_proj_qkv(x),
            self.conv1d.weight.squeeze(1),
            cu_seqlens=cu_seqlens,
            initial_state=None if state is None else state.conv,
            activation="silu",
            impl=self.kernel_impl,
        )
        query, key, value = mixed.split((self.key_dim, self.key_dim, self.value_dim), dim=-1)
        y, recurrent = gated_delta_rule(
            query.unflatten(-1, (-1, self.head_k_dim)),
            key.unflatten(-1, (-1, self.head_k_dim)),
            value.unflatten(-1, (-1, self.head_v_dim)),
            self.in_proj_a(x),
            self.in_proj_b(x),
            cu_seqlens=cu_seqlens,
            initial_state=None if state is None else state.recurrent,
            A_log=self.A_log,
            dt_bias=self.dt_bias,
            impl=self.kernel_impl,
        )
        gate = self.in_proj_z(x).unflatten(-1, (-1, self.head_v_dim))
        y = self.out_proj(self.norm(y, gate).flatten(1))
        return y, GatedDeltaNetState(recurrent=recurrent, conv=conv) if return_state else None


MIXERS.register("linear_attention")(GatedDeltaNet)
