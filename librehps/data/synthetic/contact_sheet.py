"""A picture of pairs, so that a person can see what is in a data set."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from librehps.data.synthetic.world import SyntheticPair, SyntheticPicture, World

__all__ = ["contact_sheet"]

_MARGIN = 12
_LINE = 15
_PROMPT_LINES = 3
_INK = (32, 32, 36)
_GREY = (110, 110, 118)
_PAPER = (255, 255, 255)
_WINNER = (28, 130, 76)


def contact_sheet(world: World, pairs: Sequence[SyntheticPair], *, columns: int = 3) -> Image.Image:
    """Draw pairs with their prompts, faults and votes; the preferred picture has a frame.

    Args:
        world: Draws the pictures.
        pairs: What to show, row by row.
        columns: Pairs in a row.
    """
    side = world.side
    width, height = 2 * side + 3 * _MARGIN, side + (_PROMPT_LINES + 3) * _LINE + 2 * _MARGIN
    rows = -(-len(pairs) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), _PAPER)
    for place, pair in enumerate(pairs):
        left, top = place % columns * width, place // columns * height
        _draw_pair(sheet, world, pair, left + _MARGIN, top + _MARGIN)
    return sheet


def _draw_pair(sheet: Image.Image, world: World, pair: SyntheticPair, left: int, top: int) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    side = world.side
    letters = max(20, int((2 * side + _MARGIN) / 5.6))
    lines = textwrap.wrap(pair.prompt, letters, max_lines=_PROMPT_LINES, placeholder=" …")
    pen.text((left, top), "\n".join(lines), fill=_INK, font=font)
    below = top + _PROMPT_LINES * _LINE
    won = pair.votes["overall"]
    sides = ((pair.a, won, pair.num_votes - won), (pair.b, pair.num_votes - won, won))
    for place, (picture, votes, other) in enumerate(sides):
        x = left + place * (side + _MARGIN)
        sheet.paste(Image.fromarray(world.draw(picture)), (x, below))
        if votes > other:
            pen.rectangle(
                (x - 3, below - 3, x + side + 2, below + side + 2), outline=_WINNER, width=3
            )
        caption = f"{_faults(picture)}\n{votes} of {pair.num_votes} votes"
        pen.text((x, below + side + 6), caption, fill=_GREY, font=font)


def _faults(picture: SyntheticPicture) -> str:
    if not picture.faults:
        return "no fault"
    return ", ".join(f"{fault.kind} {fault.strength:.2f}" for fault in picture.faults)
