"""The gated activation: argument checks and choice of implementation."""

from __future__ import annotations

from librehps.errors import InputError
from librehps.kernels.arguments import (
    check_float,
    check_last_dimension,
    check_rows,
    check_same_device,
    check_shape,
)
from librehps.kernels.backend import choose_kernels
from librehps.kernels.swiglu.torch_swiglu import swiglu_torch
from librehps.typing import Float, Tensor

__all__ = ["swiglu"]


def swiglu(
    gate: Float[Tensor, "... F"], up: Float[Tensor, "... F"], *, impl: str = "auto"
) -> Float[Tensor, "... F"]:
    """Return ``silu(gate) * up``.

    silu computes in float32 and is rounded to the inputs' dtype before the product.

    Args:
        gate: Output of the gate projection.
        up: Output of the up projection, of the same dtype.
        impl: ``"auto"``, ``"triton"`` or ``"torch"``.

    Returns:
        A tensor like ``gate``.

    Raises:
        InputError: Shapes, dtypes, devices or strides do not fit.
        BackendError: ``impl`` is not available here.

    References:
        Shazeer, GLU Variants Improve Transformer, equation 6.
    """
    check_float(gate=gate, up=up)
    check_last_dimension("gate", gate)
    check_shape("up", up, tuple(gate.shape))
    check_same_device(gate=gate, up=up)
    check_rows(gate=gate, up=up)
    if gate.dtype != up.dtype:
        raise InputError(
            f"gate is {gate.dtype} and up is {up.dtype}; expected one dtype",
            code="argument_dtype",
            item="up",
        )
    choice = choose_kernels(impl, gate.device, op="swiglu", dtype=gate.dtype)
    if choice.name == "triton":
        from librehps.kernels.swiglu.triton_swiglu import swiglu_triton

        return swiglu_triton(gate, up)
    return swiglu_torch(gate, up)
