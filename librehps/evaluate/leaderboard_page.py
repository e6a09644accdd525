"""``report.html`` of a leaderboard: ranking, means, who beats whom, and pictures side by side.

Like the page of an evaluation it loads nothing and runs nothing, and it shares its style and the
way it escapes and names what users wrote. What it shows is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from librehps.evaluate.charts import Chart
from librehps.evaluate.errors_shown import ShownPicture, show_picture
from librehps.evaluate.forest_plot import Estimate, forest_plot
from librehps.evaluate.generator_comparisons import ScoredPicture
from librehps.evaluate.generator_measures import GeneratorMeasure

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["ShownPrompt", "render_leaderboard", "side_by_side", "strength_plot"]

#: Most generators in the table of who beats whom.
MAX_MATRIX = 20
#: Most prompts whose pictures are shown, and pictures of each.
MAX_PROMPTS, MAX_EACH = 4, 6


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt with pictures of several generators.

    Args:
        category: Its category.
        prompt: What was asked for.
        pictures: Name of the generator, mean score, and the picture, in the order of the ranking.
        num_generators: How many have a picture for it.
    """

    category: str
    prompt: str
    pictures: Sequence[tuple[str, float, ShownPicture]]
    num_generators: int


def render_leaderboard(
    template: Template,
    *,
    document: Mapping[str, Any],
    measures: Sequence[GeneratorMeasure],
    pictures: Sequence[ScoredPicture],
    images: Path,
) -> str:
    """Return the page. It has the time on a line of its own, and is else the same for the same.

    Args:
        template: See :func:`~librehps.evaluate.html_report.load_template`: the page is of the same
            environment.
        document: What ``report.json`` holds.
        measures: In the order of the ranking.
        pictures: With their scores.
        images: Folder that their names are relative to.
    """
    own = template.environment.get_template("leaderboard.html")
    won = {
        (first, second): (share, pair["num_comparisons"])
        for pair in document["pairs"]
        for first, second, share in (
            (pair["first"], pair["second"], pair["won"]),
            (pair["second"], pair["first"], 1.0 - pair["won"]),
        )
    }
    return own.render(
        document=document,
        measures=measures,
        categories=sorted({picture.category for picture in pictures}),
        charts=[_strength_chart(measures), _mean_chart(measures, document["axis"])],
        won=won,
        met=measures[:MAX_MATRIX],
        prompts=side_by_side(pictures, measures, axis=document["axis"], images=images),
        several_groups=len({one.group for one in measures}) > 1,
    )


def strength_plot(measures: Sequence[GeneratorMeasure], *, alone: bool = False) -> str:
    """Return the ranking with its intervals as an ``<svg>`` element.

    Args:
        measures: In the order of the ranking.
        alone: Whether it is a file of its own.
    """
    rows = [
        Estimate(one.name, math.nan)
        if one.strength is None
        else Estimate(one.name, one.strength.value, one.strength.low, one.strength.high)
        for one in measures
    ]
    return forest_plot(
        rows,
        label="strength, in log-odds of winning; the mean of the generators is 0",
        title="Strength of each generator with its 95% interval",
        zero=True,
        alone=alone,
    )


def side_by_side(
    pictures: Sequence[ScoredPicture],
    measures: Sequence[GeneratorMeasure],
    *,
    axis: str,
    images: Path,
) -> list[ShownPrompt]:
    """Return the prompts on which scores differ most, of those that most generators have.

    Args:
        pictures: With their scores.
        measures: In the order of the ranking; of more than 6 the first and the last are shown.
        axis: The axis that decides.
        images: Folder that the names of pictures are relative to.
    """
    shown: dict[tuple[str, str], dict[str, ScoredPicture]] = {}
    for picture in pictures:
        # The first of several is as good as any.
        of_prompt = shown.setdefault((picture.category, picture.prompt), {})
        of_prompt.setdefault(picture.generator, picture)

    def spread(of_prompt: Mapping[str, ScoredPicture]) -> tuple[int, float]:
        means = [picture.scores[axis].mean for picture in of_prompt.values()]
        return len(means), max(means) - min(means)

    compared = [pair for pair in shown.items() if len(pair[1]) > 1]
    # Sorting is stable, so that the same data give the same page.
    chosen = sorted(compared, key=lambda pair: spread(pair[1]), reverse=True)[:MAX_PROMPTS]
    found: list[ShownPrompt] = []
    for (category, prompt), of_prompt in chosen:
        names = [one.name for one in measures if one.name in of_prompt]
        if len(names) > MAX_EACH:
            names = names[: MAX_EACH // 2] + names[-(MAX_EACH // 2) :]
        row = [
            (
                name,
                of_prompt[name].scores[axis].mean,
                show_picture(of_prompt[name].image, images / of_prompt[name].image),
            )
            for name in names
        ]
        found.append(ShownPrompt(category, prompt, row, len(of_prompt)))
    return found


def _strength_chart(measures: Sequence[GeneratorMeasure]) -> Chart:
    note = (
        "A generator that is x above another wins a comparison with the probability "
        "1 / (1 + exp(-x)). Lines are 95% intervals; prompts are drawn for them."
    )
    return Chart("Who is stronger?", strength_plot(measures), (), note)


def _mean_chart(measures: Sequence[GeneratorMeasure], axis: str) -> Chart:
    rows = [Estimate(one.name, one.mean.value, one.mean.low, one.mean.high) for one in measures]
    label = f"mean score on {axis}, in log-odds"
    svg = forest_plot(rows, label=label, title=f"Mean score on {axis} of each generator")
    return Chart(
        "Which scores do they get?",
        svg,
        (),
        "In the order of the ranking. Where generators have different prompts, means do not "
        "compare. Intervals of two overlap more easily than those of their difference.",
    )
