from __future__ import annotations

import math

import numpy as np
import pytest

from librehps.data.synthetic.layout import Layout, Placed
from librehps.data.synthetic.render import DIRECTIONS, outline, render
from librehps.data.synthetic.scene import COLOURS, SHAPES, TEXTURES, Look
from librehps.errors import ConfigError


def picture(
    shape: str,
    *,
    colour: str = "black",
    texture: str = "plain",
    radius: float = 0.3,
    side: int = 112,
) -> np.ndarray:
    """Draw one object in the middle of white."""
    look = Look(shape, colour, texture)
    placed = Placed(look, x=0.5, y=0.5, radius=radius, turn=0.0, shift=(0.0, 0.0, 0.0))
    return render(Layout((placed,), "plain", (1.0, 1.0, 1.0), 0), side=side)


def inked(image: np.ndarray) -> float:
    """Return the area of a black object, in squared radii of 0.3 sides."""
    light = 0.08 * 255
    share = (255 - image[..., 0].astype(float)).sum() / (255 - light)
    return share / (0.3 * image.shape[0]) ** 2


AREAS = {
    "circle": math.pi,
    "square": 2.0,
    "triangle": 3 * math.sqrt(3) / 4,
    "hexagon": 3 * math.sqrt(3) / 2,
    "diamond": 2 * 0.62,
    "ring": math.pi * (1 - 0.55**2),
    "star": 10 * 0.5 * 0.42 * math.sin(math.pi / 5),
    "cross": 4 * 2 * 0.3 * (math.sqrt(1 - 0.09) - 0.3) + 4 * 0.09,
}


@pytest.mark.parametrize(("shape", "area"), AREAS.items())
def test_a_shape_covers_the_area_that_geometry_gives(shape: str, area: float) -> None:
    assert inked(picture(shape)) == pytest.approx(area, rel=0.02)


def test_no_two_shapes_look_alike() -> None:
    images = {shape: picture(shape)[..., 0] < 128 for shape in SHAPES}
    for first in SHAPES:
        for second in SHAPES:
            if first != second:
                either = (images[first] | images[second]).sum()
                differ = (images[first] ^ images[second]).sum()
                assert differ > 0.15 * either, (first, second)


def test_colours_and_textures_can_be_told_apart() -> None:
    middle = [picture("square", colour=colour)[56, 56].astype(int) for colour in COLOURS]
    for place, first in enumerate(middle):
        for second in middle[place + 1 :]:
            assert np.abs(first - second).sum() > 60
    drawn = [picture("square", colour="blue", texture=texture).astype(int) for texture in TEXTURES]
    for place, first in enumerate(drawn):
        for second in drawn[place + 1 :]:
            assert np.abs(first - second).mean() > 2


def test_a_texture_leaves_the_outline_as_it_is() -> None:
    for texture in TEXTURES:
        assert np.array_equal(
            picture("star", texture=texture)[..., 2] < 250, picture("star")[..., 2] < 250
        )


def test_edges_are_soft_and_the_size_of_the_picture_changes_nothing_else() -> None:
    small, large = picture("circle", side=64), picture("circle", side=256)
    assert inked(small) == pytest.approx(inked(large), rel=0.01)
    between = (small[..., 0] > 40) & (small[..., 0] < 240)
    assert between.any()


def test_a_turn_is_anticlockwise_and_y_goes_down() -> None:
    look = Look("triangle", "black")
    placed = Placed(look, x=0.25, y=0.75, radius=0.2, turn=0.0, shift=(0.0, 0.0, 0.0))
    image = render(Layout((placed,), "plain", (1.0, 1.0, 1.0), 0), side=100)[..., 0]
    rows, columns = np.nonzero(image < 128)
    assert (rows.min(), columns.mean()) == (pytest.approx(55, abs=2), pytest.approx(24.5, abs=0.6))
    # The tip is above and the base below.
    assert (image[58] < 128).sum() < (image[82] < 128).sum()


def test_outlines_are_tables_of_at_most_one() -> None:
    for shape in SHAPES:
        reach, slant = outline(shape)
        assert reach.shape == slant.shape == (DIRECTIONS,)
        assert reach.max() == pytest.approx(1.0)
        assert reach.min() > 0.2
        assert ((slant > 0) & (slant <= 1)).all()
    with pytest.raises(ConfigError, match="unknown shape 'blob'"):
        outline("blob")


def test_backgrounds_differ_and_the_grain_is_reproducible() -> None:
    made = {
        kind: render(Layout((), kind, (0.9, 0.9, 0.9), 7), side=64)
        for kind in ("plain", "gradient", "paper")
    }
    assert made["plain"].std() == 0
    assert made["gradient"].std() > 1
    assert made["paper"].std() > 1
    again = render(Layout((), "paper", (0.9, 0.9, 0.9), 7), side=64)
    assert np.array_equal(again, made["paper"])


def test_a_picture_needs_some_pixels() -> None:
    with pytest.raises(ConfigError, match="at least 48"):
        picture("star", side=47)
