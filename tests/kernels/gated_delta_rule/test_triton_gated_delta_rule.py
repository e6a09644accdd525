"""Tests of the triton gated delta rule against the definition in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_delta_rule import triton_gated_delta_rule as module
from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.kernels.gated_delta_rule.triton_gated_delta_rule import gated_delta_rule_triton
from librehps.testing.agreement import disagreement, results_and_gradients
from librehps.testing.poison import poisoned_memory
from librehps.testing.tolerances import TOLERANCES, relative_rms

NAMES = {"y0", "y1", "q", "k", "v", "g", "beta", "initial_state"}


@dataclass(frozen=True)
class Case:
    """Sizes and kinds of inputs; each field that is given differs from an ordinary case."""

    name: str = "ordinary"
    lengths: tuple[int, ...] = (1, 37)
    key_heads: int = 1
    per_key: int = 2
    width: int = 24
    depth: int = 20
    decay: float | tuple[float, ...] = 0.5
    beta: float | None = None
    spread: float | None = None
    with_state: bool = True
    with_gates: bool = False
    normalize: bool = True

    @property
    def options(self) -> dict[str, Tensor | bool]:
        bounds = torch.tensor([0, *self.lengths], dtype=torch.int32).cumsum(0)
        return {"cu_seqlens": bounds.to(torch.int32), "normalize_qk": self.normalize}

    def tensors(self, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        tokens, heads = sum(self.lengths), self.key_heads * self.per_key
        q, k = (random(tokens, self.key_heads, self.width) for _ in range(2))
        if self.spread is not None:
            k = random(1, self.key_heads, self.width) + self.spread * k
        if not self.normalize:
            k /= self.width**0.5
        beta = random(tokens, heads).sigmoid()
        if isinstance(self.decay, tuple):
            picked = torch.randint(len(self.decay), (tokens, heads), generator=generator)
            g = torch.tensor(self.decay)[picked]
        else:
            g = -torch.rand(tokens, heads, generator=generator) * self.decay
        given = {
            "q": q,
            "k": k,
            "v": random(tokens, heads, self.depth),
            "g": g,
            "beta": beta if self.beta is None else torch.full_like(beta, self.beta),
        }
        given = {name: tensor.to(dtype) for name, tensor in given.items()}
        # Whoever makes the decay keeps it wide.
        given["g"] = given["g"].float()
        if self.with_gates:
            # As a layer has them: steps and rates of its projections, some of them extreme.
            given["g"] = (3 * random(tokens, heads)).to(dtype)
            given["beta"] = (3 * random(tokens, heads)).to(dtype)
            given["g"][::7], given["beta"][::5], given["beta"][1::5] = -30.0, 40.0, -40.0
            given["A_log"] = torch.rand(heads, generator=generator) * 3
            given["dt_bias"] = random(heads) - 4
        if self.with_state:
            given["initial_state"] = random(len(self.lengths), heads, self.width, self.depth)
        return given


SMALL = (
    Case(),
    Case("strong decay", per_key=1, lengths=(33,), decay=(0.0, -0.01, -50.0)),
    Case("parallel", per_key=1, lengths=(33,), spread=0.01, beta=1.0, decay=0.01),
    Case("rate 0", per_key=1, lengths=(17,), beta=0.0, decay=0.0, with_state=False),
    Case("not normalised", per_key=1, lengths=(18,), width=16, depth=70, normalize=False),
    Case("gates", lengths=(1, 37), with_gates=True),
)
LARGE = (
    Case("gates as published", lengths=(129, 70), width=128, depth=128, with_gates=True),
    Case("many lengths", lengths=(1, 2, 63, 64, 65, 127), key_heads=2),
    Case("long", lengths=(500, 1337), per_key=1),
    Case("three for one", lengths=(65, 40), per_key=3),
    Case("as published", lengths=(129, 70), width=128, depth=128),
    Case("widths no power of two", lengths=(65, 40), width=100, depth=130),
    Case("strong decay", lengths=(150, 64), decay=(0.0, -0.01, -50.0, -5000.0)),
    Case("parallel", lengths=(150, 64), spread=0.01, beta=1.0, decay=0.01),
    Case("no decay", lengths=(150, 64), decay=0.0, with_state=False),
)


@pytest.fixture
def short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a state every 32 tokens, so that short sequences have several spans."""
    monkeypatch.setattr(module, "SPAN", 32)


def there(given: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in given.items()}


