from __future__ import annotations

import numpy as np

from librehps.data.synthetic.contact_sheet import contact_sheet
from librehps.data.synthetic.world import World

FRAME = (28, 130, 76)


def test_a_sheet_shows_every_picture_and_frames_the_preferred() -> None:
    world = World(seed=1, side=64)
    pairs = [
        pair for pair in world.pairs("train", 9) if 2 * pair.votes["overall"] != pair.num_votes
    ]
    pairs = pairs[:5]
    sheet = np.asarray(contact_sheet(world, pairs, columns=2))
    height, width = sheet.shape[0] // 3, sheet.shape[1] // 2
    for place, pair in enumerate(pairs):
        top, left = place // 2 * height, place % 2 * width
        cell = sheet[top : top + height, left : left + width]
        places: dict[str, int] = {}
        for name, picture in (("a", pair.a), ("b", pair.b)):
            drawn = world.draw(picture)
            windows = np.lib.stride_tricks.sliding_window_view(cell, drawn.shape)[:, :, 0]
            corners = np.argwhere((windows[:, :, :8] == drawn[:8]).all(axis=(2, 3, 4)))
            assert len(corners) >= 1, (place, name)
            places[name] = int(corners[0][1])
        framed = int(np.argwhere((cell == FRAME).all(axis=2))[:, 1].min())
        won = "a" if 2 * pair.votes["overall"] > pair.num_votes else "b"
        assert 0 < places[won] - framed <= 4
    assert (sheet[2 * height :, width:] == 255).all()
