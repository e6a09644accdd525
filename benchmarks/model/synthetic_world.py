"""How well a checkpoint knows the synthetic world, against what is true of it.

    python -m benchmarks.model.synthetic_world CHECKPOINT --out benchmarks/results/NAME.json

Pairs are drawn from the test split, whose scenes no training pair has. The table that it prints
has 95% bootstrap intervals over pairs; the file has every number of it, and the curve of accuracy
against fault strength.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from librehps import LibreHPS
from librehps.calibration import (
    Interval,
    area_under_roc,
    bootstrap,
    bootstrap_mean,
    brier_score,
    expected_calibration_error,
    preference_probability,
)
from librehps.data.synthetic import FAULTS, Fault, SyntheticPair, World
from librehps.data.synthetic.annotators import majority_probability
from librehps.data.synthetic.faults import FAULT_AXES
from librehps.evaluate.rank_correlation import spearman_rho
from librehps.hub import find_checkpoint
from librehps.results import Score

Numbers = NDArray[np.float64]

# Pairs that are scored at once: what is drawn must fit in memory.
_AT_ONCE = 256
_STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Judged:
    """A pair, and the scores of its two pictures."""

    pair: SyntheticPair
    a: Score
    b: Score

    def difference(self, axis: str) -> float:
        """Return by how much ``a`` is above ``b``."""
        return self.a.axis(axis).mean - self.b.axis(axis).mean

    def spread(self, axis: str) -> float:
        """Return the standard deviation that the head states for the difference."""
        return float(np.hypot(self.a.axis(axis).sigma or 0.0, self.b.axis(axis).sigma or 0.0))


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", help="folder or name of a checkpoint")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--pairs", type=int, default=4100, help="of the test split")
    parser.add_argument("--per-fault", type=int, default=500, help="pairs for each kind of fault")
    parser.add_argument(
        "--per-strength", type=int, default=50, help="pairs for each kind and strength"
    )
    parser.add_argument("--side", type=int, default=128, help="of the pictures, in pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the world")
    options = parser.parse_args()

    began = time.perf_counter()
    model = LibreHPS.from_pretrained(options.checkpoint, dtype="float32")
    found = measure(model, options)
    found["checkpoint"] = Path(options.checkpoint).name
    found["weights_sha256"] = weights_sha256(options.checkpoint)
    found["date"] = date.today().isoformat()
    found["seconds"] = round(time.perf_counter() - began, 1)
    found["machine"] = {
        "torch": torch.__version__,
        "cpu": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    print(table(found))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def weights_sha256(checkpoint: str) -> str:
    """Return the hash that says which weights were measured."""
    weights = find_checkpoint(checkpoint) / "model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def measure(model: LibreHPS, options: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is measured, as JSON data."""
    world = World(seed=options.seed, side=options.side)
    strange = World(seed=options.seed, side=options.side, held_out=True)
    mixed = list(judge(model, world, world.pairs("test", options.pairs)))
    found: dict[str, Any] = {"pairs": options.pairs, "overall": of_mixed(mixed)}
    found["faults"] = {}
    unseen: list[float] = []
    for kind, axis in FAULTS.items():
        seen = faulty(model, world, Fault(kind), options.per_fault)
        other = faulty(model, strange, Fault(kind), options.per_fault // 4)
        right = [correct(one, axis) for one in other]
        unseen += right
        found["faults"][kind] = {
            "axis": axis,
            "accuracy": interval([correct(one, axis) for one in seen]),
            "overall": interval([correct(one, "overall") for one in seen]),
            "unseen_combinations": interval(right),
            "change": {name: change(seen, name) for name in FAULT_AXES},
        }
    found["unseen_combinations"] = interval(unseen)
    found["strengths"] = {
        kind: {
            str(strength): fmean(
                correct(one, axis)
                for one in faulty(model, world, Fault(kind, strength), options.per_strength)
            )
            for strength in _STRENGTHS
        }
        for kind, axis in FAULTS.items()
        if options.per_strength
    }
    return found


def judge(model: LibreHPS, world: World, pairs: Iterator[SyntheticPair]) -> Iterator[Judged]:
    """Draw and score pairs."""
    while some := [pair for _, pair in zip(range(_AT_ONCE), pairs, strict=False)]:
        pictures = [world.draw(picture) for pair in some for picture in (pair.a, pair.b)]
        prompts = [pair.prompt for pair in some for _ in range(2)]
        scores = model.score_images(images=pictures, prompts=prompts)
        yield from map(Judged, some, scores[::2], scores[1::2])


def faulty(model: LibreHPS, world: World, fault: Fault, count: int) -> list[Judged]:
    """Judge pairs in which one picture has a fault and the other none, placed independently."""
    pairs = (world.pair("test", number, fault=fault, shared=False) for number in range(count))
    return list(judge(model, world, pairs))


def correct(judged: Judged, axis: str) -> float:
    """Return whether the picture that is truly better scores higher; equal scores are half."""
    truth = judged.pair.a.quality(axis) - judged.pair.b.quality(axis)
    return 0.5 + 0.5 * float(np.sign(truth) * np.sign(judged.difference(axis)))


def change(judged: Sequence[Judged], axis: str) -> float:
    """Return the mean absolute difference of the two pictures on an axis."""
    return fmean(abs(one.difference(axis)) for one in judged)


def of_mixed(judged: Sequence[Judged]) -> dict[str, Any]:
    """Measure pairs as annotators see them: votes, strengths and faults of all kinds."""
    agrees, best, chance, truth, spread = columns(judged)
    decided = ~np.isnan(agrees)
    right, ideal, unsure = agrees[decided], best[decided], spread[decided]
    noise = np.array([one.pair.noise for one in judged])
    return {
        "accuracy": interval(right),
        "ideal_accuracy": float(ideal.mean()),
        "of_ideal": row(
            bootstrap(lambda rows: float(right[rows].mean() / ideal[rows].mean()), len(right))
        ),
        "calibration_error": row(
            bootstrap(
                lambda rows: expected_calibration_error(chance[rows], truth[rows]).value,
                len(chance),
            )
        ),
        "sigma_auroc": row(
            bootstrap(lambda rows: area_under_roc(unsure[rows], right[rows] < 0.5), len(right))
        ),
        "sigma_and_noise": row(
            bootstrap(lambda rows: spearman_rho(spread[rows], noise[rows]), len(noise))
        ),
        "sigma_by_noise": {
            f"{one:g}": float(spread[noise == one].mean()) for one in sorted(set(noise.tolist()))
        },
        "brier": brier_score(chance, truth),
    }


def columns(judged: Sequence[Judged]) -> tuple[Numbers, ...]:
    """Return what is known of the overall preference of pairs, each ``[N]``.

    Returns:
        Agreement with the majority of the votes, 1/2 for equal scores and NaN without a majority;
        that of a scorer who knows the truth; the stated and the true probability that ``a`` is
        preferred; the standard deviation that the head states for the difference.
    """
    return tuple(np.array(column) for column in zip(*map(_overall, judged), strict=True))


def _overall(one: Judged) -> tuple[float, float, float, float, float]:
    pair, axis = one.pair, "overall"
    votes, cast = pair.votes[axis], pair.num_votes
    agrees = (
        float("nan")
        if 2 * votes == cast
        else 0.5 + 0.5 * float(np.sign(2 * votes - cast) * np.sign(one.difference(axis)))
    )
    for_a, tie = majority_probability(pair.probabilities[axis], cast)
    for_b = 1.0 - for_a - tie
    best = max(for_a, for_b) / max(for_a + for_b, 1e-12)
    chance = preference_probability(one.a.axis(axis), one.b.axis(axis))
    return agrees, best, chance, pair.probabilities[axis], one.spread(axis)


def interval(values: Sequence[float] | Numbers) -> dict[str, float]:
    """Return a mean with its 95% interval."""
    return row(bootstrap_mean(values))


def row(found: Interval) -> dict[str, float]:
    """Return an interval as the file has it."""
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def table(found: dict[str, Any]) -> str:
    """Return what was found as Markdown."""

    def cell(of: dict[str, float]) -> str:
        return f"{of['value']:.3f} ({of['low']:.3f} to {of['high']:.3f})"

    overall = found["overall"]
    by_noise: dict[str, float] = overall["sigma_by_noise"]
    lines = [
        f"| {overall['accuracy']['n']:,} pairs as annotators see them | |",
        "| --- | --- |",
        f"| agreement with the majority | {cell(overall['accuracy'])} |",
        f"| the same, of an ideal scorer | {overall['ideal_accuracy']:.3f} |",
        f"| share of the ideal | {cell(overall['of_ideal'])} |",
        f"| calibration error before calibration | {cell(overall['calibration_error'])} |",
        f"| AUROC of sigma for disagreement | {cell(overall['sigma_auroc'])} |",
        "| rank correlation of sigma with annotators' noise | "
        f"{cell(overall['sigma_and_noise'])} |",
        f"| mean sigma where that noise is {', '.join(by_noise)} | "
        f"{', '.join(f'{sigma:.2f}' for sigma in by_noise.values())} |",
        f"| combinations that are not in training | {cell(found['unseen_combinations'])} |",
        "",
        f"| one fault of full strength | axis | its axis | overall | {' | '.join(FAULT_AXES)} |",
        "| --- | --- | --- | --- |" + " --- |" * len(FAULT_AXES),
    ]
    for kind, row in found["faults"].items():
        changes = " | ".join(f"{row['change'][axis]:.2f}" for axis in FAULT_AXES)
        lines.append(
            f"| {kind} | {row['axis']} | {cell(row['accuracy'])} | {row['overall']['value']:.3f} | "
            f"{changes} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
