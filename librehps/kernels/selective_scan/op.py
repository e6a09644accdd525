"""The selective scan: argument checks and choice of implementation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import inf
from typing import Any, cast

from librehps.errors import ConfigError, InputError
from librehps.kernels.arguments import (
    check_boundaries,
    check_float,
    check_last_dimension,
    check_rows,
    check_same_device,
    check_shape,
)
from librehps.kernels.backend import choose_kernels
from librehps.kernels.selective_scan.limits import unfit
from librehps.kernels.selective_scan.torch_chunked import selective_scan_torch
from librehps.typing import Float, Int, Tensor

__all__ = ["check_arguments", "selective_scan"]


def selective_scan(
    x: Float[Tensor, "T HV V"],
    dt: Float[Tensor, "T HV"],
    A: Float[Tensor, " HV"],
    B: Float[Tensor, "T G K"],
    C: Float[Tensor, "T G K"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    D: Float[Tensor, " HV"] | None = None,
    z: Float[Tensor, "T HV V"] | None = None,
    dt_bias: Float[Tensor, " HV"] | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, inf),
    initial_state: Float[Tensor, "N HV K V"] | None = None,
    chunk_size: int = 64,
    impl: str = "auto",
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Write to and read from a decaying memory, token by token, with a step per token and head.

    Per head, with the state ``S`` of shape [K, V]::

        d_t  = clamp(softplus(dt_t + dt_bias), *dt_limit)
        S   <- exp(d_t A) S + B_t (d_t x_t)ᵀ
        y_t  = (Sᵀ C_t + D x_t) * silu(z_t)

    Head ``j`` uses group ``j // (HV / G)`` of ``B`` and ``C``. Everything inside is float32, or
    float64 if one of the first five arguments is. Every tensor that is given has a gradient; a
    second derivative is not defined.

    Args:
        x: What is written, of all sequences, packed.
        dt: Step per token and head, before the bias.
        A: Rate of decay per unit of step, at most 0 (looked at on the CPU, where that costs
            nothing).
        B: Where it is written to; ``HV`` is a multiple of ``G``.
        C: Where it is read from.
        cu_seqlens: Where sequences begin and end, int32 or int64; no sequence is empty.
        D: Share of ``x`` that goes past the memory; ``None`` for nothing.
        z: Gate before silu; ``None`` for no gate.
        dt_bias: Added to ``dt``.
        dt_softplus: Whether the step is ``softplus(dt + dt_bias)``, not the sum itself; above 20
            the two are taken to be equal, as torch does.
        dt_limit: Smallest and largest step; the smallest is at least 0.
        initial_state: The memory before each sequence, zeros without it; float32 or float64.
        chunk_size: Tokens per chunk of the parallel form: 16, 32, 64 or 128. It changes the
            speed and the rounding, not the meaning. Triton takes 64 at most.
        impl: ``"auto"``, ``"triton"`` or ``"torch"``.

    Returns:
        ``(y, final_state)``: ``y`` in ``x.dtype``, the state in float32, or in float64 for float64
        inputs.

    Raises:
        InputError: Shapes, dtypes, devices, strides or boundaries do not fit, or a rate is above 0.
        ConfigError: ``chunk_size`` or ``dt_limit`` makes no sense (codes ``chunk_size``,
            ``dt_limit``).
        BackendError: ``impl`` is not available here.

    References:
        Dao, Gu, Transformers are SSMs: Generalized Models and Efficient Algorithms Through
        Structured State Space Duality, arXiv 2405.21060, sections 2.1 and 6, listing 1.
    """
    check_arguments(
        x,
        dt,
        A,
        B,
        C,
        cu_seqlens=cu_seqlens,
        D=D,
        z=z,
        dt_bias=dt_bias,
        dt_limit=dt_limit,
        initial_state=initial_state,
        chunk_size=chunk_size,
    )
    reason = unfit(x, dt, A, B, C, chunk_size=chunk_size)
    choice = choose_kernels(impl, x.device, op="selective_scan", dtype=x.dtype, unfit=reason)
    run = selective_scan_torch
    if choice.name == "triton":
        from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton

        run = selective_scan_triton
    return run(
        x,
        dt,
        A,
        B,
        C,
        cu_seqlens=cu_seqlens,
        D=D,
        z=z,
        dt_bias=dt_bias,
        dt_softplus=dt_softplus,
        dt_limit=dt_limit,
        initial_state=initial_state,
        chunk_size=chunk_size,
    )


def check_arguments(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    cu_seqlens: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    dt_limit: tuple[float, float],
    initial_state: Tensor | None,
    chunk_size: int,
) -> None:
    """Raise a typed error for arguments that `selective_scan` cannot take."""
    tensors = {"x": x, "dt": dt, "A": A, "B": B, "C": C}
    given = {"D": D, "z": z, "dt_bias": dt_bias, "initial_state": initial_state}
    tensors |= {name: tensor for name, tensor in given.items() if tensor is not None}
    check_float(**tensors)
    check_shape("x", x, (None, None, None))
    check_last_dimension("x", x)
    tokens, heads, depth = x.shape
    check_shape("dt", dt, (tokens, heads))
    check_shape("A", A, (heads,))
    check_shape("B", B, (tokens, None, None))
    check_last_dimension("B", B)
    check_shape("C", C, tuple(B.shape))
    check_same_device(**tensors, cu_seqlens=cu_seqlens)
    check_rows(**tensors)
    check_boundaries("cu_seqlens", cu_seqlens, tokens)
    if B.shape[1] == 0 or heads == 0 or heads % B.shape[1]:
        raise InputError(
            f"{heads} heads cannot share {B.shape[1]} groups equally",
            code="argument_shape",
            item="B",
        )
    shapes = {
        "D": (heads,),
        "z": (tokens, heads, depth),
        "dt_bias": (heads,),
        "initial_state": (cu_seqlens.numel() - 1, heads, B.shape[2], depth),
    }
    for name, tensor in given.items():
        if tensor is not None:
            check_shape(name, tensor, shapes[name])
    if A.device.type == "cpu" and bool((A > 0).any()):
        raise InputError(
            f"A holds {float(A.max()):.3g}: a memory that grows overflows; rates are at most 0",
            code="argument_value",
            item="A",
        )
    if not _limits(dt_limit):
        raise ConfigError(
            f"dt_limit is {dt_limit!r}; expected two numbers, 0 <= smallest < largest",
            code="dt_limit",
        )
    if type(chunk_size) is not int or chunk_size not in (16, 32, 64, 128):
        raise ConfigError(
            f"chunk_size is {chunk_size}; expected 16, 32, 64 or 128", code="chunk_size"
        )


def _limits(value: Any) -> bool:
    """Whether these are a smallest and a largest step; an infinite one stands for no limit."""
    if not isinstance(value, tuple | list):
        return False
    numbers = cast("Sequence[Any]", value)
    if len(numbers) != 2 or not all(isinstance(number, int | float) for number in numbers):
        return False
    low, high = numbers
    return 0 <= low < high and (high <= sys.float_info.max or high == inf)
