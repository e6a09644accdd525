"""Tests of the definition of the gated delta rule."""

from __future__ import annotations

import math

import torch

from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.testing.tolerances import TOLERANCES, relative_rms

ONE = torch.tensor([0, 2])


def run(
    k: list[float], v: list[float], g: list[float], beta: list[float], *, normalize: bool = False
) -> tuple[list[float], float]:
    """One head of width one: two tokens, the query is 1."""
    column = [torch.tensor(x, dtype=torch.float64)[:, None] for x in (k, v, g, beta)]
    o, state = gated_delta_rule_reference(
        torch.ones(2, 1, 1, dtype=torch.float64),
        column[0][:, None],
        column[1][:, None],
        column[2],
        column[3],
        cu_seqlens=ONE,
        normalize_qk=normalize,
    )
    return o.flatten().tolist(), state.item()


def test_a_full_write_replaces_what_the_key_held() -> None:
    outputs, state = run([1.0, 1.0], [3.0, 5.0], [0.0, 0.0], [1.0, 1.0])
    assert outputs == [3.0, 5.0]
    assert state == 5.0


def test_the_state_decays_before_it_is_read() -> None:
    half = torch.tensor(0.5, dtype=torch.float64).log().item()
    outputs, state = run([1.0, 1.0], [4.0, 10.0], [0.0, half], [1.0, 0.5])
    # 4 decays to 2; half of the difference to 10 is written.
    torch.testing.assert_close(torch.tensor(outputs), torch.tensor([4.0, 6.0]))
    assert abs(state - 6.0) < 1e-12


def test_beta_zero_writes_nothing() -> None:
    assert run([1.0, 1.0], [3.0, 5.0], [0.0, 0.0], [0.0, 0.0]) == ([0.0, 0.0], 0.0)


def test_gates_of_a_layer() -> None:
    given = [torch.tensor(x, dtype=torch.float64) for x in ([[[1.0]]] * 2, [[[4.0]], [[10.0]]])]
    # exp(A_log) softplus(a + dt_bias) = 2 log(1 + e^0); sigmoid(b) = 1/4.
    a, b = (torch.full((2, 1), x, dtype=torch.float64) for x in (3.0, -math.log(3.0)))
    gates = {"A_log": torch.tensor([math.log(2.0)]), "dt_bias": torch.tensor([-3.0])}
    o, _ = gated_delta_rule_reference(
        given[0], *given, a, b, cu_seqlens=ONE, normalize_qk=False, **gates
    )
    # A quarter of 4 decays to a quarter of it; a quarter of the difference to 10 is written.
    torch.testing.assert_close(o.flatten(), torch.tensor([1.0, 0.25 + 9.75 / 4]).double())


def test_queries_are_scaled_after_the_normalisation_and_heads_are_shared_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 2, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    v = torch.randn(1, 4, 3, generator=generator, dtype=torch.float64)
    zero, one = torch.zeros(1, 4).double(), torch.ones(1, 4).double()
    o, _ = gated_delta_rule_reference(q, k, v, zero, one, cu_seqlens=torch.tensor([0, 1]))
    unit = [x / x.norm(dim=-1, keepdim=True) for x in (q, k)]
    for head in range(4):
        # One token from nothing: o = v (q k) / sqrt(4), heads 0 and 1 reading key head 0.
        overlap = (unit[0][0, head // 2] * unit[1][0, head // 2]).sum() / 2
        torch.testing.assert_close(o[0, head], v[0, head] * overlap, rtol=1e-5, atol=1e-8)


def test_sequences_begin_from_their_own_state() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    q, k, v, state = random(5, 1, 4), random(5, 1, 4), random(5, 2, 3), random(2, 2, 4, 3)
    g, beta = -random(5, 2).abs(), random(5, 2).sigmoid()
    packed, finals = gated_delta_rule_reference(
        q, k, v, g, beta, cu_seqlens=torch.tensor([0, 2, 5]), initial_state=state
    )
    for index, own in enumerate((slice(0, 2), slice(2, 5))):
        alone, final = gated_delta_rule_reference(
            *(x[own] for x in (q, k, v, g, beta)),
            cu_seqlens=torch.tensor([0, own.stop - own.start]),
            initial_state=state[index : index + 1],
        )
        assert torch.equal(packed[own], alone)
        assert torch.equal(finals[index], final[0])


def test_the_recurrence_is_a_product_of_matrices() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    q, k, v, before = random(6, 1, 4), random(6, 1, 4), random(6, 1, 3), random(1, 1, 4, 3)
    g, beta = -random(6, 1).abs(), random(6, 1).sigmoid()
    o, final = gated_delta_rule_reference(
        q, k, v, g, beta, cu_seqlens=torch.tensor([0, 6]), initial_state=before
    )
    unit = [x[:, 0] / (x[:, 0].square().sum(dim=-1, keepdim=True) + 1e-6).sqrt() for x in (q, k)]
    # S_t = A_t ... A_1 S_0 + sum_j A_t ... A_{j+1} beta_j k_j v_jᵀ, A = exp(g) (I - beta k kᵀ).
    eye = torch.eye(4, dtype=torch.float64)
    steps = [g[t].exp() * (eye - beta[t] * unit[1][t].outer(unit[1][t])) for t in range(6)]
    limit = TOLERANCES["kernel_definitions_float64"].limit
    for last in range(6):
        terms = [before[0, 0], *(beta[j] * unit[1][j].outer(v[j, 0]) for j in range(last + 1))]
        for number, step in enumerate(steps[: last + 1]):
            terms[: number + 1] = [step @ term for term in terms[: number + 1]]
        state = sum(terms)
        assert relative_rms(o[last, 0], unit[0][last] @ state / 2) <= limit
    assert relative_rms(final[0, 0], state) <= limit


def test_autocast_does_not_narrow_it() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 5, 2, 8, generator=generator)
    g, beta = torch.rand(2, 5, 2, generator=generator)
    bounds = torch.tensor([0, 5])
    plain = gated_delta_rule_reference(q, k, v, -g, beta, cu_seqlens=bounds)
    with torch.autocast("cpu", torch.bfloat16):
        narrowed = gated_delta_rule_reference(q, k, v, -g, beta, cu_seqlens=bounds)
    assert all(torch.equal(*pair) for pair in zip(plain, narrowed, strict=True))
