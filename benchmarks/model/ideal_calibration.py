"""Whether calibrated scores of the synthetic world are as well calibrated as can be seen.

    librehps synth --pairs 1 --validation 0 --test 4000 --side 128 --out world
    librehps evaluate --suite hpdv3-layout --data world/test.json --out report
    python -m benchmarks.model.ideal_calibration report world/test.truth.jsonl

Reads an evaluation and the truth of the file that it judged; needs no model and no pictures. A
calibrator is fitted on the evaluation's part for fitting. On the rest it prints the calibration
error against the votes, what chance gives to a calibrated scorer around whom votes scatter as much,
the error less that, the error of the true probabilities against the same votes, between which
errors the latter lies if the votes are cast again, the same of the ideal calibrator of the
differences of these scores, and of it if pairs are drawn again, too, and the error against the
truth.
``within`` says what the calibrated error is within: the noise of who knows every true probability,
that of the ideal calibrator on these pairs, chance for who is calibrated and knows as little as the
scorer, or none of them.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any

import torch

from librehps.bench.report import machine
from librehps.data.synthetic.files import read_truth
from librehps.errors import InputError
from librehps.evaluate.known_truth import TruthComparison, compare_with_truth
from librehps.evaluate.scored import FILE_NAME, ScoredPair, read_scored
from librehps.writing import write_lines

AXES = ("overall", "alignment", "coherence", "style")
_TRUTH = ".truth.jsonl"


def main() -> None:
    """Compare, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("evaluation", type=Path, help="folder of librehps evaluate")
    parser.add_argument("truth", type=Path, help=f"the {_TRUTH} beside the file that it judged")
    parser.add_argument("--suite", help="its name in the evaluation, if not <folder>/<file>")
    parser.add_argument("--axes", nargs="+", default=AXES)
    parser.add_argument("--kind", default="platt", help="of the calibrator")
    parser.add_argument("--casts", type=int, default=1000, help="how often to cast and draw again")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()

    pairs = of_suite(read_scored(options.evaluation / FILE_NAME), options.truth, options.suite)
    truth = read_truth(options.truth)
    found: dict[str, TruthComparison] = {}
    for axis in options.axes:
        try:
            found[axis] = compare_with_truth(
                pairs, truth, axis=axis, kind=options.kind, casts=options.casts
            )
        except InputError as error:
            print(f"{axis}: {error}")
    print(table(found))
    if options.out is not None:
        report = json.loads((options.evaluation / "report.json").read_text("utf-8"))
        document: dict[str, Any] = {
            "date": date.today().isoformat(),
            "machine": machine(torch.device("cpu")),
            "model": report["model"],
            "suite": pairs[0].suite,
            "calibrator": options.kind,
            "casts": options.casts,
            "axes": {axis: one.to_dict() for axis, one in found.items()},
        }
        write_lines(options.out, [json.dumps(document, indent=2) + "\n"])


def of_suite(pairs: list[ScoredPair], truth: Path, name: str | None) -> list[ScoredPair]:
    """Return the pairs of the suite that a truth is of."""
    wanted = name or f"{truth.resolve().parent.name}/{truth.name.removesuffix(_TRUTH)}"
    found = [pair for pair in pairs if pair.suite == wanted]
    if not found:
        known = ", ".join(sorted({pair.suite for pair in pairs}))
        raise SystemExit(f"the evaluation has no suite {wanted}: choose one with --suite: {known}")
    return found


def table(found: dict[str, TruthComparison]) -> str:
    """Return what was found as Markdown."""
    lines = [
        "| axis | pairs | calibrated | by chance | less chance (95 %) | true probabilities | "
        "cast again (95 %) | ideal calibrator (95 %) | on other pairs (95 %) | within | "
        "against the truth |",
        "| --- |" + " --- |" * 10,
    ]
    for axis, one in found.items():
        corrected, noise, best = one.corrected, one.noise, one.ideal_calibrator
        other = one.ideal_calibrator_redrawn
        within = (
            "noise"
            if one.within_noise
            else "ideal calibrator"
            if one.within_ideal_calibrator
            else "chance"
            if one.within_chance
            else "none"
        )
        lines.append(
            f"| {axis} | {noise.n:,} | {one.calibrated.value:.4f} | "
            f"{one.calibrated.by_chance:.4f} | {corrected.value:.4f} "
            f"({corrected.low:.4f} to {corrected.high:.4f}) | {one.ideal.value:.4f} | "
            f"{noise.value:.4f} ({noise.low:.4f} to {noise.high:.4f}) | "
            f"{best.value:.4f} ({best.low:.4f} to {best.high:.4f}) | "
            f"{other.value:.4f} ({other.low:.4f} to {other.high:.4f}) | {within} | "
            f"{one.against_truth.value:.4f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
