"""Causal depthwise convolution: argument checks and choice of implementation."""

from __future__ import annotations

from typing import Literal

from librehps.errors import ConfigError, InputError
from librehps.kernels.arguments import (
    check_boundaries,
    check_float,
    check_rows,
    check_same_device,
    check_shape,
)
from librehps.kernels.backend import choose_kernels
from librehps.kernels.causal_conv1d.torch_shifted import causal_conv1d_torch
from librehps.typing import Float, Int, Tensor

__all__ = ["causal_conv1d", "check_arguments"]


def causal_conv1d(
    x: Float[Tensor, "T C"],
    weight: Float[Tensor, "C W"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    bias: Float[Tensor, " C"] | None = None,
    initial_state: Float[Tensor, "N C W_minus_1"] | None = None,
    activation: Literal["silu"] | None = None,
    impl: str = "auto",
) -> tuple[Float[Tensor, "T C"], Float[Tensor, "N C W_minus_1"]]:
    """Convolve every channel of every sequence with its own taps, looking back only.

    ``y_t = act(bias + sum_w weight[:, w] * x_{t - W + 1 + w})``: the last tap meets the current
    token. Columns before a sequence come from ``initial_state`` and are zero without one; sequences
    never see each other. Sums in float32 (float64 if ``x``, ``weight`` or ``bias`` is float64),
    rounded once, returns ``x.dtype``. Every tensor that is given has a gradient; a second
    derivative is not defined.

    Args:
        x: Packed tokens.
        weight: Taps per channel, ``W >= 2``.
        cu_seqlens: Where sequences begin and end, int32 or int64; no sequence is empty.
        bias: Added per channel before the activation.
        initial_state: The ``W - 1`` columns before each sequence, oldest first, before the
            activation; this is what an earlier call returned.
        activation: ``"silu"`` or ``None``.
        impl: ``"auto"``, ``"triton"`` or ``"torch"``.

    Returns:
        ``(y, final_state)``: the final state has ``x.dtype``.

    Raises:
        InputError: Shapes, dtypes, devices, strides or boundaries do not fit.
        ConfigError: Unknown activation (code ``activation_unknown``).
        BackendError: ``impl`` is not available here.
    """
    check_arguments(
        x,
        weight,
        cu_seqlens=cu_seqlens,
        bias=bias,
        initial_state=initial_state,
        activation=activation,
    )
    choice = choose_kernels(impl, x.device, op="causal_conv1d", dtype=x.dtype)
    run = causal_conv1d_torch
    if choice.name == "triton":
        from librehps.kernels.causal_conv1d.triton_causal_conv1d import causal_conv1d_triton

        run = causal_conv1d_triton
    return run(
        x,
        weight,
        cu_seqlens=cu_seqlens,
        bias=bias,
        initial_state=initial_state,
        activation=activation,
    )


def check_arguments(
    x: Tensor,
    weight: Tensor,
    *,
    cu_seqlens: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    activation: str | None,
) -> None:
    """Raise a typed error for arguments that `causal_conv1d` cannot take."""
    check_float(x=x, weight=weight)
    check_shape("x", x, (None, None))
    check_shape("weight", weight, (x.shape[1], None))
    check_same_device(
        x=x, weight=weight, cu_seqlens=cu_seqlens, bias=bias, initial_state=initial_state
    )
    check_rows(x=x, weight=weight, bias=bias, initial_state=initial_state)
    check_boundaries("cu_seqlens", cu_seqlens, x.shape[0])
    if weight.shape[1] < 2:
        raise InputError("weight needs at least 2 taps", code="argument_shape", item="weight")
    if bias is not None:
        check_float(bias=bias)
        check_shape("bias", bias, (x.shape[1],))
    if initial_state is not None:
        check_float(initial_state=initial_state)
        shape = (cu_seqlens.numel() - 1, x.shape[1], weight.shape[1] - 1)
        check_shape("initial_state", initial_state, shape)
    if activation not in (None, "silu"):
        raise ConfigError(
            f"no activation is called {activation!r}; known: 'silu' or None",
            code="activation_unknown",
        )
