"""Residual addition and norm of the sum: argument checks and choice of implementation."""

from __future__ import annotations

import torch

from librehps.kernels.add_rms_norm.torch_add_rms_norm import add_rms_norm_torch
from librehps.kernels.arguments import (
    check_eps,
    check_float,
    check_last_dimension,
    check_rows,
    check_same_device,
    check_shape,
)
from librehps.kernels.backend import choose_kernels
from librehps.kernels.rows import too_wide
from librehps.typing import Float, Tensor

__all__ = ["add_rms_norm"]


def add_rms_norm(
    x: Float[Tensor, "... D"],
    residual: Float[Tensor, "... D"],
    weight: Float[Tensor, " D"],
    *,
    eps: float,
    impl: str = "auto",
) -> tuple[Float[Tensor, "... D"], Float[Tensor, "... D"]]:
    """Add ``x`` to the residual stream, and normalise the sum for what reads it next.

    ``s = x + residual`` and ``y = s / sqrt(mean(s²) + eps) * (1 + weight)``. The sum is rounded to
    its dtype before it is normalised, so that both are what an addition and
    `librehps.kernels.rms_norm` give one after the other.

    Args:
        x: What a layer adds.
        residual: What it adds it to; the shape of ``x``. Where the two have different dtypes, as
            under autocast, the sum has the wider one.
        weight: Offset of the scale from one.
        eps: Added to the mean of squares.
        impl: ``"auto"``, ``"triton"`` or ``"torch"``.

    Returns:
        The normalised sum and the sum, both of the dtype of the sum.

    Raises:
        InputError: Shapes, dtypes, devices or strides do not fit.
        ConfigError: ``eps`` is negative or not finite (code ``eps``).
        BackendError: ``impl`` is not available here.
    """
    check_float(x=x, residual=residual, weight=weight)
    check_last_dimension("x", x)
    check_shape("residual", residual, tuple(x.shape))
    check_shape("weight", weight, (x.shape[-1],))
    check_same_device(x=x, residual=residual, weight=weight)
    check_rows(x=x, residual=residual, weight=weight)
    check_eps(eps)
    reason = too_wide(x.shape[-1])
    dtype = torch.promote_types(x.dtype, residual.dtype)
    choice = choose_kernels(impl, x.device, op="add_rms_norm", dtype=dtype, unfit=reason)
    if choice.name == "triton":
        from librehps.kernels.add_rms_norm.triton_add_rms_norm import add_rms_norm_triton

        return add_rms_norm_triton(x, residual, weight, eps=eps)
    return add_rms_norm_torch(x, residual, weight, eps=eps)
