"""A call of every op that has triton kernels, forward and backward, with tensors without memory."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any

import torch
from torch import Tensor

from librehps.kernels.add_rms_norm.triton_add_rms_norm import add_rms_norm_triton
from librehps.kernels.causal_conv1d.triton_causal_conv1d import causal_conv1d_triton
from librehps.kernels.gated_delta_rule.triton_gated_delta_rule import gated_delta_rule_triton
from librehps.kernels.gated_rms_norm.triton_gated_rms_norm import gated_rms_norm_triton
from librehps.kernels.rms_norm.triton_rms_norm import rms_norm_triton
from librehps.kernels.rotary.triton_rotary import rotary_triton
from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton
from librehps.kernels.swiglu.triton_swiglu import swiglu_triton
from librehps.modeling.presets import PRESETS

__all__ = ["kernel_calls"]

TOKENS = 8192
SEQUENCES = 8


def differentiate(function: Callable[..., Any], *tensors: Tensor, **options: Any) -> None:
    """Call a function forward and backward."""
    leaves = [tensor.requires_grad_() for tensor in tensors]
    made = function(*leaves, **options)
    results = made if isinstance(made, tuple) else (made,)
    torch.autograd.grad(results, leaves, [torch.empty_like(y) for y in results])


def kernel_calls(preset: str, dtype: torch.dtype) -> dict[str, Callable[[], None]]:
    """Return a call of every op at the widths of a preset; tensors without memory."""
    text, vision = PRESETS[preset].text, PRESETS[preset].vision

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    def norm(*shape: int) -> None:
        differentiate(rms_norm_triton, empty(*shape), empty(shape[-1]), eps=text.rms_norm_eps)

    def norm_of_sum() -> None:
        x, residual = (empty(TOKENS, text.hidden_size) for _ in range(2))
        weight = empty(text.hidden_size)
        differentiate(add_rms_norm_triton, x, residual, weight, eps=text.rms_norm_eps)

    def gated() -> None:
        shape = (TOKENS, text.linear_num_value_heads, text.linear_value_head_dim)
        weight = empty(shape[-1])
        eps = text.rms_norm_eps
        differentiate(gated_rms_norm_triton, empty(*shape), empty(*shape), weight, eps=eps)

    def convolution(*, with_state: bool = False, activation: str | None = "silu") -> None:
        width = 2 * text.linear_num_key_heads * text.linear_key_head_dim
        width += text.linear_num_value_heads * text.linear_value_head_dim
        taps = text.linear_conv_kernel_dim
        bounds = torch.empty(SEQUENCES + 1, dtype=torch.int32, device="meta")
        given = {"x": empty(TOKENS, width), "weight": empty(width, taps)}
        if with_state:
            state = empty(SEQUENCES, width, taps - 1)
            given |= {"bias": empty(width), "initial_state": state}

        def convolve(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            named = dict(zip(given, tensors, strict=True))
            return causal_conv1d_triton(**named, cu_seqlens=bounds, activation=activation)

        differentiate(convolve, *given.values())

    def delta_rule(
        *, with_gradient: bool = False, with_state: bool = False, with_gates: bool = True
    ) -> None:
        keys = (TOKENS, text.linear_num_key_heads, text.linear_key_head_dim)
        heads, depth = text.linear_num_value_heads, text.linear_value_head_dim
        bounds = torch.empty(SEQUENCES + 1, dtype=torch.int32, device="meta")
        given = {"q": empty(*keys), "k": empty(*keys), "v": empty(TOKENS, heads, depth)}
        if with_gates:
            given |= {"g": empty(TOKENS, heads), "A_log": empty(heads), "dt_bias": empty(heads)}
        else:
            given["g"] = torch.empty(TOKENS, heads, device="meta")
        given["beta"] = empty(TOKENS, heads)
        if with_state or with_gradient:
            state = torch.empty(SEQUENCES, heads, keys[2], depth, device="meta")
            given["initial_state"] = state

        def remember(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            named = dict(zip(given, tensors, strict=True))
            return gated_delta_rule_triton(**named, cu_seqlens=bounds)

        if with_gradient:
            differentiate(remember, *given.values())
        else:
            remember(*given.values())

    def scan(groups: int) -> None:
        # A Mamba-2 layer of this width: what its paper and its published sizes have.
        heads = 2 * text.hidden_size // 64
        shared = (TOKENS, gcd(groups, heads), 128)
        bounds = torch.empty(SEQUENCES + 1, dtype=torch.int32, device="meta")
        rates, bias, bypass = (torch.empty(heads, device="meta") for _ in range(3))
        given = {"x": empty(TOKENS, heads, 64), "dt": empty(TOKENS, heads), "A": rates}
        given |= {"B": empty(*shared), "C": empty(*shared), "D": bypass}
        given |= {"z": empty(TOKENS, heads, 64), "dt_bias": bias}
        given["initial_state"] = torch.empty(SEQUENCES, heads, 128, 64, device="meta")

        def remember(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            named = dict(zip(given, tensors, strict=True))
            return selective_scan_triton(**named, cu_seqlens=bounds, dt_softplus=True)

        differentiate(remember, *given.values())

    def activation() -> None:
        shape = (TOKENS, text.intermediate_size)
        differentiate(swiglu_triton, empty(*shape), empty(*shape))

    def turn(heads: int, width: int, turned: int, *, angles: torch.dtype) -> None:
        cos, sin = (torch.empty(TOKENS, turned, dtype=angles, device="meta") for _ in range(2))

        def rotate(x: Tensor) -> Tensor:
            return rotary_triton(x, cos, sin)

        differentiate(rotate, empty(TOKENS, heads, width))

    text_head = (text.num_attention_heads, text.head_dim, text.rotary_dim)
    vision_head = (vision.num_heads, vision.head_dim, vision.head_dim)
    return {
        "rms_norm of the width": lambda: norm(TOKENS, text.hidden_size),
        "rms_norm of a head": lambda: norm(TOKENS, text.num_attention_heads, text.head_dim),
        "add_rms_norm": norm_of_sum,
        "gated_rms_norm": gated,
        "causal_conv1d": convolution,
        "causal_conv1d without activation": lambda: convolution(activation=None),
        "causal_conv1d with bias and state": lambda: convolution(with_state=True),
        "gated_delta_rule": delta_rule,
        "gated_delta_rule with a state": lambda: delta_rule(with_state=True),
        "gated_delta_rule with gradients": lambda: delta_rule(with_gradient=True),
        "gated_delta_rule without gates": lambda: delta_rule(with_gradient=True, with_gates=False),
        "selective_scan": lambda: scan(1),
        "selective_scan in groups": lambda: scan(8),
        "swiglu": activation,
        "rotary of queries": lambda: turn(*text_head, angles=dtype),
        "rotary of keys": lambda: turn(text.num_key_value_heads, *text_head[1:], angles=dtype),
        "rotary of the vision tower": lambda: turn(*vision_head, angles=torch.float32),
    }
