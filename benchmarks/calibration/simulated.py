"""Whether calibrators, calibration errors and intervals are right where the truth is known.

    python -m benchmarks.calibration.simulated --out benchmarks/results/calibration-simulated.json

Three tables: how far the parameters of every calibrator are off in fits of 100,000 pairs, in their
standard errors; calibration errors against the exact one, by their plain value, less what chance
adds, and with an interval; and how often 95 % intervals hold the truth, drawn by prompts and as if
pairs stood alone. It takes minutes on one CPU core and needs numpy only.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from librehps.bench.report import machine
from librehps.calibration import calibration_error_interval, expected_calibration_error
from librehps.testing.coverage import cover_means
from librehps.testing.forecasts import NUM_BINS, exact_error, simulate_forecasts
from librehps.testing.recovery import CHERNOFF_EDGE, PARAMETRIC, recover, recover_curve
from librehps.writing import write_lines

_SURENESS = (1.0, 1.1, 1.3, 2.0, 0.6)
_PROMPTS = 300
# How often the tests repeat it; the file has the share of every block of as many.
_BLOCK = 300


def main() -> None:
    """Simulate, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--fits", type=int, default=20, help="fits of 100,000 pairs for each kind")
    parser.add_argument("--repetitions", type=int, default=1500, help="of every interval")
    parser.add_argument("--prompts", nargs="+", type=int, default=(20, 50, 200))
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()

    found: dict[str, Any] = {
        "machine": machine(torch.device("cpu")),
        "fits": options.fits,
        "repetitions": options.repetitions,
        "resamples": options.resamples,
        "recovery": recovery(options.fits),
        "errors": [errors(sureness, options.repetitions) for sureness in _SURENESS],
    }
    found["coverage"] = coverage(options.prompts, options.repetitions, options.resamples)
    print("\n\n".join([recovery_table(found), error_table(found), coverage_table(found)]))
    if options.out is not None:
        write_lines(options.out, [json.dumps(found, indent=2) + "\n"])


def recovery(fits: int) -> dict[str, dict[str, float]]:
    """Return how far fits are off, by the kind of calibrator."""
    found: dict[str, dict[str, float]] = {}
    for kind in PARAMETRIC:
        every = [recover(kind, seed=seed) for seed in range(fits)]
        off = np.array([one.errors for one in every])
        squared = np.array([one.squared for one in every]) / off.shape[1]
        found[kind] = _recovered(off, float(squared.mean()), 1.959964)
    curve = np.array([recover_curve(seed=seed) for seed in range(fits)])
    found["isotonic"] = _recovered(curve, float(np.square(curve).mean()), CHERNOFF_EDGE)
    return found


def _recovered(off: np.ndarray, squared: float, edge: float) -> dict[str, float]:
    return {
        "errors": off.size,
        "mean_square": squared,
        "greatest": float(np.abs(off).max()),
        "within_95": float((np.abs(off) < edge).mean()),
    }


def errors(sureness: float, repetitions: int) -> dict[str, float]:
    """Return calibration errors of a scorer against the exact one."""
    truth = exact_error(sureness)
    rows: list[tuple[float, ...]] = []
    for seed in range(repetitions):
        stated, share, prompt = simulate_forecasts(_PROMPTS, sureness=sureness, seed=seed)
        plain = expected_calibration_error(stated, share, num_bins=NUM_BINS, clusters=prompt)
        one = calibration_error_interval(stated, share, num_bins=NUM_BINS, clusters=prompt)
        alone = calibration_error_interval(stated, share, num_bins=NUM_BINS)
        rows.append(
            (
                plain.value,
                plain.by_chance,
                one.value,
                one.high - one.low,
                one.low <= truth <= one.high,
                alone.low <= truth <= alone.high,
            )
        )
    names = ("plain", "by_chance", "less_chance", "width", "coverage", "coverage_alone")
    means = dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))
    return {"sureness": sureness, "exact": truth, **means}


def coverage(prompts: list[int], repetitions: int, resamples: int) -> dict[str, Any]:
    """Return how often intervals hold the truth, by the number of prompts and by the rule."""
    found: dict[str, Any] = {}
    for count in prompts:
        hits = cover_means(num_prompts=count, repetitions=repetitions, resamples=resamples)
        alone = cover_means(
            num_prompts=count, repetitions=min(repetitions, _BLOCK), clustered=False, resamples=300
        )
        found[str(count)] = {
            name: {
                "blocks": [
                    float(values[start : start + _BLOCK].mean())
                    for start in range(0, repetitions, _BLOCK)
                ],
                "all": float(values.mean()),
                "alone": float(alone[name].mean()),
            }
            for name, values in hits.items()
        }
    return found


def recovery_table(found: dict[str, Any]) -> str:
    """Return how far parameters are off as Markdown."""
    lines = [
        "| calibrator | errors | mean square | greatest | within their 95 % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, row in found["recovery"].items():
        lines.append(
            f"| `{kind}` | {row['errors']} | {row['mean_square']:.2f} | {row['greatest']:.2f} | "
            f"{100 * row['within_95']:.0f} % |"
        )
    return "\n".join(lines)


def error_table(found: dict[str, Any]) -> str:
    """Return calibration errors as Markdown."""
    lines = [
        "| log-odds stated times | exact | plain | by chance | less chance | 95 % hold it | "
        "pairs alone |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["errors"]:
        lines.append(
            f"| {row['sureness']} | {row['exact']:.4f} | {row['plain']:.4f} | "
            f"{row['by_chance']:.4f} | {row['less_chance']:.4f} | {100 * row['coverage']:.1f} % | "
            f"{100 * row['coverage_alone']:.1f} % |"
        )
    return "\n".join(lines)


def coverage_table(found: dict[str, Any]) -> str:
    """Return how often intervals hold the truth as Markdown."""
    counts = list(found["coverage"])
    lines = [
        f"| 95 % interval | {' | '.join(f'{count} prompts' for count in counts)} | "
        f"{counts[-1]}, pairs alone |",
        "| --- |" + " --- |" * (len(counts) + 1),
    ]
    for name in found["coverage"][counts[-1]]:
        rows = [found["coverage"][count][name] for count in counts]
        shares = [f"{100 * row['all']:.1f} %" for row in rows]
        lines.append(f"| `{name}` | {' | '.join(shares)} | {100 * rows[-1]['alone']:.1f} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
