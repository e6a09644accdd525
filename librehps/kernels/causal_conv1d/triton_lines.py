"""Lines: packed sequences, each behind the columns that come before it, and their rows in triton.

Of ``N`` sequences with ``L`` tokens each, line ``n`` has ``W - 1 + L_n`` rows, first those before
the sequence, oldest first. The last ``W - 1`` rows of a line are what comes before what follows.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from librehps.kernels.triton_rows import Tile
from librehps.typing import Int

__all__ = ["conv_tile", "line_of_row", "load_line", "row_in_line"]

# Elements that a program takes at a time, with 4 warps forward; backward holds one element for each
# tap and has that many more registers to fill, of 8 warps: with 4 it takes all there are, and which
# kernels then spill depends on the version of triton. Chosen by counting, not by timing: more rows
# read fewer of them twice, and none spill.
_ELEMENTS = 2**10
_HELD = 2**11
# 256 bytes of a bfloat16 row.
_COLUMNS = 2**7


def conv_tile(width: int, reach: int = 1) -> Tile:
    """Return what a program takes at a time.

    Args:
        width: Channels.
        reach: Outputs that are held for each element, a power of two; 1 forward.
    """
    elements = _ELEMENTS if reach == 1 else max(1, _HELD // reach)
    columns = min(_COLUMNS, elements, triton.next_power_of_2(width))
    # Narrow rows do not make more of them: no program has more than 32.
    num_warps = 4 if reach == 1 else 8
    return Tile(rows=min(32, elements // columns), columns=columns, num_warps=num_warps)


def line_of_row(cu_seqlens: Int[Tensor, " N_plus_1"], tokens: int, lead: int) -> Int[Tensor, " R"]:
    """Return the line of every row of all lines, without a look at the boundaries.

    Args:
        cu_seqlens: Where sequences begin and end.
        tokens: Of all sequences.
        lead: Rows before each sequence.
    """
    sequences = cu_seqlens.numel() - 1
    ends = cu_seqlens[1:] + lead * torch.arange(1, sequences + 1, device=cu_seqlens.device)
    rows = torch.arange(tokens + sequences * lead, device=cu_seqlens.device)
    return torch.searchsorted(ends, rows, right=True, out_int32=True)


@triton.jit
@no_type_check
def row_in_line(p_bounds, p_line, i_row, m_row, LEAD: tl.constexpr):
    """Return line, place in it, first token and number of tokens for every row; int64.

    Args:
        p_bounds: [N + 1], where sequences begin and end.
        p_line: [R], the line of each row.
        i_row: Rows, int64.
        m_row: Which of them exist.
        LEAD: Rows before each sequence.
    """
    i_line = tl.load(p_line + i_row, mask=m_row, other=0).to(tl.int64)
    start = tl.load(p_bounds + i_line, mask=m_row, other=0).to(tl.int64)
    end = tl.load(p_bounds + i_line + 1, mask=m_row, other=0).to(tl.int64)
    return i_line, i_row - start - i_line * LEAD, start, end - start


@triton.jit
@no_type_check
def load_line(
    p_own, p_before, i_place, i_column, stride, mask, LEAD: tl.constexpr, WIDE: tl.constexpr
):
    """Load places of lines in the dtype ``WIDE``; 0 outside the mask and before place 0.

    Args:
        p_own: Where place 0 of the line would be if the sequence went on backwards.
        p_before: The columns before each sequence, oldest first; None for zeros.
        i_place: Places; the mask is false behind the end of the line.
        i_column: Channels.
        stride: Between the tokens.
        mask: Which of them are wanted.
        LEAD: Rows before each sequence.
        WIDE: The dtype of the computation.
    """
    p = p_own + i_place * stride + i_column
    b_x = tl.load(p, mask=mask & (i_place >= LEAD), other=0.0).to(WIDE)
    if p_before is not None:
        m_before = mask & (i_place >= 0) & (i_place < LEAD)
        b_x += tl.load(p_before + i_place, mask=m_before, other=0.0).to(WIDE)
    return b_x
