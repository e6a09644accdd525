"""Gated RMS norm: argument checks and choice of implementation."""

from __future__ import annotations

from librehps.kernels.arguments import (
    check_eps,
    check_float,
    check_last_dimension,
    check_rows,
    check_same_device,
    check_shape,
)
from librehps.kernels.backend import choose_kernels
from librehps.kernels.gated_rms_norm.torch_gated_rms_norm import gated_rms_norm_torch
from librehps.kernels.rows import too_wide
from librehps.typing import Float, Tensor

__all__ = ["gated_rms_norm"]


def gated_rms_norm(
    x: Float[Tensor, "... V"],
    gate: Float[Tensor, "... V"],
    weight: Float[Tensor, " V"],
    *,
    eps: float,
    impl: str = "auto",
) -> Float[Tensor, "... V"]:
    """Normalise the last dimension, scale it by ``weight``, then gate it.

    ``y = weight * (x / sqrt(mean(x²) + eps)) * silu(gate)``: the norm comes before the gate and the
    weight is plain, not an offset from one. The norm computes in float32 and is rounded to
    ``x.dtype`` before the weight, the gate computes in float32, and the product is rounded to
    ``x.dtype``: the order of casts that the published checkpoints were trained with.
    float64 stays float64.

    Args:
        x: Output of the token mixer, per head.
        gate: Gate before silu.
        weight: Scale.
        eps: Added to the mean of squares.
        impl: ``"auto"``, ``"triton"`` or ``"torch"``.

    Returns:
        A tensor like ``x``.

    Raises:
        InputError: Shapes, dtypes, devices or strides do not fit.
        ConfigError: ``eps`` is negative or not finite (code ``eps``).
        BackendError: ``impl`` is not available here.
    """
    check_float(x=x, gate=gate, weight=weight)
    check_last_dimension("x", x)
    check_shape("gate", gate, tuple(x.shape))
    check_shape("weight", weight, (x.shape[-1],))
    check_same_device(x=x, gate=gate, weight=weight)
    check_rows(x=x, gate=gate, weight=weight)
    check_eps(eps)
    reason = too_wide(x.shape[-1])
    choice = choose_kernels(impl, x.device, op="gated_rms_norm", dtype=x.dtype, unfit=reason)
    if choice.name == "triton":
        from librehps.kernels.gated_rms_norm.triton_gated_rms_norm import gated_rms_norm_triton

        return gated_rms_norm_triton(x, gate, weight, eps=eps)
    return gated_rms_norm_torch(x, gate, weight, eps=eps)
