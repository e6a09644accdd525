"""The gated delta rule: argument checks and choice of implementation."""

from __future__ import annotations

import torch

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
from librehps.kernels.gated_delta_rule.torch_chunked import gated_delta_rule_torch
from librehps.typing import Float, Int, Tensor

__all__ = ["MAX_WIDTH", "check_arguments", "gated_delta_rule", "unfit"]

MAX_WIDTH = 128
"""Widest keys of the triton kernels; of wider ones README.md says what spills."""


def gated_delta_rule(
    q: Float[Tensor, "T HK K"],
    k: Float[Tensor, "T HK K"],
    v: Float[Tensor, "T HV V"],
    g: Float[Tensor, "T HV"],
    beta: Float[Tensor, "T HV"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    initial_state: Float[Tensor, "N HV K V"] | None = None,
    normalize_qk: bool = True,
    A_log: Float[Tensor, " HV"] | None = None,
    dt_bias: Float[Tensor, " HV"] | None = None,
    chunk_size: int = 64,
    impl: str = "auto",
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Write to and read from a decaying key-value memory, token by token.

    Per value head, with the state ``S`` of shape [K, V]::

        S   <- exp(g_t) S
        u_t  = beta_t (v_t - Sᵀ k_t)
        S   <- S + k_t u_tᵀ
        o_t  = Sᵀ q_t

    With ``A_log`` and ``dt_bias``, ``g`` and ``beta`` are a layer's projections ``a`` and ``b``,
    and the op makes of them::

        g_t    = -exp(A_log) softplus(a_t + dt_bias)
        beta_t = sigmoid(b_t)

    Value head ``j`` uses key head ``j // (HV / HK)``. Queries are scaled by ``K ** -0.5`` after the
    normalisation. Everything inside is float32, or float64 if an input is float64. Every input
    has a gradient; a second derivative is not defined. The triton kernels round the factors of
    matrix products, the memory among them, to the dtype of ``q``, ``k`` and ``v``.

    Args:
        q: Queries of all sequences, packed.
        k: Keys.
        v: Values; ``HV`` is a multiple of ``HK``.
        g: Logarithm of the decay per step, at most 0, which is looked at on a CPU alone; or ``a``.
        beta: Rate of writing, in [0, 1]; or ``b``.
        cu_seqlens: Where sequences begin and end, int32 or int64; no sequence is empty.
        initial_state: The memory before each sequence, zeros without it; float32 or float64.
        normalize_qk: Divide queries and keys by ``sqrt(sum(x²) + 1e-6)`` first.
        A_log: Logarithm of each head's rate of decay; ``None``, like ``dt_bias``, if ``g`` and
            ``beta`` are to be taken as they are.
        dt_bias: Added to ``a``.
        chunk_size: Tokens per chunk of the parallel form in torch: 16, 32, 64 or 128. It changes
            the speed and the rounding, not the meaning. The triton kernels have chunks of their
            own.
        impl: ``"auto"``, ``"triton"`` or ``"torch"``.

    Returns:
        ``(o, final_state)``: ``o`` in ``v.dtype``, the state in float32, or in float64
        for float64 inputs.

    Raises:
        InputError: Shapes, dtypes, devices, strides or boundaries do not fit, one of ``A_log`` and
            ``dt_bias`` is missing (code ``argument_missing``), or ``g`` is above 0
            (``argument_value``).
        ConfigError: ``chunk_size`` is not supported (code ``chunk_size``).
        BackendError: ``impl`` is not available here.

    References:
        Yang, Kautz, Hatamizadeh, Gated Delta Networks: Improving Mamba2 with Delta Rule, section
        3.3; the decay as in Gu and Dao, Mamba: Linear-Time Sequence Modeling with Selective State
        Spaces, section 3.6.
    """
    check_arguments(
        q,
        k,
        v,
        g=g,
        beta=beta,
        cu_seqlens=cu_seqlens,
        initial_state=initial_state,
        A_log=A_log,
        dt_bias=dt_bias,
        chunk_size=chunk_size,
    )
    reason = unfit(q, k, v, gates=(g, beta, A_log, dt_bias))
    choice = choose_kernels(impl, q.device, op="gated_delta_rule", dtype=q.dtype, unfit=reason)
    if choice.name == "triton":
        from librehps.kernels.gated_delta_rule.triton_gated_delta_rule import (
            gated_delta_rule_triton,
        )

        return gated_delta_rule_triton(
            q,
            k,
            v,
            g,
            beta,
            cu_seqlens=cu_seqlens,
            initial_state=initial_state,
            normalize_qk=normalize_qk,
            A_log=A_log,
            dt_bias=dt_bias,
        )
    return gated_delta_rule_torch(
        q,
        k,
        v,
        g,
        beta,
        cu_seqlens=cu_seqlens,
        initial_state=initial_state,
        normalize_qk=normalize_qk,
        A_log=A_log,
        dt_bias=dt_bias,
        chunk_size=chunk_size,
    )


def unfit(q: Tensor, k: Tensor, v: Tensor, *, gates: tuple[Tensor | None, ...] = ()) -> str | None:
    """Say why the triton kernels cannot take these arguments, or return ``None``."""
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in (q, k, v)})
    if len(dtypes) > 1:
        return f"it takes q, k and v of one dtype, and these are {', '.join(dtypes)}"
    wide = (tensor is not None and tensor.dtype == torch.float64 for tensor in (q, *gates))
    if any(wide):
        return "it computes in float32, and an argument is float64"
    width, depth = q.shape[-1], v.shape[-1]
    if not 0 < width <= MAX_WIDTH or depth == 0:
        return f"it takes keys of 1 to {MAX_WIDTH} elements, and values of at least one"
    return None


def check_arguments(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    g: Tensor,
    beta: Tensor,
    cu_seqlens: Tensor,
    initial_state: Tensor | None,
    chunk_size: int,
    A_log: Tensor | None = None,
    dt_bias: Tensor | None = None,
) -> None:
    """Raise a typed error for arguments that `gated_delta_rule` cannot take."""
    check_float(q=q, k=k, v=v, g=g, beta=beta)
    check_shape("q", q, (None, None, None))
    check_shape("k", k, tuple(q.shape))
    check_shape("v", v, (q.shape[0], None, None))
    check_last_dimension("q", q)
    check_last_dimension("v", v)
    check_shape("g", g, (v.shape[0], v.shape[1]))
    check_shape("beta", beta, (v.shape[0], v.shape[1]))
    check_same_device(
        q=q,
        k=k,
        v=v,
        g=g,
        beta=beta,
        cu_seqlens=cu_seqlens,
        initial_state=initial_state,
        A_log=A_log,
        dt_bias=dt_bias,
    )
    check_rows(
        q=q, k=k, v=v, g=g, beta=beta, initial_state=initial_state, A_log=A_log, dt_bias=dt_bias
    )
    if (A_log is None) != (dt_bias is None):
        missing = "A_log" if A_log is None else "dt_bias"
        raise InputError(
            f"{missing} is missing: A_log and dt_bias are given together, for g and beta as a "
            "layer's projections give them, or not at all",
            code="argument_missing",
            item=missing,
        )
    for name, tensor in (("A_log", A_log), ("dt_bias", dt_bias)):
        if tensor is not None:
            check_float(**{name: tensor})
            check_shape(name, tensor, (v.shape[1],))
    check_boundaries("cu_seqlens", cu_seqlens, q.shape[0])
    if q.shape[1] == 0 or v.shape[1] == 0 or v.shape[1] % q.shape[1]:
        raise InputError(
            f"{v.shape[1]} value heads cannot share {q.shape[1]} key heads equally",
            code="argument_shape",
            item="v",
        )
    if initial_state is not None:
        check_float(initial_state=initial_state)
        shape = (cu_seqlens.numel() - 1, v.shape[1], q.shape[2], v.shape[2])
        check_shape("initial_state", initial_state, shape)
    if A_log is None and g.device.type == "cpu" and bool((g > 0).any()):
        raise InputError(
            f"g holds {float(g.max()):.3g}: a memory that grows overflows; a log decay is at most "
            "0",
            code="argument_value",
            item="g",
        )
    if type(chunk_size) is not int or chunk_size not in (16, 32, 64, 128):
        raise ConfigError(
            f"chunk_size is {chunk_size}; expected 16, 32, 64 or 128", code="chunk_size"
        )