def demand_agreement(
    case: Case,
    dtype: torch.dtype,
    device: torch.device,
    *,
    tensors: dict[str, Tensor] | None = None,
) -> None:
    options = {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in case.options.items()
    }
    given = there(tensors or case.tensors(dtype), device)
    errors = disagreement(gated_delta_rule_triton, gated_delta_rule_reference, given, **options)
    made = {"A_log", "dt_bias"} if case.with_gates else set()
    assert set(errors) == (NAMES - (set() if case.with_state else {"initial_state"})) | made
    limit = TOLERANCES[f"delta_rule_triton_{str(dtype).removeprefix('torch.')}"].limit
    assert max(errors.values()) <= limit, errors


@pytest.mark.usefixtures("short_spans")
@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_forward_and_every_gradient_equal_the_definition(
    case: Case, triton_device: torch.device
) -> None:
    demand_agreement(case, torch.float32, triton_device)


def test_all_lengths_decays_and_rates_in_one_pack(triton_device: torch.device) -> None:
    lengths = (1, 2, 63, 64, 65, 127, 500, 1337)
    case = Case(lengths=lengths, per_key=1, width=8, depth=5, decay=(0.0, -0.02, -50.0))
    given = case.tensors()
    given["beta"][::3], given["beta"][1::3] = 1.0, 0.0
    # Keys of the shorter sequences are 1% apart, and decay or stay as they come.
    shorter = sum(lengths[:-1])
    given["k"][:shorter] = given["k"][0] + 0.01 * given["k"][:shorter]
    demand_agreement(case, torch.float32, triton_device, tensors=given)


# The interpreter computes wrongly in bfloat16, so that only a GPU can show anything about it.
HALVES = [torch.float16] + [torch.bfloat16] * torch.cuda.is_available()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_rounds_factors_only(
    dtype: torch.dtype, triton_device: torch.device
) -> None:
    demand_agreement(Case(lengths=(18,), per_key=1, with_gates=True), dtype, triton_device)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
@pytest.mark.parametrize("case", LARGE, ids=lambda case: case.name)
def test_large_packs(case: Case, dtype: torch.dtype, triton_device: torch.device) -> None:
    demand_agreement(case, dtype, triton_device)


def run(given: dict[str, Tensor], **options: object) -> tuple[Tensor, Tensor]:
    """Forward alone, in poisoned memory."""
    with torch.no_grad(), poisoned_memory():
        return gated_delta_rule_triton(**given, **options)


def test_a_sequence_alone_is_the_same_to_the_last_bit(triton_device: torch.device) -> None:
    case = Case(lengths=(5, 17, 2), per_key=1, with_state=False)
    given = there(case.tensors(), triton_device)
    bounds = case.options["cu_seqlens"].to(triton_device)
    o, final = run(given, cu_seqlens=bounds)
    alone = {name: tensor[5:22].clone() for name, tensor in given.items()}
    own, state = run(alone, cu_seqlens=torch.tensor([0, 17], device=triton_device))
    assert torch.equal(own, o[5:22])
    assert torch.equal(state[0], final[1])


@pytest.mark.usefixtures("gpu_extremes")
def test_a_sequence_that_is_not_a_number_spoils_no_other(triton_device: torch.device) -> None:
    case = Case(lengths=(5, 3, 18), per_key=1)
    given = there(case.tensors(), triton_device)
    for name in ("q", "k", "v", "g", "beta"):
        given[name][5:8] = float("nan")
    bounds = case.options["cu_seqlens"].to(triton_device)
    found = results_and_gradients(gated_delta_rule_triton, given, cu_seqlens=bounds)
    for name in ("y0", "q", "k", "v", "g", "beta"):
        assert torch.cat([found[name][:5], found[name][8:]]).isfinite().all(), name
    for name in ("y1", "initial_state"):
        assert found[name][[0, 2]].isfinite().all(), name
    assert not found["y0"][5:8].isfinite().any()


@pytest.mark.parametrize("g", [-1e4, float("-inf")], ids=str)
def test_a_memory_that_is_cleared_gives_no_nan_and_no_gradient(
    g: float, triton_device: torch.device
) -> None:
    case = Case(lengths=(18,), per_key=1)
    given = there(case.tensors(), triton_device)
    given["g"].fill_(g)
    bounds = case.options["cu_seqlens"].to(triton_device)
    found = results_and_gradients(gated_delta_rule_triton, given, cu_seqlens=bounds)
    assert all(tensor.isfinite().all() for tensor in found.values())
    assert not found["g"].any()
    assert not found["initial_state"].any()


