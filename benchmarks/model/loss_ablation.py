"""What the choice of the loss does: the same start, data and steps for each, over several seeds.

    python -m benchmarks.model.loss_ablation RECIPE --runs FOLDER --out benchmarks/results/NAME.json

Each loss is trained with each seed by the recipe, into ``FOLDER/<loss>-<seed>``, and measured on
pairs of the synthetic test split. A seed decides the order of the data. What is trained or measured
already is not done again, so two processes may share the losses between them (``--losses``); a
folder with a run of another recipe is refused.

A loss is judged by the probability of one vote that it fits: for ``panel_thurstone`` that is
``thurstone``'s; for ``expected_logistic``, whose exponential is none, that of ``logistic_normal``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch

from benchmarks.model.synthetic_world import Judged, columns, judge
from librehps import LibreHPS
from librehps.calibration import area_under_roc, expected_calibration_error
from librehps.data.synthetic import World
from librehps.losses import Scores, build_loss
from librehps.results import AxisScore
from librehps.training import read_recipe, train
from librehps.writing import write_lines

LOSSES = (
    "logistic_normal",
    "bradley_terry",
    "thurstone",
    "panel_thurstone",
    "expected_logistic",
)
SINGLE = {"expected_logistic": "logistic_normal", "panel_thurstone": "thurstone"}
MEASURES = {
    "accuracy": "agreement with the majority",
    "negative_log_likelihood": "negative log-likelihood of a vote",
    "calibration_error": "calibration error",
    "sigma_auroc": "AUROC of sigma for disagreement",
    "mean_sigma": "mean sigma",
}


def main() -> None:
    """Train, measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recipe", type=Path, help="its loss and seed are replaced")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--losses", nargs="+", default=LOSSES)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--pairs", type=int, default=4000, help="of the test split")
    parser.add_argument("--side", type=int, default=128, help="of the pictures, in pixels")
    options = parser.parse_args()

    found: dict[str, list[dict[str, float]]] = {}
    for seed in options.seeds:
        for loss in options.losses:
            run = options.runs / f"{loss}-{seed}"
            found.setdefault(loss, []).append(_one(options, loss, seed, run))
    print(table(found))
    if options.out is not None:
        recipe = read_recipe(options.recipe).to_dict()
        whole = {"pairs": options.pairs, "seeds": list(options.seeds), "recipe": recipe}
        write_lines(options.out, [json.dumps(whole | {"losses": found}, indent=2) + "\n"])


def _one(options: argparse.Namespace, loss: str, seed: int, run: Path) -> dict[str, float]:
    """Train and measure, as far as that is not done."""
    recipe = read_recipe(options.recipe, [f"loss={loss}", f"run.seed={seed}"])
    begun, wanted = run / "recipe.json", json.loads(json.dumps(recipe.to_dict()))
    if begun.exists() and json.loads(begun.read_text("utf-8")) != wanted:
        raise SystemExit(f"{run} holds a run of another recipe: remove it, or name another folder")
    if not (run / "last").exists():
        train(recipe, run, resume=begun.exists(), device="cpu", progress=True)
    kept = run / f"measured-{options.pairs}-{options.side}.json"
    if not kept.exists():
        world = World(side=options.side)
        model = LibreHPS.from_pretrained(run / "last", device="cpu", dtype="float32")
        judged = list(judge(model, world, world.pairs("test", options.pairs)))
        write_lines(kept, [json.dumps(measured(judged, loss)) + "\n"])
    values: dict[str, float] = json.loads(kept.read_text("utf-8"))
    return values


def measured(judged: Sequence[Judged], loss: str) -> dict[str, float]:
    """Return what a model of one loss gets right about the overall preference of pairs."""
    agrees, _, _, truth, spread = columns(judged)
    decided = ~np.isnan(agrees)
    right = agrees[decided]
    first, second = ([getattr(one, side).axis("overall") for one in judged] for side in "ab")
    a, b = _scores(first), _scores(second)
    fits = build_loss(SINGLE.get(loss, loss))
    certain = torch.ones_like(a.mean)
    for_a, for_b = fits(a, b, certain), fits(a, b, 1.0 - certain)
    shares = [one.pair.votes["overall"] / one.pair.num_votes for one in judged]
    share = torch.tensor(shares, dtype=torch.float64)
    return {
        "accuracy": float(right.mean()),
        "negative_log_likelihood": float((share * for_a + (1.0 - share) * for_b).mean()),
        "calibration_error": expected_calibration_error(torch.exp(-for_a).numpy(), truth).value,
        "sigma_auroc": area_under_roc(spread[decided], right < 0.5),
        "mean_sigma": fmean(one.sigma or 0.0 for one in (*first, *second)),
    }


def _scores(axis: Sequence[AxisScore]) -> Scores:
    return Scores(
        torch.tensor([one.mean for one in axis], dtype=torch.float64),
        torch.tensor([one.sigma or 0.0 for one in axis], dtype=torch.float64),
    )


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Return what was found as Markdown: mean and standard deviation over the seeds."""

    def cell(runs: list[dict[str, float]], name: str) -> str:
        values = [run[name] for run in runs]
        return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")

    lines = [f"| loss | {' | '.join(MEASURES.values())} |", "| --- |" + " --- |" * len(MEASURES)]
    for loss, runs in found.items():
        lines.append(f"| `{loss}` | {' | '.join(cell(runs, name) for name in MEASURES)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
