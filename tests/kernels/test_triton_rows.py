"""Tests of what the triton kernels over rows share, and of what is asked of each of them alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from librehps.kernels import triton_rows
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference
from librehps.kernels.gated_rms_norm.triton_gated_rms_norm import gated_rms_norm_triton
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rms_norm.reference import rms_norm_reference
from librehps.kernels.rms_norm.triton_rms_norm import rms_norm_triton
from librehps.kernels.rows import MAX_ROW
from librehps.kernels.swiglu import swiglu
from librehps.kernels.swiglu.reference import swiglu_reference
from librehps.kernels.swiglu.triton_swiglu import swiglu_triton
from librehps.kernels.triton_rows import (
    as_rows,
    elementwise_tile,
    launch,
    partial_sums,
    reduction_tile,
    softplus_and_slope,
    triton_dtype,
)
from librehps.testing.agreement import disagreement, results_and_gradients
from librehps.testing.tolerances import TOLERANCES

SHAPES = [(1, 8), (37, 24), (2, 5, 3, 40), (700, 5), (19, 128), (3, 2560)]


@dataclass(frozen=True)
class RowOp:
    """An op over rows; the first of its arguments may be of any size."""

    op: Callable[..., Tensor]
    kernel: Callable[..., Tensor]
    definition: Callable[..., Tensor]
    rows: tuple[str, ...]
    has_weight: bool = False
    options: dict[str, float] = field(default_factory=dict)
    scales: tuple[float, ...] = (1e-30, 1e-12, 1e12, 1e17)

    def inputs(
        self, *shape: int, dtype: torch.dtype, device: torch.device, scale: float = 1.0
    ) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        shapes = dict.fromkeys(self.rows, shape)
        if self.has_weight:
            shapes["weight"] = shape[-1:]
        made = {
            name: torch.randn(size, generator=generator, dtype=torch.float64)
            for name, size in shapes.items()
        }
        made[self.rows[0]] *= scale
        return {name: tensor.to(device, dtype) for name, tensor in made.items()}

    def demand_agreement(self, tensors: dict[str, Tensor], **options: float) -> None:
        options = self.options | options
        errors = disagreement(self.kernel, self.definition, tensors, **options)
        dtype = str(tensors[self.rows[0]].dtype).removeprefix("torch.")
        assert set(errors) == {"y0", *tensors}
        assert max(errors.values()) <= TOLERANCES[f"norms_{dtype}"].limit, errors


EPS = {"eps": 1e-6}
ROW_OPS = {
    "rms_norm": RowOp(rms_norm, rms_norm_triton, rms_norm_reference, ("x",), True, EPS),
    "gated_rms_norm": RowOp(
        gated_rms_norm, gated_rms_norm_triton, gated_rms_norm_reference, ("x", "gate"), True, EPS
    ),
    "swiglu": RowOp(
        swiglu, swiglu_triton, swiglu_reference, ("gate", "up"), scales=(1e-30, 1e-12, 1e3, 1e30)
    ),
}
NORMS = [name for name, each in ROW_OPS.items() if each.has_weight]
every_op = pytest.mark.parametrize("name", ROW_OPS)
every_norm = pytest.mark.parametrize("name", NORMS)


@pytest.mark.parametrize("width", [1, 2, 24, 128, 256, 2560, 5120, MAX_ROW])
def test_a_reduction_tile_holds_whole_rows_in_registers(width: int) -> None:
    tile = reduction_tile(width)
    assert width <= tile.columns < 2 * width
    # A thread holds at most 32 elements, and as many threads work as there are elements for.
    assert tile.rows * tile.columns <= 32 * 32 * tile.num_warps
    assert tile.num_warps in (4, 8, 16)
    assert (tile.rows - 1) * tile.columns < 2**10


@pytest.mark.parametrize("width", [1, 5, 128, 1024, 9216])
def test_an_elementwise_tile_has_the_same_size_for_every_width(width: int) -> None:
    tile = elementwise_tile(width)
    assert tile.rows * tile.columns == 2**11
    assert tile.columns <= 1024


def test_blocks_cover_the_rows_and_few_programs_share_them() -> None:
    tile = reduction_tile(128)
    assert [tile.blocks(n) for n in (0, 1, tile.rows, tile.rows + 1)] == [0, 1, 1, 2]
    assert [partial_sums(n) for n in (0, 3, 256, 10**6)] == [0, 3, 256, 256]


def test_rows_are_a_view_where_one_is_possible() -> None:
    x = torch.randn(5, 4, 16)
    half = x.chunk(2, dim=-1)[1]
    assert as_rows(half).data_ptr() == half.data_ptr()
    assert as_rows(half).stride() == (16, 1)
    across = x[0].T
    assert as_rows(across).stride() == (4, 1)
    assert torch.equal(as_rows(across), across)
    assert as_rows(torch.ones(()).expand(3, 2)).stride() == (2, 1)


def test_dtypes_have_the_name_that_triton_gives_them() -> None:
    names = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float64: tl.float64}
    assert {dtype: triton_dtype(dtype) for dtype in names} == names


def test_a_launch_passes_everything_on_and_an_empty_grid_launches_nothing() -> None:
    ran: list[Any] = []

    class Kernel:
        def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
            return lambda *arguments, **options: ran.append((grid, arguments, options))

    x = torch.ones(2)
    launch(Kernel(), (3, 2), x, 5, num_warps=4)
    for grid in ((0,), (0, 2), (3, 0)):
        launch(Kernel(), grid, x, 5, num_warps=4)
    assert ran == [((3, 2), (x, 5), {"num_warps": 4})]


@every_op
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_gradients_equal_the_definition(
    name: str, shape: tuple[int, ...], kernel_dtype: torch.dtype, triton_device: torch.device
) -> None:
    own = ROW_OPS[name]
    own.demand_agreement(own.inputs(*shape, dtype=kernel_dtype, device=triton_device))


@pytest.mark.parametrize(
    ("name", "scale"), [(name, scale) for name, each in ROW_OPS.items() for scale in each.scales]
)
def test_huge_and_tiny_values(name: str, scale: float, triton_device: torch.device) -> None:
    own = ROW_OPS[name]
    own.demand_agreement(own.inputs(37, 24, dtype=torch.float32, device=triton_device, scale=scale))


@every_op
def test_strides_are_kept_and_nothing_outside_is_read(
    name: str, triton_device: torch.device
) -> None:
    own = ROW_OPS[name]
    given = own.inputs(2, 9, 24, dtype=torch.float32, device=triton_device)
    whole = torch.full((4, 9, 26 * len(own.rows) + 5), float("nan"), device=triton_device)
    for place, row in enumerate(own.rows):
        part = whole[1:3, :, 5 + 26 * place :][..., :24]
        given[row] = part.copy_(given[row])
    across = {row: given[row].transpose(1, 2) for row in own.rows[:1]}
    across |= {row: given[row].transpose(1, 2).contiguous() for row in own.rows[1:]}
    if own.has_weight:
        columns = torch.randn(24, 3, device=triton_device)
        given["weight"], across["weight"] = columns[:, 1], columns[:9, 0]
    own.demand_agreement(given)
    own.demand_agreement(across)


@every_op
def test_an_upstream_gradient_without_strides(name: str, triton_device: torch.device) -> None:
    own = ROW_OPS[name]
    given = own.inputs(6, 24, dtype=torch.float32, device=triton_device)
    results = []
    for function in (own.kernel, own.definition):
        leaves = {key: tensor.clone().requires_grad_() for key, tensor in given.items()}
        total = function(**leaves, **own.options).sum()
        results.append(torch.autograd.grad(total, [*leaves.values()]))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@every_op
def test_no_rows(name: str, triton_device: torch.device) -> None:
    own = ROW_OPS[name]
    given = own.inputs(0, 3, 8, dtype=torch.float32, device=triton_device)
    found = results_and_gradients(own.kernel, given, **own.options)
    assert found["y0"].shape == (0, 3, 8)
    assert all(torch.equal(found[key], torch.zeros_like(given[key])) for key in given)


@every_op
@pytest.mark.parametrize("shape", [(70, 128), (9, 1500)], ids=str)
def test_a_row_does_not_depend_on_the_others(
    name: str, shape: tuple[int, int], triton_device: torch.device
) -> None:
    own = ROW_OPS[name]
    given = own.inputs(*shape, dtype=torch.float32, device=triton_device)
    packed = own.kernel(**given, **own.options)
    for row in range(0, shape[0], 3):
        one = given | {key: given[key][row : row + 1].clone() for key in own.rows}
        assert torch.equal(own.kernel(**one, **own.options)[0], packed[row])


@every_op
def test_two_runs_are_equal_to_the_last_bit(name: str, triton_device: torch.device) -> None:
    own = ROW_OPS[name]
    given = own.inputs(700, 128, dtype=torch.float32, device=triton_device)
    first, second = (results_and_gradients(own.kernel, given, **own.options) for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


@every_op
def test_the_op_takes_it_by_name(name: str, triton_device: torch.device) -> None:
    own = ROW_OPS[name]
    given = own.inputs(5, 24, dtype=torch.float16, device=triton_device)
    y = own.op(**given, **own.options, impl="triton")
    assert y.dtype == torch.float16
    assert torch.equal(y, own.kernel(**given, **own.options))


@every_norm
def test_rows_that_do_not_exist_add_nothing_without_eps(
    name: str, triton_device: torch.device
) -> None:
    own = ROW_OPS[name]
    own.demand_agreement(own.inputs(37, 24, dtype=torch.float32, device=triton_device), eps=0.0)


@every_norm
def test_each_program_takes_several_tiles(
    name: str, triton_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_rows, "_PARTIALS", 3)
    own = ROW_OPS[name]
    own.demand_agreement(own.inputs(333, 128, dtype=torch.float32, device=triton_device))


@triton.jit
def _softplus_kernel(p_x, p_found, SIZE: tl.constexpr):
    i_x = tl.arange(0, SIZE)
    b_value, b_slope = softplus_and_slope(tl.load(p_x + i_x))
    tl.store(p_found + i_x, b_value)
    tl.store(p_found + SIZE + i_x, b_slope)


def test_softplus_keeps_the_digits_of_small_ones(triton_device: torch.device) -> None:
    x = torch.linspace(-80.0, 80.0, 1024)
    x[:5] = torch.tensor([-float("inf"), -1e4, 0.0, 1e4, float("nan")])
    found = torch.empty(2, 1024, device=triton_device)
    launch(_softplus_kernel, (1,), x.to(triton_device), found, SIZE=1024)
    wide = x.double()
    wanted = (torch.logaddexp(wide, torch.zeros(()).double()), wide.sigmoid())
    limit = torch.full_like(wide, 1e-6)
    if triton_device.type == "cuda":
        # exp is a power of 2 there, and its argument is rounded once it is multiplied for that: the
        # relative error grows with the argument. The interpreter's does not.
        limit += 1.2e-7 * wide.abs()
    for actual, expected in zip(found.double().cpu(), wanted, strict=True):
        near = (actual - expected).abs() <= limit * expected + 1e-38
        assert (near | (actual == expected) | (actual.isnan() & expected.isnan())).all()
