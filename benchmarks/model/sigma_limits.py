"""What sigma could tell of where a checkpoint is wrong on the synthetic world, and what it does.

    python -m benchmarks.model.sigma_limits CHECKPOINT --out benchmarks/results/sigma-limits.json

A pair's sigma is ``hypot(sigma_a, sigma_b)``, so it orders pairs as a sum of one number for each
picture does: whatever is known of a picture, its partner is not. Each row is a way to order pairs,
and how well the order tells those in which the scores disagree with the majority of the votes: 0.5
is chance. Sums are fitted to the disagreements themselves, on other pairs: to predict them is all
that they do. The last rows know both pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.model.synthetic_world import Judged, columns, judge, row, weights_sha256
from librehps import LibreHPS
from librehps.bench.report import machine
from librehps.calibration import area_under_roc, bootstrap
from librehps.data.synthetic import FAULTS, SyntheticPicture, World
from librehps.data.synthetic.faults import FAULT_AXES
from librehps.results import Score
from librehps.writing import write_lines

Numbers = NDArray[np.float64]

_KINDS = tuple(FAULTS)
_AXES = ("overall", *FAULT_AXES)
# Of the ridge on coefficients of columns that are scaled to a variance of one.
_RIDGE = 1e-3


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", help="folder or name of a checkpoint")
    parser.add_argument("--pairs", type=int, default=4100, help="of the test split")
    parser.add_argument("--fit", type=int, default=12000, help="pairs that sums are fitted to")
    parser.add_argument("--side", type=int, default=128, help="of the pictures, in pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the world")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()

    model = LibreHPS.from_pretrained(options.checkpoint, dtype="float32")
    world = World(seed=options.seed, side=options.side)
    fitted = list(judge(model, world, world.pairs("validation", options.fit)))
    tested = list(judge(model, world, world.pairs("test", options.pairs)))
    found = measure(fitted, tested)
    print(table(found))
    if options.out is not None:
        document = {
            "date": date.today().isoformat(),
            "machine": machine(torch.device("cpu")),
            "checkpoint": Path(options.checkpoint).name,
            "weights_sha256": weights_sha256(options.checkpoint),
            "seed": options.seed,
            "fit": options.fit,
            **found,
        }
        write_lines(options.out, [json.dumps(document, indent=2) + "\n"])


def measure(fitted: Sequence[Judged], tested: Sequence[Judged]) -> dict[str, Any]:
    """Return the AUROC of each order of pairs, by name."""
    there, here = Pairs(fitted), Pairs(tested)
    orders: dict[str, Numbers] = {"sigma of the head": here.spread}
    orders["annotators' noise"] = here.noise
    orders["error of the scores"] = here.errors(there.line)
    for name in ("scores", "scores, faults and number of objects"):
        told = name != "scores"
        orders[f"sum fitted to the disagreements, of {name}"] = additive(
            there.known(told=told), here.known(told=told), there.wrong
        )
    orders["difference of the scores"] = -np.abs(here.scores[:, 0] - here.scores[:, 1])
    orders["true probability"] = -np.abs(here.truth - 0.5)
    return {
        "pairs": len(here.wrong),
        "disagreements": int(here.wrong.sum()),
        "auroc": {name: _interval(order, here.wrong) for name, order in orders.items()},
    }


class Pairs:
    """Pairs whose votes have a majority, as columns.

    Args:
        judged: All pairs; those of which a half of the votes is for either are left out.
    """

    def __init__(self, judged: Sequence[Judged]) -> None:
        agrees, _, _, truth, spread = columns(judged)
        decided = ~np.isnan(agrees)
        self.judged = [one for one, kept in zip(judged, decided, strict=True) if kept]
        self.wrong, self.truth, self.spread = agrees[decided] < 0.5, truth[decided], spread[decided]
        self.noise = np.array([one.pair.noise for one in self.judged])
        self.scores = np.array(
            [[score.axis("overall").mean for score in (one.a, one.b)] for one in self.judged]
        )
        self.qualities = np.array(
            [
                [picture.quality("overall") for picture in (one.pair.a, one.pair.b)]
                for one in self.judged
            ]
        )

    @property
    def line(self) -> Numbers:
        """Return slope and intercept of the scores on the qualities."""
        return np.polyfit(self.qualities.ravel(), self.scores.ravel(), 1)

    def errors(self, line: Numbers) -> Numbers:
        """Return the root of the sum of both squared errors of each pair's scores."""
        return np.hypot(*(self.scores - np.polyval(line, self.qualities)).T)

    def known(self, *, told: bool) -> Numbers:
        """Return what is known of each picture, ``[N, 2, columns]``."""
        return np.array(
            [
                [
                    _known(score, picture, one.pair.scene.num_objects if told else None)
                    for score, picture in ((one.a, one.pair.a), (one.b, one.pair.b))
                ]
                for one in self.judged
            ]
        )


def _known(score: Score, picture: SyntheticPicture, num_objects: int | None) -> list[float]:
    """Return curves of the scores and, where the number of objects is told, of the truth."""
    means = [score.axis(axis).mean for axis in _AXES]
    curves = [curve for mean in means for curve in (mean, mean**2, np.exp(4.0 * mean))]
    if num_objects is None:
        return curves
    strengths = dict.fromkeys(_KINDS, 0.0)
    for fault in picture.faults:
        strengths[fault.kind] += fault.strength
    faults = [
        curve
        for strength in strengths.values()
        for curve in (float(strength > 0), strength, strength**2)
    ]
    return [*curves, *faults, float(not picture.faults), float(num_objects)]


def additive(of_fitted: Numbers, of_tested: Numbers, wrong: NDArray[np.bool_]) -> Numbers:
    """Order pairs by the sum of one number per picture that best predicts disagreements.

    Args:
        of_fitted: What is known of each picture of the pairs to fit, ``[N, 2, columns]``.
        of_tested: The same of the pairs to order, ``[M, 2, columns]``.
        wrong: Whether the scores of a pair to fit disagree with the votes, ``[N]``.

    Returns:
        Log-odds of a disagreement, ``[M]``, of a logistic regression with a ridge.
    """
    sums, wanted = torch.from_numpy(of_fitted.sum(axis=1)), torch.from_numpy(of_tested.sum(axis=1))
    mean, scale = sums.mean(0), sums.std(0).clamp(min=1e-9)
    sums, wanted = (sums - mean) / scale, (wanted - mean) / scale
    target = torch.from_numpy(wrong).double()
    weight = torch.zeros(sums.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(sums @ weight + bias, target)
        loss = loss + _RIDGE * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    return (wanted @ weight + bias).detach().numpy()


def table(found: dict[str, Any]) -> str:
    """Return what was found as Markdown."""
    lines = [
        f"| {found['pairs']:,} pairs, {found['disagreements']:,} disagreements, in the order of "
        "| AUROC (95 %) |",
        "| --- | --- |",
    ]
    for name, of in found["auroc"].items():
        lines.append(f"| {name} | {of['value']:.3f} ({of['low']:.3f} to {of['high']:.3f}) |")
    return "\n".join(lines)


def _interval(order: Numbers, wrong: NDArray[np.bool_]) -> dict[str, float]:
    return row(bootstrap(lambda rows: area_under_roc(order[rows], wrong[rows]), len(wrong)))


if __name__ == "__main__":
    main()
