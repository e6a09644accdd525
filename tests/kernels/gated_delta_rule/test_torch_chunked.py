"""Tests of the chunked gated delta rule against the definition in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
import torch
from torch import Tensor

from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.kernels.gated_delta_rule.torch_chunked import gated_delta_rule_torch
from librehps.testing.agreement import disagreement
from librehps.testing.tolerances import TOLERANCES, relative_rms

NAMES = ("o", "final_state", "q", "k", "v", "g", "beta", "initial_state")
Rule = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Case:
    """Sizes and kinds of inputs; each field that is given differs from an ordinary case."""

    name: str = field(default="ordinary")
    lengths: tuple[int, ...] = (1, 2, 63, 64, 65, 127)
    key_heads: int = 2
    per_key: int = 2
    width: int = 16
    depth: int = 24
    decay: float = 0.5
    beta: float | None = None
    spread: float | None = None
    with_state: bool = True
    chunk_size: int = 64
    normalize: bool = True
    tolerance: str = "delta_rule"


CASES = (
    Case(),
    Case("one value head per key head", per_key=1),
    Case("three value heads per key head", key_heads=1, per_key=3),
    Case("more heads than a group holds", key_heads=18, per_key=1, width=4, depth=5),
    Case("deeper than wide", width=8, depth=40),
    Case("wider than deep", width=40, depth=8),
    Case("no initial state", with_state=False),
    Case("small chunks", chunk_size=16),
    Case("many chunks alone", lengths=(333,), key_heads=16, per_key=1, width=4, chunk_size=16),
    Case("lengths of all kinds", lengths=(1, 2, 63, 64, 65, 127, 500, 1337), width=8, depth=8),
    Case("width of the big models", lengths=(1, 65, 70), key_heads=1, per_key=3, width=128),
    Case("no decay", decay=0.0),
    Case("beta is 0", beta=0.0),
    Case("beta is 1", beta=1.0),
    Case("not normalised", normalize=False),
    Case("strong decay", decay=100.0, tolerance="delta_rule_decay"),
    Case("near-parallel keys", beta=1.0, decay=0.01, spread=0.01, tolerance="delta_rule_parallel"),
)


def arguments(case: Case) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    tokens, heads = sum(case.lengths), case.key_heads * case.per_key
    k = random(tokens, case.key_heads, case.width)
    if case.spread is not None:
        k = random(1, case.key_heads, case.width) + case.spread * k
    if not case.normalize:
        k = k / case.width**0.5
    beta = random(tokens, heads).sigmoid()
    if case.beta is not None:
        beta = torch.full_like(beta, case.beta)
    given = [
        random(tokens, case.key_heads, case.width),
        k,
        random(tokens, heads, case.depth),
        -torch.rand(tokens, heads, generator=generator, dtype=torch.float64) * case.decay,
        beta,
    ]
    if case.with_state:
        given.append(random(len(case.lengths), heads, case.width, case.depth))
    return given


def boundaries(lengths: tuple[int, ...]) -> Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0)


def results(
    rule: Rule, given: list[Tensor], case: Case, *, use: tuple[bool, bool] = (True, True)
) -> dict[str, Tensor]:
    """Outputs and every gradient of a random weighting of them."""
    own = [tensor.clone().requires_grad_() for tensor in given]
    options = {"chunk_size": case.chunk_size} if rule is gated_delta_rule_torch else {}
    out = rule(
        *own[:5],
        cu_seqlens=boundaries(case.lengths),
        initial_state=own[5] if case.with_state else None,
        normalize_qk=case.normalize,
        **options,
    )
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros((), dtype=torch.float64)
    for part, used in zip(out, use, strict=True):
        weighting = torch.randn(part.shape, generator=generator, dtype=torch.float64)
        total = total + (part.double() * weighting).sum() * used
    grads = torch.autograd.grad(total, own)
    return dict(zip(NAMES, (*out, *grads), strict=False))


@cache
def expected(case: Case) -> dict[str, Tensor]:
    """Results of the definition, computed once per case."""
    return results(gated_delta_rule_reference, arguments(case), case)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_forward_and_every_gradient_equal_the_definition(case: Case, dtype: torch.dtype) -> None:
    given = [tensor.to(dtype) for tensor in arguments(case)]
    limit = TOLERANCES[f"{case.tolerance}_{str(dtype).removeprefix('torch.')}"].limit
    for name, actual in results(gated_delta_rule_torch, given, case).items():
        assert actual.dtype == dtype, name
        assert relative_rms(actual, expected(case)[name]) <= limit, name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_gates_are_made_as_defined(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    given = {"q": random(40, 1, 6), "k": random(40, 1, 6), "v": random(40, 2, 5)}
    given |= {"g": 5 * random(40, 2), "beta": 5 * random(40, 2)}
    given |= {"A_log": random(2), "dt_bias": random(2) - 4}
    given = {name: tensor.to(dtype) for name, tensor in given.items()}
    bounds = torch.tensor([0, 7, 40])
    errors = disagreement(
        gated_delta_rule_torch, gated_delta_rule_reference, given, cu_seqlens=bounds
    )
    assert {"A_log", "dt_bias"} < set(errors)
    limit = TOLERANCES[f"delta_rule_{str(dtype).removeprefix('torch.')}"].limit
    assert max(errors.values()) <= limit, errors


def test_bfloat16_is_rounded_inputs_computed_in_float32() -> None:
    case = Case()
    rounded = [tensor.bfloat16() for tensor in arguments(case)[:5]]
    state = arguments(case)[5].float()
    wide = results(
        gated_delta_rule_reference, [*(tensor.double() for tensor in rounded), state.double()], case
    )
    actual = results(gated_delta_rule_torch, [*rounded, state], case)
    for name, tensor in actual.items():
        own = torch.float32 if name in ("final_state", "initial_state") else torch.bfloat16
        assert tensor.dtype == own, name
        # The gradient of the initial state comes from one of the outputs, which is rounded.
        limit = TOLERANCES[
            "delta_rule_float32" if name == "final_state" else "delta_rule_bfloat16"
        ].limit
        assert relative_rms(tensor, wide[name]) <= limit, name


@pytest.mark.parametrize("use", [(True, False), (False, True)], ids=["o", "final_state"])
@pytest.mark.parametrize("with_state", [True, False], ids=["state", "no_state"])
def test_gradients_of_one_result_alone(use: tuple[bool, bool], with_state: bool) -> None:
    case = Case(lengths=(5, 140, 64), with_state=with_state)
    given = arguments(case)
    actual = results(gated_delta_rule_torch, given, case, use=use)
    wanted = results(gated_delta_rule_reference, given, case, use=use)
    for name, tensor in actual.items():
        assert relative_rms(tensor, wanted[name]) <= TOLERANCES["delta_rule_float64"].limit, name


def test_gradients_of_inputs_that_nothing_else_uses() -> None:
    case = Case(lengths=(5, 3))
    given = arguments(case)
    wanted = results(gated_delta_rule_torch, given, case)["g"]
    own = [tensor.clone() for tensor in given]
    own[3].requires_grad_()
    o, state = gated_delta_rule_torch(
        *own[:5], cu_seqlens=boundaries(case.lengths), initial_state=own[5]
    )
    generator = torch.Generator().manual_seed(1)
    total = (o * torch.randn(o.shape, generator=generator, dtype=torch.float64)).sum()
    total += (state * torch.randn(state.shape, generator=generator, dtype=torch.float64)).sum()
    assert torch.equal(torch.autograd.grad(total, own[3])[0], wanted)


def test_gradcheck() -> None:
    case = Case(lengths=(2, 17), key_heads=1, per_key=2, width=2, depth=1, chunk_size=16)
    given = [tensor.requires_grad_() for tensor in arguments(case)]

    def rule(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return gated_delta_rule_torch(
            *tensors[:5],
            cu_seqlens=boundaries(case.lengths),
            initial_state=tensors[5],
            chunk_size=case.chunk_size,
        )

    assert torch.autograd.gradcheck(rule, given)


@pytest.mark.parametrize("g", [-50.0, -1e4, float("-inf")], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_strong_decay_forgets_and_gives_no_nan(g: float, dtype: torch.dtype) -> None:
    case = Case(lengths=(1, 130))
    given = [tensor.to(dtype) for tensor in arguments(case)]
    given[3] = torch.full_like(given[3], g)
    actual = results(gated_delta_rule_torch, given, case)
    for name, tensor in actual.items():
        assert tensor.isfinite().all(), name
    # Nothing depends on the decay any more: what cancels must cancel to the last digit.
    assert actual["g"].abs().max() < 1e-15
    # Everything before a token is forgotten, so the state holds the last token's write alone.
    q, k, v, _, beta, _ = (tensor.double() for tensor in given)
    alone, _ = gated_delta_rule_reference(
        q, k, v, torch.zeros_like(beta), beta, cu_seqlens=torch.arange(132)
    )
    limit = TOLERANCES[f"delta_rule_{str(dtype).removeprefix('torch.')}"].limit
    assert relative_rms(actual["o"], alone) <= limit


def test_a_strong_decay_in_the_middle_spoils_nothing_after_it() -> None:
    case = Case(lengths=(150,), decay=0.05)
    given = arguments(case)
    given[3][5] = -5000.0
    given[3][70] = -800.0
    wanted = results(gated_delta_rule_reference, given, case)
    actual = results(gated_delta_rule_torch, [tensor.float() for tensor in given], case)
    for name, tensor in actual.items():
        limit = TOLERANCES["delta_rule_float32"].limit
        assert relative_rms(tensor, wanted[name]) <= limit, name


@pytest.mark.parametrize("cut", [1, 2, 63, 64, 65, 100, 149])
def test_a_sequence_cut_anywhere_continues_from_its_state(cut: int) -> None:
    case = Case(lengths=(150,))
    *tokens, state = [tensor.float() for tensor in arguments(case)]
    whole, final = gated_delta_rule_torch(
        *tokens, cu_seqlens=torch.tensor([0, 150]), initial_state=state
    )
    head, middle = gated_delta_rule_torch(
        *(x[:cut] for x in tokens), cu_seqlens=torch.tensor([0, cut]), initial_state=state
    )
    tail, end = gated_delta_rule_torch(
        *(x[cut:] for x in tokens), cu_seqlens=torch.tensor([0, 150 - cut]), initial_state=middle
    )
    limit = TOLERANCES["delta_rule_float32"].limit
    assert relative_rms(torch.cat([head, tail]), whole) <= limit
    assert relative_rms(end, final) <= limit


def test_a_sequence_does_not_depend_on_its_neighbours() -> None:
    case = Case(lengths=(70, 1, 25, 131, 64))
    given = [tensor.float() for tensor in arguments(case)]
    packed = results(gated_delta_rule_torch, given, case)
    limit = TOLERANCES["delta_rule_float32"].limit
    start = 0
    for index, length in enumerate(case.lengths):
        own = slice(start, start + length)
        alone, final = gated_delta_rule_torch(
            *(x[own].clone() for x in given[:5]),
            cu_seqlens=torch.tensor([0, length]),
            initial_state=given[5][index : index + 1],
        )
        assert relative_rms(packed["o"][own], alone) <= limit
        assert relative_rms(packed["final_state"][index], final[0]) <= limit
        start += length


def test_a_sequence_that_is_not_a_number_spoils_no_other() -> None:
    case = Case(lengths=(70, 20, 40))
    given = [tensor.float() for tensor in arguments(case)]
    for tensor in given[:5]:
        tensor[70:90] = float("nan")
    actual = results(gated_delta_rule_torch, given, case)
    for name in ("o", "q", "k", "v", "g", "beta"):
        clean = torch.cat([actual[name][:70], actual[name][90:]])
        assert clean.isfinite().all(), name
    assert actual["final_state"][[0, 2]].isfinite().all()
    assert not actual["o"][70:90].isfinite().any()


def test_inputs_that_are_views_are_read_in_place() -> None:
    case = Case(lengths=(5, 70), key_heads=1, per_key=1, width=8, depth=8)
    given = arguments(case)
    wide = torch.cat(given[:3], dim=-1)
    views = [*wide.split(8, dim=-1), *given[3:]]
    for name, tensor in results(gated_delta_rule_torch, given, case).items():
        assert torch.equal(tensor, views_results(views, case)[name]), name


def views_results(views: list[Tensor], case: Case) -> dict[str, Tensor]:
    leaves = [tensor.detach().requires_grad_() for tensor in views]
    assert not leaves[0].is_contiguous()
    out = gated_delta_rule_torch(
        *leaves[:5], cu_seqlens=boundaries(case.lengths), initial_state=leaves[5]
    )
    generator = torch.Generator().manual_seed(1)
    total = sum(
        (part * torch.randn(part.shape, generator=generator, dtype=torch.float64)).sum()
        for part in out
    )
    return dict(zip(NAMES, (*out, *torch.autograd.grad(total, leaves)), strict=True))


def test_nothing_is_kept_for_a_gradient_that_nobody_wants() -> None:
    case = replace(Case(), lengths=(300,))
    given = arguments(case)
    with torch.no_grad():
        o, _ = gated_delta_rule_torch(*given[:5], cu_seqlens=boundaries(case.lengths))
    assert o.grad_fn is None
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        gated_delta_rule_torch(
            *(tensor.requires_grad_() for tensor in given[:5]), cu_seqlens=boundaries(case.lengths)
        )
    # The five inputs, and a state [R, HK, K, V] every other chunk but the first.
    assert [tuple(tensor.shape) for tensor in kept[5:]] == [(2, 2, 16, 24)] * 2


def test_a_second_derivative_is_refused() -> None:
    case = Case(lengths=(5,))
    given = [tensor.requires_grad_() for tensor in arguments(case)]
    o, _ = gated_delta_rule_torch(*given[:5], cu_seqlens=boundaries(case.lengths))
    (grad,) = torch.autograd.grad(o.square().sum(), given[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("cut", [1, 63, 64, 65, 149])
def test_gradients_flow_back_through_a_state_that_was_handed_over(cut: int) -> None:
    case = Case(lengths=(150,))
    given = arguments(case)

    def in_two(*tensors: Tensor, cu_seqlens: Tensor, **options: object) -> tuple[Tensor, Tensor]:
        total, state = int(cu_seqlens[-1]), options["initial_state"]
        parts: list[Tensor] = []
        for own in (slice(0, cut), slice(cut, total)):
            out, state = gated_delta_rule_torch(
                *(x[own] for x in tensors),
                cu_seqlens=torch.tensor([0, own.stop - own.start]),
                initial_state=state,
            )
            parts.append(out)
        return torch.cat(parts), state

    whole = results(gated_delta_rule_torch, given, case)
    for name, tensor in results(in_two, given, case).items():
        assert relative_rms(tensor, whole[name]) <= TOLERANCES["delta_rule_float64"].limit, name


def test_inputs_stay_as_they_are_and_a_graph_can_be_used_twice() -> None:
    case = Case(lengths=(5, 70), chunk_size=16)
    given = arguments(case)
    own = [tensor.clone().requires_grad_() for tensor in given]
    o, state = gated_delta_rule_torch(
        *own[:5], cu_seqlens=boundaries(case.lengths), initial_state=own[5], chunk_size=16
    )
    total = o.sin().sum() + state.square().sum()
    first = torch.autograd.grad(total, own, retain_graph=True)
    for once, again in zip(first, torch.autograd.grad(total, own), strict=True):
        assert torch.equal(once, again)
    for before, after in zip(given, own, strict=True):
        assert torch.equal(before, after)


def test_autocast_changes_nothing() -> None:
    case = Case(lengths=(5, 70))
    given = [tensor.float() for tensor in arguments(case)]
    plain = results(gated_delta_rule_torch, given, case)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = results(gated_delta_rule_torch, given, case)
    for name, tensor in mixed.items():
        assert torch.equal(tensor, plain[name]), name
