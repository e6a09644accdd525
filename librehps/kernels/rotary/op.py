"""Partial rotary embedding: argument checks and choice of implementation."""

from __future__ import annotations

from librehps.errors import InputError
from librehps.kernels.arguments import check_float, check_rows, check_same_device, check_shape
from librehps.kernels.backend import choose_kernels
from librehps.kernels.rotary.torch_rotary import rotary_torch
from librehps.typing import Float, Tensor

__all__ = ["rotary"]


def rotary(
    x: Float[Tensor, "T H K"],
    cos: Float[Tensor, "T R"],
    sin: Float[Tensor, "T R"],
    *,
    impl: str = "auto",
) -> Float[Tensor, "T H K"]:
    """Turn the first ``R`` dimensions of every head by their angles; the others pass through.

    Dimension ``j < R/2`` is paired with ``j + R/2`` (half split, not interleaved); ``cos`` and
    ``sin`` hold the angles of both halves. Computes in the promoted dtype of ``x`` and ``cos``:
    hand over bfloat16 angles to compute in bfloat16 (the text layers), float32 ones to compute in
    float32 (the vision tower). The result has ``x.dtype``.

    Args:
        x: Queries or keys.
        cos: Cosines per token; ``R`` is even and at most ``K``.
        sin: Sines, like ``cos``.
        impl: ``"auto"``, ``"triton"`` or ``"torch"``.

    Returns:
        A tensor like ``x``.

    Raises:
        InputError: Shapes, dtypes, devices or strides do not fit.
        BackendError: ``impl`` is not available here.

    References:
        Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, equation 34.
    """
    check_float(x=x, cos=cos, sin=sin)
    check_shape("x", x, (None, None, None))
    check_shape("cos", cos, (x.shape[0], None))
    check_shape("sin", sin, tuple(cos.shape))
    check_same_device(x=x, cos=cos, sin=sin)
    check_rows(x=x, cos=cos, sin=sin)
    width = cos.shape[-1]
    if width % 2 or width > x.shape[-1]:
        raise InputError(
            f"cos covers {width} dimensions; expected an even number of at most {x.shape[-1]}",
            code="argument_shape",
            item="cos",
        )
    choice = choose_kernels(impl, x.device, op="rotary", dtype=x.dtype)
    if choice.name == "triton":
        from librehps.kernels.rotary.triton_rotary import rotary_triton

        return rotary_triton(x, cos, sin)
    return rotary_torch(x, cos, sin)
