"""Tests of the argument checks: what is refused, under which name, with which code."""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.errors import ConfigError, InputError
from librehps.kernels.add_rms_norm import add_rms_norm
from librehps.kernels.arguments import (
    check_boundaries,
    check_eps,
    check_float,
    check_last_dimension,
    check_same_device,
    check_shape,
    check_tensors,
    compute_dtype,
)
from librehps.kernels.attention import attention
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rotary import rotary
from librehps.kernels.selective_scan import selective_scan
from librehps.kernels.swiglu import swiglu


def test_a_fitting_shape_passes_and_none_stands_for_any_size() -> None:
    check_shape("x", torch.zeros(2, 3, 0), (2, None, 0))
    check_shape("x", torch.zeros(()), ())


@pytest.mark.parametrize("shape", [(2, 4), (2,), (2, 3, 1), (None, 2), ()], ids=str)
def test_another_shape_is_refused_by_name(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(InputError, match=r"has shape \[2, 3\], expected") as caught:
        check_shape("weight", torch.zeros(2, 3), shape)
    assert (caught.value.code, caught.value.item) == ("argument_shape", "weight")


def test_rows_must_hold_something() -> None:
    check_last_dimension("x", torch.zeros(0, 1))
    for shape in ((), (0,), (3, 0)):
        with pytest.raises(InputError, match="last dimension") as caught:
            check_last_dimension("x", torch.zeros(shape))
        assert (caught.value.code, caught.value.item) == ("argument_shape", "x")


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.bool, torch.uint8, torch.complex64, torch.float8_e4m3fn], ids=str
)
def test_anything_but_floats_that_can_be_computed_with_is_refused_by_name(
    dtype: torch.dtype,
) -> None:
    check_float(a=torch.zeros(1), b=torch.zeros(1, dtype=torch.bfloat16))
    with pytest.raises(
        InputError, match="expected float16, bfloat16, float32 or float64"
    ) as caught:
        check_float(a=torch.zeros(1), b=torch.zeros(1, dtype=dtype))
    assert (caught.value.code, caught.value.item) == ("argument_dtype", "b")


def test_tensors_of_two_devices_are_refused_and_each_is_listed() -> None:
    here, there = torch.zeros(1), torch.zeros(1, device="meta")
    check_same_device(a=here, b=None, c=here)
    check_same_device(a=there)
    with pytest.raises(InputError, match="a on cpu, c on meta") as caught:
        check_same_device(a=here, b=None, c=there)
    assert (caught.value.code, caught.value.item) == ("argument_device", "c")


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("values", [[0, 5], [0, 1, 5], [0, 1, 2, 3, 4, 5]], ids=str)
def test_rising_boundaries_pass(values: list[int], dtype: torch.dtype) -> None:
    check_boundaries("cu_seqlens", torch.tensor(values, dtype=dtype), 5)


@pytest.mark.parametrize(
    "values",
    [[0, 4], [0, 6], [1, 5], [-1, 5], [0, 3, 3, 5], [0, 3, 2, 5], [0, 0, 5], [0, 5, 5], [5, 0]],
    ids=str,
)
def test_boundaries_that_do_not_rise_from_zero_to_the_total_are_refused(values: list[int]) -> None:
    with pytest.raises(InputError, match="rise strictly from 0 to 5") as caught:
        check_boundaries("cu_seqlens", torch.tensor(values), 5)
    assert (caught.value.code, caught.value.item) == ("boundaries", "cu_seqlens")
    assert str(values) in str(caught.value)


