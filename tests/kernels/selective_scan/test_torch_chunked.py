"""Tests of the chunked selective scan against the definition in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import inf
from typing import Any

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from librehps.kernels.selective_scan.reference import selective_scan_reference
from librehps.kernels.selective_scan.torch_chunked import selective_scan_torch
from librehps.testing.agreement import results_and_gradients
from librehps.testing.tolerances import TOLERANCES, relative_rms

Rule = Callable[..., tuple[Tensor, Tensor]]
PER_TOKEN = ("x", "dt", "B", "C", "z")


@dataclass(frozen=True)
class Case:
    """Sizes and kinds of inputs; each field that is given differs from an ordinary case."""

    name: str = field(default="ordinary")
    lengths: tuple[int, ...] = (1, 2, 17, 65, 33)
    groups: int = 3
    per_group: int = 2
    width: int = 5
    depth: int = 7
    rate: float = 1.0
    softplus: bool = True
    limit: tuple[float, float] = (0.0, inf)
    without: tuple[str, ...] = ()
    chunk_size: int = 64

    @property
    def cu_seqlens(self) -> Tensor:
        return torch.tensor([0, *self.lengths], dtype=torch.int32).cumsum(0)


CASES = (
    Case("all lengths", lengths=(1, 2, 63, 64, 65, 127, 500, 1337)),
    Case("one group", groups=1, per_group=3),
    Case("a group per head", groups=5, per_group=1),
    Case("deeper than wide", groups=1, width=1, depth=24),
    Case("wider than deep", groups=2, width=24, depth=1),
    Case("no initial state", without=("initial_state",)),
    Case("the scan alone", without=("D", "z", "dt_bias", "initial_state"), softplus=False),
    Case("limited steps", limit=(0.4, 1.1)),
    Case("small chunks", lengths=(40, 15, 16, 17, 100), chunk_size=16),
    Case("large chunks", lengths=(140, 3), chunk_size=128),
    Case("no decay", rate=0.0),
    Case("weak decay", rate=1e-3),
    Case("strong decay", rate=100.0),
)


def arguments(case: Case) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    tokens, heads = sum(case.lengths), case.groups * case.per_group
    given = {
        "x": random(tokens, heads, case.depth),
        "dt": random(tokens, heads),
        "A": -(0.1 + random(heads).abs()) * case.rate,
        "B": random(tokens, case.groups, case.width),
        "C": random(tokens, case.groups, case.width),
        "D": random(heads),
        "z": random(tokens, heads, case.depth),
        "dt_bias": random(heads),
        "initial_state": random(len(case.lengths), heads, case.width, case.depth),
    }
    return {name: tensor for name, tensor in given.items() if name not in case.without}


def call(rule: Rule, given: dict[str, Tensor], case: Case) -> tuple[Tensor, Tensor]:
    options: dict[str, Any] = {"dt_softplus": case.softplus, "dt_limit": case.limit}
    if rule is selective_scan_torch:
        options["chunk_size"] = case.chunk_size
    return rule(**given, cu_seqlens=case.cu_seqlens, **options)


def results(
    rule: Rule, given: dict[str, Tensor], case: Case, *, only: int | None = None
) -> dict[str, Tensor]:
    """Outputs, or one of them, and every gradient."""

    def chosen(**tensors: Tensor) -> tuple[Tensor, ...]:
        out = call(rule, tensors, case)
        return out if only is None else (out[only],)

    return results_and_gradients(chosen, given)


def limit(dtype: torch.dtype) -> float:
    return TOLERANCES[f"selective_scan_{str(dtype).removeprefix('torch.')}"].limit


@cache
def expected(case: Case) -> dict[str, Tensor]:
    """Results of the definition, computed once per case."""
    return results(selective_scan_reference, arguments(case), case)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_forward_and_every_gradient_equal_the_definition(case: Case, dtype: torch.dtype) -> None:
    given = {name: tensor.to(dtype) for name, tensor in arguments(case).items()}
    for name, actual in results(selective_scan_torch, given, case).items():
        assert actual.dtype == dtype, name
        assert relative_rms(actual, expected(case)[name]) <= limit(dtype), name


@settings(max_examples=15, deadline=None)
@drawn(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.3, 30.0]),
)
def test_any_sizes(
    lengths: list[int], groups: int, per_group: int, width: int, depth: int, rate: float
) -> None:
    case = Case(
        lengths=tuple(lengths),
        groups=groups,
        per_group=per_group,
        width=width,
        depth=depth,
        rate=rate,
        chunk_size=16,
    )
    given = arguments(case)
    for actual, wanted in zip(
        call(selective_scan_torch, given, case),
        call(selective_scan_reference, given, case),
        strict=True,
    ):
        assert relative_rms(actual, wanted) <= limit(torch.float64)


def test_bfloat16_is_rounded_inputs_computed_in_float32() -> None:
    case = Case()
    wide = arguments(case)
    rounded = {name: wide[name].bfloat16() for name in PER_TOKEN}
    rest = {name: tensor.float() for name, tensor in wide.items() if name not in rounded}
    exact = {name: tensor.double() for name, tensor in (rounded | rest).items()}
    wanted = results(selective_scan_reference, exact, case)
    for name, actual in results(selective_scan_torch, rounded | rest, case).items():
        kept = torch.bfloat16 if name in {"y0", *PER_TOKEN} else torch.float32
        assert actual.dtype == kept, name
        accuracy = torch.float32 if name == "y1" else torch.bfloat16
        assert relative_rms(actual, wanted[name]) <= limit(accuracy), name


@pytest.mark.parametrize("only", [0, 1], ids=["y", "final_state"])
def test_gradients_of_one_result_alone(only: int) -> None:
    case = Case(lengths=(5, 140, 64))
    given = arguments(case)
    wanted = results(selective_scan_reference, given, case, only=only)
    for name, tensor in results(selective_scan_torch, given, case, only=only).items():
        assert relative_rms(tensor, wanted[name]) <= limit(torch.float64), name


def test_gradcheck() -> None:
    case = Case(lengths=(2, 5), groups=1, width=2, depth=1, chunk_size=4)
    given = arguments(case)

    def rule(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return call(selective_scan_torch, dict(zip(given, tensors, strict=True)), case)

    assert torch.autograd.gradcheck(rule, [tensor.requires_grad_() for tensor in given.values()])


@pytest.mark.parametrize("rate", [-50.0, -1e4, -1e30], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_strong_decay_forgets_and_gives_no_nan(rate: float, dtype: torch.dtype) -> None:
    case = Case(lengths=(1, 130), softplus=False, without=("dt_bias", "initial_state"))
    given = {name: tensor.to(dtype) for name, tensor in arguments(case).items()}
    given["dt"] = torch.ones_like(given["dt"])
    given["A"] = torch.full_like(given["A"], rate)
    actual = results(selective_scan_torch, given, case)
    for name, tensor in actual.items():
        assert tensor.isfinite().all(), name
    # Nothing depends on the decay any more: what cancels must cancel to the last digit.
    assert actual["A"].abs().max() < 1e-15
    # Everything before a token is forgotten: it reads what it writes.
    x, B, C, D, z = (given[name].double() for name in ("x", "B", "C", "D", "z"))
    itself = (B * C).sum(-1, keepdim=True).repeat_interleave(case.per_group, dim=1)
    wanted = (itself + D[:, None]) * x * torch.nn.functional.silu(z)
    assert relative_rms(actual["y0"], wanted) <= limit(dtype)


def test_a_strong_decay_in_the_middle_spoils_nothing_after_it() -> None:
    case = Case(lengths=(150,), softplus=False, rate=0.05, without=("dt_bias",))
    given = arguments(case)
    given["dt"] = given["dt"].abs()
    for place, step in ((5, 1e6), (70, 3e4)):
        given["dt"][place] = step
        given["x"][place] /= step
    wanted = results(selective_scan_reference, given, case)
    narrow = {name: tensor.float() for name, tensor in given.items()}
    for name, actual in results(selective_scan_torch, narrow, case).items():
        error = relative_rms(actual, wanted[name])
        if name == "x":
            # The two huge steps make up all of the gradient at their own tokens.
            others = [t for t in range(150) if t not in (5, 70)]
            error = relative_rms(actual[others], wanted[name][others])
        assert error <= limit(torch.float32), name


@pytest.mark.parametrize("cut", [1, 2, 63, 64, 65, 100, 149])
def test_a_sequence_cut_anywhere_continues_from_its_state(cut: int) -> None:
    given = arguments(Case(lengths=(150,)))

    def in_two(*, cu_seqlens: Tensor, initial_state: Tensor, **rest: Any) -> tuple[Tensor, Tensor]:
        parts: list[Tensor] = []
        for own in (slice(0, cut), slice(cut, 150)):
            part = {name: rest[name][own] if name in PER_TOKEN else rest[name] for name in rest}
            y, initial_state = selective_scan_torch(
                **part,
                cu_seqlens=torch.tensor([0, own.stop - own.start]),
                initial_state=initial_state,
            )
            parts.append(y)
        return torch.cat(parts), initial_state

    case = Case(lengths=(150,))
    whole = results(selective_scan_torch, given, case)
    for name, tensor in results(in_two, given, case).items():
        assert relative_rms(tensor, whole[name]) <= limit(torch.float64), name


def test_a_sequence_does_not_depend_on_its_neighbours() -> None:
    case = Case(lengths=(70, 1, 25, 131, 64))
    given = {name: tensor.float() for name, tensor in arguments(case).items()}
    y, state = call(selective_scan_torch, given, case)
    start = 0
    for index, length in enumerate(case.lengths):
        own = slice(start, start + length)
        alone = given | {name: given[name][own] for name in PER_TOKEN}
        alone["initial_state"] = given["initial_state"][index : index + 1]
        own_y, own_state = call(selective_scan_torch, alone, Case(lengths=(length,)))
        assert relative_rms(y[own], own_y) <= limit(torch.float32)
        assert relative_rms(state[index], own_state[0]) <= limit(torch.float32)
        start += length


def test_a_sequence_that_is_not_a_number_spoils_no_other() -> None:
    case = Case(lengths=(70, 20, 40))
    given = {name: tensor.float() for name, tensor in arguments(case).items()}
    for name in PER_TOKEN:
        given[name][70:90] = float("nan")
    actual = results(selective_scan_torch, given, case)
    for name in ("y0", *PER_TOKEN):
        assert torch.cat([actual[name][:70], actual[name][90:]]).isfinite().all(), name
    assert actual["y1"][[0, 2]].isfinite().all()
    assert not actual["y0"][70:90].isfinite().any()


def test_inputs_that_are_views_are_read_and_left_as_they_are() -> None:
    case = Case(lengths=(5, 70), groups=1, per_group=1, depth=5)
    given = arguments(case)
    wide = torch.cat([given[name] for name in ("x", "B", "C")], dim=-1)
    before = wide.clone()
    views = given | dict(zip(("x", "B", "C"), wide.split(5, dim=-1), strict=True))
    assert not views["x"].is_contiguous()
    for actual, wanted in zip(
        call(selective_scan_torch, views, case),
        call(selective_scan_torch, given, case),
        strict=True,
    ):
        assert torch.equal(actual, wanted)
    assert torch.equal(wide, before)


def test_autocast_changes_nothing() -> None:
    case = Case(lengths=(5, 70))
    given = {name: tensor.float() for name, tensor in arguments(case).items()}
    plain = call(selective_scan_torch, given, case)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = call(selective_scan_torch, given, case)
    for actual, wanted in zip(mixed, plain, strict=True):
        assert torch.equal(actual, wanted)
