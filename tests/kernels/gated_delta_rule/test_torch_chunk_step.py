"""Tests of the algebra of one chunk."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels.gated_delta_rule.torch_chunk_step import (
    forward_step,
    invert_unit_lower_,
    pair_decays,
    prepare,
    state_after,
    trace_step,
)
from librehps.testing.tolerances import TOLERANCES, relative_rms


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 31, 34, 48, 63, 64, 128])
def test_inverse_of_unit_lower_triangular_matrices(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    lower = torch.randn(5, size, size, generator=generator, dtype=torch.float64).tril(-1) * 0.2
    full = lower + torch.eye(size, dtype=torch.float64)
    # What is on the diagonal is not looked at.
    given = lower + torch.diag(torch.full((size,), 7.0, dtype=torch.float64))
    inverse = invert_unit_lower_(given)
    assert inverse is given
    assert torch.equal(inverse, inverse.tril())
    torch.testing.assert_close(
        inverse @ full, torch.eye(size, dtype=torch.float64).expand(5, -1, -1)
    )


def test_inverse_for_equal_keys_does_not_lose_digits() -> None:
    # All keys equal and rate 1: the inverse is a difference of neighbours, though powers of the
    # matrix grow to 1e17.
    inverse = invert_unit_lower_(torch.ones(1, 64, 64).tril())
    expected = torch.eye(64) - torch.eye(64).roll(1, 0).tril()
    assert torch.equal(inverse[0], expected)


def test_decays_between_pairs_never_overflow() -> None:
    total = torch.tensor([-50.0, -3000.0, -3000.5, -1e5], dtype=torch.float64).view(1, 1, 4, 1)
    pairs = pair_decays(total, torch.float32)[0, 0]
    assert pairs.isfinite().all()
    assert torch.equal(pairs, pairs.tril())
    assert torch.equal(pairs.diagonal(), torch.ones(4))
    # After a strong decay the next small one is still exact to float32.
    torch.testing.assert_close(pairs[2, 1].item(), float(torch.tensor(-0.5).double().exp()))


def test_small_decays_after_a_strong_one_keep_their_digits() -> None:
    g = torch.full((64,), -0.01, dtype=torch.float64)
    g[0] = -5000.0
    total = g.cumsum(0).view(1, 1, 64, 1)
    exact = pair_decays(total, torch.float64)
    error = relative_rms(pair_decays(total, torch.float32), exact)
    assert error <= TOLERANCES["delta_rule_float32"].limit


def test_steps_of_a_sequence_give_the_recurrence() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    n, key_heads, per_key, width, depth = 2, 3, 2, 5, 4
    heads = key_heads * per_key
    tokens = (random(n, 7, key_heads, width), random(n, 7, key_heads, width))
    v, g, beta = random(n, 7, heads, depth), -random(n, 7, heads).abs(), random(n, 7, heads)
    wanted = torch.zeros(n, heads, width, depth, dtype=torch.float64)
    states: list[torch.Tensor | None] = [None] * per_key
    for part in (slice(0, 4), slice(4, 7)):
        chunk = prepare(
            *(x[:, part] for x in (*tokens, v)),
            g=g[:, part],
            beta=beta[:, part],
            normalize=False,
            dtype=torch.float64,
        )
        for head in range(per_key):
            trace = trace_step(chunk, head, states[head])
            traced = state_after(chunk, head, trace)
            read, states[head] = forward_step(chunk, head, states[head])
            torch.testing.assert_close(traced, states[head])
            outputs = read.view(n, key_heads, -1, depth)
            own = slice(head, None, per_key)
            for place, t in enumerate(range(part.start, part.stop)):
                wanted[:, own] *= g[:, t, own, None, None].exp()
                key = tokens[1][:, t, :, :, None]
                recalled = (wanted[:, own] * key).sum(dim=-2)
                update = beta[:, t, own, None] * (v[:, t, own] - recalled)
                wanted[:, own] += key * update[:, :, None]
                query = tokens[0][:, t, :, :, None] * width**-0.5
                torch.testing.assert_close(
                    outputs[:, :, place], (wanted[:, own] * query).sum(dim=-2)
                )