def test_a_long_list_of_boundaries_is_shortened_in_the_message() -> None:
    with pytest.raises(InputError, match=r"\[0, 1, 2, 3, 4, 5, 6, 7, '...', 93,") as caught:
        check_boundaries("cu_seqlens", torch.arange(100), 100)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("boundaries", "code"),
    [
        (torch.tensor([0.0, 5.0]), "argument_dtype"),
        (torch.tensor([0, 5], dtype=torch.int16), "argument_dtype"),
        (torch.tensor([False, True]), "argument_dtype"),
        (torch.tensor([[0, 5]]), "argument_shape"),
        (torch.tensor([0]), "argument_shape"),
        (torch.tensor([], dtype=torch.int64), "argument_shape"),
        (torch.tensor(5), "argument_shape"),
        (torch.tensor([[0, 1], [2, 4], [5, 5]])[:, 0], "argument_layout"),
    ],
    ids=["float", "int16", "bool", "matrix", "one", "none", "scalar", "strided"],
)
def test_boundaries_of_another_kind_are_refused(boundaries: torch.Tensor, code: str) -> None:
    with pytest.raises(InputError) as caught:
        check_boundaries("cu_seqlens_k", boundaries, 5)
    assert (caught.value.code, caught.value.item) == (code, "cu_seqlens_k")


def test_the_values_of_boundaries_elsewhere_are_not_read() -> None:
    # A meta tensor has no values: reading them would raise.
    check_boundaries("cu_seqlens", torch.zeros(3, dtype=torch.int32, device="meta"), 5)


class OnADevice(torch.Tensor):
    """A tensor that says that it is elsewhere, and counts how often its values are waited for."""

    waited = 0

    @property
    def device(self) -> torch.device:
        return torch.device("cuda")

    def tolist(self) -> list[int]:
        OnADevice.waited += 1
        return super().tolist()


def test_a_device_is_waited_for_once_until_the_boundaries_are_written_to() -> None:
    boundaries = torch.tensor([0, 2, 5]).as_subclass(OnADevice)
    before = OnADevice.waited
    for name in ("cu_seqlens", "cu_seqlens_q", "cu_seqlens"):
        check_boundaries(name, boundaries, 5)
    assert OnADevice.waited == before + 1
    with pytest.raises(InputError, match="from 0 to 6"):
        check_boundaries("cu_seqlens", boundaries, 6)
    check_boundaries("cu_seqlens", boundaries, 5)
    boundaries[1] = 5
    with pytest.raises(InputError, match="rise strictly") as caught:
        check_boundaries("cu_seqlens", boundaries, 5)
    assert (caught.value.code, caught.value.item) == ("boundaries", "cu_seqlens")
    # Without a count of writes nothing is taken on trust.
    with torch.inference_mode():
        untracked = torch.tensor([0, 2, 5]).as_subclass(OnADevice)
        before = OnADevice.waited
        check_boundaries("cu_seqlens", untracked, 5)
        check_boundaries("cu_seqlens", untracked, 5)
    assert OnADevice.waited == before + 2


def test_one_wide_tensor_makes_everything_wide() -> None:
    narrow, wide = torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1, dtype=torch.float64)
    assert compute_dtype(narrow, torch.zeros(1)) == torch.float32
    assert compute_dtype(narrow, narrow) == torch.float32
    assert compute_dtype(narrow, wide) == torch.float64


BOUNDS = torch.tensor([0, 2, 5])
# Shapes of an op's tensors, and what else it is given.
OPS: dict[Callable[..., Any], tuple[dict[str, tuple[int, ...]], dict[str, Any]]] = {
    add_rms_norm: ({"x": (5, 8), "residual": (5, 8), "weight": (8,)}, {"eps": 1e-6}),
    attention: (
        {"q": (5, 4, 8), "k": (5, 2, 8), "v": (5, 2, 8)},
        {"cu_seqlens_q": BOUNDS, "cu_seqlens_k": BOUNDS, "causal": True, "scale": 0.3},
    ),
    causal_conv1d: (
        {"x": (5, 6), "weight": (6, 4), "bias": (6,), "initial_state": (2, 6, 3)},
        {"cu_seqlens": BOUNDS},
    ),
    gated_delta_rule: (
        {
            "q": (5, 2, 8),
            "k": (5, 2, 8),
            "v": (5, 4, 8),
            "g": (5, 4),
            "beta": (5, 4),
            "A_log": (4,),
            "dt_bias": (4,),
            "initial_state": (2, 4, 8, 8),
        },
        {"cu_seqlens": BOUNDS},
    ),
    gated_rms_norm: ({"x": (5, 8), "gate": (5, 8), "weight": (8,)}, {"eps": 1e-6}),
    rms_norm: ({"x": (5, 8), "weight": (8,)}, {"eps": 1e-6}),
    rotary: ({"x": (5, 2, 8), "cos": (5, 6), "sin": (5, 6)}, {}),
    selective_scan: (
        {
            "x": (5, 4, 8),
            "dt": (5, 4),
            "A": (4,),
            "B": (5, 2, 6),
            "C": (5, 2, 6),
            "D": (4,),
            "z": (5, 4, 8),
            "dt_bias": (4,),
            "initial_state": (2, 4, 6, 8),
        },
        {"cu_seqlens": BOUNDS},
    ),
    swiglu: ({"gate": (5, 8), "up": (5, 8)}, {}),
}
ARGUMENTS = [(op, name) for op, (shapes, _) in OPS.items() for name in shapes]


