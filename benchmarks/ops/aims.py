"""What the kernels are meant to reach, beside what a run of the benchmark has found.

    librehps bench ops --preset 4b --tokens 8x1024,32768 --dtype bfloat16 --out ops.json
    python -m benchmarks.ops.aims ops.json

The delta rule is held against flash-linear-attention in the same run, at 8 sequences of 1,024
tokens and the widths of 4b, and against a published time; ops that move rows through memory against
the bandwidth of a copy in the same run, at the largest pack there is. It prints a line for each aim
and says where nothing was measured that could answer it. It judges and never fails.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from librehps.bench.report import Report, Row, read_report
from librehps.cli.output import write_line, write_table

DELTA_RULE_PACK = (1024,) * 8
# Of FlashQLA on an H200, 16 key and 32 value heads of width 128, in milliseconds.
PUBLISHED_MS = 0.178
FORWARD_RATIO, BOTH_RATIO = 2.8, 1.5
ROW_OPS = ("rms_norm", "add_rms_norm", "gated_rms_norm", "causal_conv1d", "rotary", "swiglu")
ROW_SHARE = 0.8


@dataclass(frozen=True)
class Aim:
    """One aim and what was found.

    Args:
        what: Is aimed at.
        found: In words; ``"not measured"`` where nothing was.
        holds: Whether it is reached; ``None`` where that is not known.
    """

    what: str
    found: str
    holds: bool | None


def aims_of(report: Report) -> list[Aim]:
    """Hold a report against every aim."""
    timed = [row for row in report.rows if row.median_ms is not None and row.dtype == "bfloat16"]
    found = [_forward(timed), _both(timed)]
    found += [_row_op(timed, op) for op in ROW_OPS]
    return found


def _fastest(rows: Iterable[Row]) -> Row | None:
    return min(rows, key=lambda row: row.median_ms or 0.0, default=None)


def _delta_rule(rows: list[Row], passes: str) -> tuple[Row | None, Row | None]:
    """Return ours and flash-linear-attention's."""
    some = [
        row
        for row in rows
        if (row.op, row.preset, row.passes) == ("gated_delta_rule", "4b", passes)
        and tuple(row.lengths) == DELTA_RULE_PACK
    ]
    ours = _fastest(row for row in some if row.implementation in ("torch", "triton"))
    theirs = _fastest(row for row in some if row.implementation == "fla")
    return ours, theirs


def _forward(rows: list[Row]) -> Aim:
    ours, theirs = _delta_rule(rows, "forward")
    what = (
        f"gated_delta_rule, 8 x 1024, forward: {PUBLISHED_MS} ms, or {FORWARD_RATIO} times as fast "
        "as flash-linear-attention"
    )
    if ours is None or ours.median_ms is None:
        return Aim(what, "not measured", None)
    said = f"{ours.median_ms:.3f} ms ({ours.implementation})"
    holds = ours.median_ms <= PUBLISHED_MS
    if theirs is not None and theirs.median_ms is not None:
        ratio = theirs.median_ms / ours.median_ms
        said += f", {ratio:.2f} times as fast"
        holds = holds or ratio >= FORWARD_RATIO
    return Aim(what, said, holds)


def _both(rows: list[Row]) -> Aim:
    ours, theirs = _delta_rule(rows, "both")
    what = f"the same with backward: {BOTH_RATIO} times as fast as flash-linear-attention"
    if ours is None or theirs is None or ours.median_ms is None or theirs.median_ms is None:
        return Aim(what, "not measured" if ours is None else "nothing to compare with", None)
    ratio = theirs.median_ms / ours.median_ms
    return Aim(what, f"{ratio:.2f} ({ours.implementation})", ratio >= BOTH_RATIO)


def _row_op(rows: list[Row], op: str) -> Aim:
    what = f"{op}, forward: {ROW_SHARE:.0%} of what a copy moves"
    some = [row for row in rows if row.op == op and row.passes == "forward"]
    largest = max((row.bytes or 0 for row in some), default=0)
    ours = _fastest(
        row for row in some if row.bytes == largest and row.implementation in ("torch", "triton")
    )
    if ours is None or ours.share_of_roof is None:
        return Aim(what, "not measured", None)
    share = ours.share_of_roof
    said = f"{share:.0%} at {sum(ours.lengths)} tokens ({ours.implementation})"
    return Aim(what, said, share >= ROW_SHARE)


def main() -> None:
    """Read, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, help="JSON file of librehps bench ops")
    report = read_report(parser.parse_args().report)
    words = {True: "reached", False: "missed", None: "open"}
    found = aims_of(report)
    write_table(
        ("aim", "found", "verdict"), [(one.what, one.found, words[one.holds]) for one in found]
    )
    write_line(f"on {report.machine.get('name')}, {report.machine.get('date')}")


if __name__ == "__main__":
    main()
