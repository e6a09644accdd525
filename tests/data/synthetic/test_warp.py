from __future__ import annotations

import numpy as np
import pytest

from librehps.data.synthetic.warp import MAX_REACH, WARPS, Warp, apply_warp

RADIUS = 20.0
AXIS = np.arange(-40, 40, dtype=np.float32) + np.float32(0.5)
U, V = (part.astype(np.float32) for part in np.meshgrid(AXIS, -AXIS))


def moved(warp: Warp) -> np.ndarray:
    """Return how far from itself each pixel looks, in pixels."""
    u, v = apply_warp(U, V, warp, radius=RADIUS)
    assert u.dtype == v.dtype == np.float32
    return np.hypot(u - U, v - V)


@pytest.mark.parametrize("kind", WARPS)
def test_a_stronger_warp_moves_more(kind: str) -> None:
    means = [
        np.mean([moved(Warp(kind, strength, seed)).mean() for seed in range(8)])
        for strength in (0.05, 0.3, 0.6, 1.0)
    ]
    assert means == sorted(means)
    assert means[-1] > 1.5 * means[0] > 0


@pytest.mark.parametrize("kind", WARPS)
def test_what_was_inside_stays_within_the_reach(kind: str) -> None:
    for seed in range(20):
        u, v = apply_warp(U, V, Warp(kind, 1.0, seed), radius=RADIUS)
        from_inside = np.hypot(u, v) <= RADIUS
        assert np.hypot(U, V)[from_inside].max() <= MAX_REACH * RADIUS + 1, seed


def test_shuffled_tiles_hold_what_was_there() -> None:
    u, v = apply_warp(U, V, Warp("shuffled", 1.0, 3), radius=RADIUS)
    square = (abs(U) < RADIUS) & (abs(V) < RADIUS)
    # A permutation of tiles: every place in the square is read once.
    read = sorted(zip(np.rint(u[square] * 3), np.rint(v[square] * 3), strict=True))
    assert len({(int(x), int(y)) for x, y in read}) > 0.8 * len(read)
    assert (moved(Warp("shuffled", 1.0, 3))[~square] == 0).all()


def test_the_seed_decides() -> None:
    one, same, other = (moved(Warp("melted", 1.0, seed)) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