def tensors_of(op: Callable[..., Any]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.randn(shape, generator=generator) for name, shape in OPS[op][0].items()}
    return made | ({"A": -made["A"].abs()} if "A" in made else {})


@pytest.mark.parametrize("impl", ["auto", "torch"])
@pytest.mark.parametrize(
    ("op", "name"), ARGUMENTS, ids=[f"{op.__name__}-{name}" for op, name in ARGUMENTS]
)
def test_rows_that_are_strewn_are_refused_by_name(
    op: Callable[..., Any], name: str, impl: str
) -> None:
    tensors, options = tensors_of(op), OPS[op][1]
    if op is attention:
        impl = {"torch": "sdpa"}.get(impl, impl)
    op(**tensors, **options, impl=impl)  # as they are, all of them fit
    strewn = torch.stack([tensors[name], tensors[name]], dim=-1)[..., 0]
    assert strewn.stride(-1) == 2
    with pytest.raises(InputError, match="stride of 2") as caught:
        op(**tensors | {name: strewn}, **options, impl=impl)
    assert (caught.value.code, caught.value.item) == ("argument_layout", name)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_rows_may_lie_apart_from_each_other(op: Callable[..., Any]) -> None:
    """As heads and halves of a projection do."""
    tensors, options = tensors_of(op), OPS[op][1]
    apart = {
        name: torch.stack([tensor, tensor], dim=-2)[..., 0, :]
        for name, tensor in tensors.items()
        if tensor.dim() > 1
    }
    assert not any(view.is_contiguous() for view in apart.values())
    wanted, found = op(**tensors, **options), op(**tensors | apart, **options)
    for one, other in zip(_each(wanted), _each(found), strict=True):
        torch.testing.assert_close(one, other)


def _each(result: Any) -> list[Tensor]:
    parts = result if isinstance(result, tuple) else (result,)
    return [part for part in parts if isinstance(part, Tensor)]


def test_a_row_of_one_number_and_no_rows_at_all_have_no_strides() -> None:
    gate = torch.randn(5, 2)[:, :1]
    assert swiglu(gate.as_strided((5, 1), (2, 7)), gate).shape == (5, 1)
    assert swiglu(torch.empty(0, 8, 2)[..., 0], torch.empty(0, 8)).shape == (0, 8)


@pytest.mark.parametrize("value", [None, [0, 3, 5], 5, "x"], ids=str)
def test_what_is_no_tensor_is_refused_by_name(value: object) -> None:
    checks: list[Callable[[], None]] = [
        lambda: check_tensors(x=value),
        # Without the checks of types that only the tests switch on.
        lambda: unwrap(check_float)(x=value),
        lambda: unwrap(check_boundaries)("x", value, 5),
    ]
    if value is not None:
        checks.append(lambda: unwrap(check_same_device)(a=torch.zeros(1), x=value))
    for check in checks:
        with pytest.raises(InputError, match="expected a tensor") as caught:
            check()
        assert (caught.value.code, caught.value.item) == ("argument_dtype", "x")


@pytest.mark.parametrize("eps", [None, "1e-6", -1.0, float("nan"), float("inf"), 10**400], ids=str)
def test_what_cannot_be_added_to_a_mean_of_squares_is_refused(eps: object) -> None:
    check_eps(0.0)
    check_eps(1e-6)
    with pytest.raises(ConfigError, match="eps is") as caught:
        check_eps(eps)
    assert caught.value.code == "eps"
