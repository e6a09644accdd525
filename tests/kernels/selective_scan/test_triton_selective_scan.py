"""Tests of the triton selective scan against its definition in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.errors import BackendError, ConfigError
from librehps.kernels.selective_scan import selective_scan, triton_selective_scan, triton_steps
from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton
from librehps.testing.agreement import results_and_gradients


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16] + [torch.bfloat16] * torch.cuda.is_available(), ids=str
)
def test_forward_and_every_gradient_equal_the_definition(
    dtype: torch.dtype, scan_inputs: Any, scan_agrees: Any
) -> None:
    scan_agrees(*scan_inputs(groups=2, dtype=dtype))


# Two heads are enough: a program has one, and another one of the same group.
def test_all_lengths_and_decays_in_one_pack(scan_inputs: Any, scan_agrees: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(1, 2, 63, 64, 65, 127, 500, 1337))
    # One head forgets nothing, the other all there was, by exp(-50) at a step of one.
    tensors["A"][0], tensors["A"][1] = 0.0, -50.0
    scan_agrees(tensors, bounds, chunk_size=64)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 1e-3, 1.0, 100.0])
def test_long_and_short_sequences_in_one_pack(
    rate: float, scan_inputs: Any, scan_agrees: Any
) -> None:
    lengths = (1, 2, 63, 64, 65, 127, 500)
    scan_agrees(*scan_inputs(lengths=lengths, groups=2, rate=rate), chunk_size=64)


@pytest.mark.parametrize("without", [("z",), ("D", "z", "dt_bias", "initial_state")])
def test_what_may_be_left_out(without: tuple[str, ...], scan_inputs: Any, scan_agrees: Any) -> None:
    scan_agrees(*scan_inputs(without=without), softplus=False)


def test_strides_are_kept_and_nothing_outside_is_read(scan_inputs: Any, scan_agrees: Any) -> None:
    tensors, bounds = scan_inputs()
    whole = torch.full((24, 4, 40), float("nan"), device=bounds.device)
    places = {"x": (slice(0, 2), 1), "z": (slice(1, 3), 9), "B": (slice(3, 4), 17)}
    places |= {"C": (slice(3, 4), 25)}
    for name, (heads, first) in places.items():
        own = tensors[name]
        part = whole[2:22, heads, first : first + own.shape[2]]
        tensors[name] = part.copy_(own)
    tensors["dt"] = tensors["dt"].T.contiguous().T
    scan_agrees(tensors, bounds.long())


# A loaded part of 2**31 elements and more is what long packs have, head by head.
def test_heads_may_lie_far_apart(scan_inputs: Any, far_apart: Any) -> None:
    # Two groups would do for x; three are needed for what is shared by a group.
    tensors, bounds = scan_inputs(lengths=(2, 17), groups=3, per_group=1)
    options: dict[str, Any] = {"cu_seqlens": bounds, "chunk_size": 16}
    wanted = results_and_gradients(selective_scan_triton, tensors, **options)
    far = tensors | {name: far_apart(tensors[name]) for name in ("x", "z", "B", "C")}
    found = results_and_gradients(selective_scan_triton, far, **options)
    for name, expected in wanted.items():
        assert torch.equal(found[name], expected), name


def test_no_launch_has_more_programs_than_a_device_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    grids: list[tuple[int, ...]] = []
    for module in (triton_selective_scan, triton_steps):
        monkeypatch.setattr(module, "launch", lambda kernel, grid, *_, **__: grids.append(grid))

    def empty(*shape: int) -> torch.Tensor:
        return torch.empty(*shape, device="meta", requires_grad=True)

    tokens = 2**20
    given = {"x": empty(tokens, 2, 16), "dt": empty(tokens, 2), "A": empty(2)}
    given |= {"B": empty(tokens, 1, 16), "C": empty(tokens, 1, 16)}
    bounds = torch.empty(2, dtype=torch.int32, device="meta")
    y, _ = selective_scan_triton(**given, cu_seqlens=bounds, chunk_size=16)
    torch.autograd.grad(y, list(given.values()), torch.empty_like(y))
    assert len(grids) == 9
    # What CUDA allows along y and z; along x it is 2**31 - 1.
    assert max(size for grid in grids for size in grid[1:]) <= 65535


@pytest.mark.usefixtures("gpu_extremes")
@pytest.mark.parametrize("name", ["dt", "dt_bias", "A"])
@pytest.mark.parametrize("softplus", [True, False])
def test_a_step_that_is_not_a_number_is_not_forgotten(
    name: str, softplus: bool, scan_inputs: Any
) -> None:
    tensors, bounds = scan_inputs(lengths=(2, 3))
    tensors[name][..., 1] = float("nan")
    options: dict[str, Any] = {"dt_softplus": softplus, "dt_limit": (0.01, 5.0)}
    y, state = selective_scan_triton(**tensors, cu_seqlens=bounds, **options)
    assert y[:, 1].isnan().all()
    assert state[:, 1].isnan().all()
    assert y[:, 0].isfinite().all()


@pytest.mark.usefixtures("gpu_extremes")
def test_a_sequence_alone_is_the_same_and_one_that_is_not_a_number_spoils_no_other(
    scan_inputs: Any,
) -> None:
    tensors, bounds = scan_inputs(lengths=(3, 5, 20))
    options: dict[str, Any] = {"dt_softplus": True, "chunk_size": 16}
    per_token = ("x", "dt", "B", "C", "z")
    spoiled = {name: tensor.clone() for name, tensor in tensors.items()}
    for name in per_token:
        spoiled[name][3:8] = float("nan")
    found = results_and_gradients(selective_scan_triton, spoiled, cu_seqlens=bounds, **options)
    for name in ("y0", *per_token):
        assert torch.cat([found[name][:3], found[name][8:]]).isfinite().all(), name
        assert found[name][3:8].isnan().any()
    assert found["y1"][[0, 2]].isfinite().all()
    alone = tensors | {name: tensors[name][8:] for name in per_token}
    alone["initial_state"] = tensors["initial_state"][2:]
    bounds = torch.tensor([0, 20], device=bounds.device)
    y, state = selective_scan_triton(**alone, cu_seqlens=bounds, **options)
    assert torch.equal(y, found["y0"][8:])
    assert torch.equal(state[0], found["y1"][2])


def test_two_runs_are_equal_to_the_last_bit(scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs()
    first, second = (
        results_and_gradients(selective_scan_triton, tensors, cu_seqlens=bounds, chunk_size=16)
        for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_states_of_chunks_are_kept_only_for_a_gradient(scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs(without=("z",))
    tensors["x"].requires_grad_()
    y, _ = selective_scan_triton(**tensors, cu_seqlens=bounds)
    assert y.grad_fn is not None
    assert len(y.grad_fn.saved_tensors) > 0
    with torch.no_grad():
        assert selective_scan_triton(**tensors, cu_seqlens=bounds)[0].grad_fn is None


def test_the_op_takes_it_by_name(scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(3, 4), dtype=torch.float16)
    y, state = selective_scan(**tensors, cu_seqlens=bounds, impl="triton")
    assert (y.dtype, state.dtype) == (torch.float16, torch.float32)
    assert torch.equal(y, selective_scan_triton(**tensors, cu_seqlens=bounds)[0])


def test_what_it_cannot_take_is_refused_before_a_launch(scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs()
    with pytest.raises(ConfigError, match="dt_limit"):
        selective_scan(**tensors, cu_seqlens=bounds, dt_limit=(2.0, 1.0), impl="triton")
    wide = {name: tensor.double() for name, tensor in tensors.items()}
    with pytest.raises(BackendError, match="an argument is float64"):
        selective_scan(**wide, cu_seqlens=bounds, impl="triton")
