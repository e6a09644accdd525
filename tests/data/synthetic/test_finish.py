from __future__ import annotations

import numpy as np
import pytest

from librehps.data.synthetic.finish import FINISHES, Finish, apply_finish


def picture(side: int = 64) -> np.ndarray:
    """Return white with a dark square that no block or blur lines up with."""
    canvas = np.ones((side, side, 3), dtype=np.float32)
    canvas[11:30, 17:41] = (0.1, 0.3, 0.7)
    return canvas


@pytest.mark.parametrize("kind", FINISHES)
def test_a_stronger_finish_changes_more_and_leaves_its_input(kind: str) -> None:
    plain = picture()
    changes = [
        float(abs(apply_finish(plain, Finish(kind, strength, 5)) - plain).mean())
        for strength in (0.05, 0.3, 0.6, 1.0)
    ]
    assert changes == sorted(changes)
    assert changes[-1] > 3 * changes[0] > 0
    assert (plain == picture()).all()


def test_noise_has_the_stated_deviation() -> None:
    noise = apply_finish(picture(), Finish("noise", 0.5, 1)) - picture()
    assert float(noise.std()) == pytest.approx(0.1, rel=0.03)
    assert abs(float(noise.mean())) < 0.005


def test_blur_is_a_convolution_with_a_normal_density() -> None:
    point = np.zeros((65, 65, 3), dtype=np.float32)
    point[32, 32] = 1.0
    spread = apply_finish(point, Finish("blur", 1.0, 0))[..., 0]
    sigma = 0.025 * 65
    offsets = np.arange(65) - 32
    assert float(spread.sum()) == pytest.approx(1.0, abs=1e-4)
    variance = float((spread.sum(axis=0) * offsets**2).sum())
    assert variance == pytest.approx(sigma**2, rel=0.05)
    assert (spread == spread[::-1]).all()


def test_blocks_hold_the_mean_of_what_was_there() -> None:
    plain = picture(61)
    blocks = apply_finish(plain, Finish("blocks", 1.0, 0))
    side = round(61 / 18)
    assert np.unique(blocks[:side, :side, 0]).size == 1
    for top in (9, 12, 60):
        tile = plain[top : top + side, 15 : 15 + side].mean(axis=(0, 1))
        assert blocks[top, 15] == pytest.approx(tile, abs=1e-5)


def test_the_palette_goes_half_way_to_one_colour() -> None:
    plain = picture()
    tinted = apply_finish(plain, Finish("palette", 1.0, 9))
    colours = 2 * tinted - plain
    assert np.ptp(colours, axis=(0, 1)).max() < 1e-6
    assert np.ptp(colours[0, 0]) > 0.4