def test_two_runs_are_equal_to_the_last_bit(triton_device: torch.device) -> None:
    # On a GPU enough programs to be unequal if any order were left to chance.
    sequences, heads = (40, 8) if triton_device.type == "cuda" else (2, 1)
    depth = 128 if sequences > 2 else 16
    case = Case(lengths=(17,) * sequences, key_heads=heads, depth=depth, with_gates=True)
    given = there(case.tensors(), triton_device)
    bounds = case.options["cu_seqlens"].to(triton_device)
    first, second = (
        results_and_gradients(gated_delta_rule_triton, given, cu_seqlens=bounds) for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("use", [0, 1], ids=["o", "final_state"])
def test_gradients_of_one_result_alone(use: int, triton_device: torch.device) -> None:
    case = Case(lengths=(18,), per_key=1, width=16, depth=16, with_state=False)
    given = there(case.tensors(), triton_device)

    def one(rule: object, dtype: torch.dtype) -> tuple[Tensor, ...]:
        leaves = {name: tensor.to(dtype).requires_grad_() for name, tensor in given.items()}
        bounds = case.options["cu_seqlens"].to(triton_device)
        result = rule(**leaves, cu_seqlens=bounds)[use]
        return torch.autograd.grad(result.sin().sum(), [*leaves.values()], allow_unused=True)

    wanted = one(gated_delta_rule_reference, torch.float64)
    with poisoned_memory():
        found = one(gated_delta_rule_triton, torch.float32)
    for actual, expected in zip(found, wanted, strict=True):
        # The final state does not depend on the queries.
        known = torch.zeros_like(actual) if expected is None else expected
        assert relative_rms(actual, known) <= TOLERANCES["delta_rule_triton_float32"].limit


def test_the_op_takes_it_by_name_and_reads_views_in_place(triton_device: torch.device) -> None:
    case = Case(lengths=(5,), width=16, depth=16, per_key=1)
    given = there(case.tensors(torch.float16), triton_device)
    wide = torch.full((5, 1, 3 * 16 + 4), float("nan"), dtype=torch.float16, device=triton_device)
    for place, name in enumerate("qkv"):
        given[name] = wide[..., 16 * place + 2 :][..., :16].copy_(given[name])
    bounds = case.options["cu_seqlens"].to(triton_device)
    found = gated_delta_rule(**given, cu_seqlens=bounds, impl="triton")
    assert (found[0].dtype, found[1].dtype) == (torch.float16, torch.float32)
    for actual, expected in zip(found, run(given, cu_seqlens=bounds), strict=True):
        assert torch.equal(actual, expected)
    wanted = gated_delta_rule(**given, cu_seqlens=bounds, impl="torch")
    limit = TOLERANCES["delta_rule_triton_float16"].limit
    assert relative_rms(found[0], wanted[0]) <= limit


# Parts of 2**31 elements and more are what long packs have, head by head.
def test_heads_may_lie_far_apart(far_apart: Any, triton_device: torch.device) -> None:
    case = Case(lengths=(3, 17), key_heads=3, per_key=1, width=16, depth=16)
    given = there(case.tensors(), triton_device)
    bounds = case.options["cu_seqlens"]
    far = given | {name: far_apart(given[name]) for name in "qkv"}
    wanted, found = (
        results_and_gradients(gated_delta_rule_triton, tensors, cu_seqlens=bounds)
        for tensors in (given, far)
    )
    for name, expected in wanted.items():
        assert torch.equal(found[name], expected), name


def test_nothing_is_kept_for_a_gradient_that_nobody_wants(triton_device: torch.device) -> None:
    case = Case(lengths=(2,), per_key=1, width=16, depth=16)
    given = there(case.tensors(), triton_device)
    bounds = case.options["cu_seqlens"].to(triton_device)
    kept: list[Tensor] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x)
    given["g"].requires_grad_()
    with torch.no_grad():
        o, _ = gated_delta_rule_triton(**given, cu_seqlens=bounds)
    assert o.grad_fn is None
    with hooks:
        gated_delta_rule_triton(**given, cu_seqlens=bounds)
    # The boundaries, the inputs, and a state for the one span there is.
    assert [tuple(x.shape) for x in kept if x.dim() == 4] == [(1, 1, 16, 16)]
    assert len(kept) == 7


def test_a_second_derivative_is_refused(triton_device: torch.device) -> None:
    case = Case(lengths=(2,), per_key=1, width=16, depth=16)
    given = there(case.tensors(), triton_device)
    given["q"].requires_grad_()
    o, _ = gated_delta_rule_triton(**given, cu_seqlens=torch.tensor([0, 2], device=triton_device))
    (grad,) = torch.autograd.grad(o.square().sum(), given["q"], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
