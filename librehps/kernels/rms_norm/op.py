"""Zero-centred RMS norm: argument checks and choice of implementation."""

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
from librehps.kernels.rms_norm.torch_rms_norm import rms_norm_torch
from librehps.kernels.rows import too_wide
from librehps.typing import Float, Tensor

__all__ = ["rms_norm"]


def rms_norm(
    x: Float[Tensor, "... D"], weight: Float[Tensor, " D"], *, eps: float, impl: str = "auto"
) -> Float[Tensor, "... D"]:
    """Normalise the last dimension to unit root mean square and scale it by ``1 + weight``.

    ``y = x / sqrt(mean(x²) + eps) * (1 + weight)``. Computes in float32 (float64 if an argument is
    float64) and casts back to ``x.dtype`` once, at the end.

    The gradient of ``x`` is exact relative to ``grad (1 + weight) / sqrt(mean(x²) + eps)``. Where
    that lies along ``x``, as in rows of one element, little more than rounding is left of it.

    Args:
        x: Hidden states.
        weight: Offset of the scale from one.
        eps: Added to the mean of squares.
        impl: ``"auto"``, ``"triton"`` or ``"torch"``.

    Returns:
        A tensor like ``x``.

    Raises:
        InputError: Shapes, dtypes, devices or strides do not fit.
        ConfigError: ``eps`` is negative or not finite (code ``eps``).
        BackendError: ``impl`` is not available here.
    """
    check_float(x=x, weight=weight)
    check_last_dimension("x", x)
    check_shape("weight", weight, (x.shape[-1],))
    check_same_device(x=x, weight=weight)
    check_rows(x=x, weight=weight)
    check_eps(eps)
    reason = too_wide(x.shape[-1])
    choice = choose_kernels(impl, x.device, op="rms_norm", dtype=x.dtype, unfit=reason)
    if choice.name == "triton":
        from librehps.kernels.rms_norm.triton_rms_norm import rms_norm_triton

        return rms_norm_triton(x, weight, eps=eps)
    return rms_norm_torch(x, weight, eps=eps)
