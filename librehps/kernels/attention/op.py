"""Packed attention: argument checks and choice of implementation."""

from __future__ import annotations

from librehps.errors import InputError
from librehps.kernels.arguments import (
    check_boundaries,
    check_float,
    check_last_dimension,
    check_rows,
    check_same_device,
    check_shape,
)
from librehps.kernels.attention.flash_attention_2 import attention_flash_2
from librehps.kernels.attention.flash_attention_4 import attention_flash_4
from librehps.kernels.attention.prefixes import check_prefixes
from librehps.kernels.attention.reference import attention_reference
from librehps.kernels.attention.torch_sdpa import attention_sdpa
from librehps.kernels.backend import choose_attention, warn_of_fallback
from librehps.typing import Float, Int, Tensor

__all__ = ["attention", "check_arguments"]

_IMPLEMENTATIONS = {
    "eager": attention_reference,
    "sdpa": attention_sdpa,
    "fa2": attention_flash_2,
    "fa4": attention_flash_4,
}


def attention(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "S G K"],
    v: Float[Tensor, "S G V"],
    *,
    cu_seqlens_q: Int[Tensor, " N_plus_1"],
    cu_seqlens_k: Int[Tensor, " N_plus_1"],
    causal: bool,
    scale: float,
    impl: str = "auto",
) -> Float[Tensor, "T H V"]:
    """Attend within each sequence: ``softmax(scale * q kᵀ) v``.

    Query head ``h`` reads key/value head ``h // (H / G)``. ``causal`` is aligned at the end: the
    last query of a sequence sees its last key, so a sequence may have more keys than queries (a
    cached prefix); one with fewer is refused, but on a device ``"fa4"`` does not look. The softmax
    computes in float32 (float64 if an argument is float64). The result for a sequence does not
    depend on the other sequences, bit for bit on the CPU. ``librehps doctor`` says what ``"auto"``
    takes and why; where a package is missing that would be faster, a warning says so once.

    Args:
        q: Queries of all sequences, packed.
        k: Keys of all sequences, packed; each sequence has its own number of them.
        v: Values, like ``k``.
        cu_seqlens_q: Where the queries of each sequence begin and end, int32 or int64.
        cu_seqlens_k: The same for keys and values.
        causal: Whether a query is kept from later keys.
        scale: Factor on the logits, usually ``K ** -0.5``.
        impl: ``"auto"``, ``"fa4"``, ``"fa2"``, ``"sdpa"`` or ``"eager"`` (the definition).

    Returns:
        The attended values, in ``q.dtype``.

    Raises:
        InputError: Shapes, dtypes, devices, strides or boundaries do not fit.
        BackendError: ``impl`` is not available here.
    """
    check_arguments(q, k, v, cu_seqlens_q=cu_seqlens_q, cu_seqlens_k=cu_seqlens_k, causal=causal)
    choice = choose_attention(impl, q.device, dtype=q.dtype, widths=(k.shape[-1], v.shape[-1]))
    warn_of_fallback(choice)
    return _IMPLEMENTATIONS[choice.name](
        q, k, v, cu_seqlens_q=cu_seqlens_q, cu_seqlens_k=cu_seqlens_k, causal=causal, scale=scale
    )


def check_arguments(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    causal: bool,
) -> None:
    """Raise a typed error for arguments that `attention` cannot take."""
    check_float(q=q, k=k, v=v)
    check_shape("q", q, (None, None, None))
    check_shape("k", k, (None, None, q.shape[2]))
    check_shape("v", v, (k.shape[0], k.shape[1], None))
    check_last_dimension("q", q)
    check_last_dimension("v", v)
    check_same_device(q=q, k=k, v=v, cu_seqlens_q=cu_seqlens_q, cu_seqlens_k=cu_seqlens_k)
    check_rows(q=q, k=k, v=v)
    if not q.dtype == k.dtype == v.dtype:
        raise InputError(
            f"q, k, v are {q.dtype}, {k.dtype}, {v.dtype}; expected one dtype",
            code="argument_dtype",
            item="v" if k.dtype == q.dtype else "k",
        )
    if k.shape[1] == 0 or q.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise InputError(
            f"{q.shape[1]} query heads cannot share {k.shape[1]} key heads equally",
            code="argument_shape",
            item="k",
        )
    check_boundaries("cu_seqlens_q", cu_seqlens_q, q.shape[0])
    check_boundaries("cu_seqlens_k", cu_seqlens_k, k.shape[0])
    check_shape("cu_seqlens_k", cu_seqlens_k, tuple(cu_seqlens_q.shape))
    if causal and cu_seqlens_q.device.type == "cpu":
        check_prefixes(cu_seqlens_q.diff().tolist(), cu_seqlens_k.diff().tolist())
