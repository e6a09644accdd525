"""The page of a leaderboard: it needs nothing else, escapes what it is given, and is bounded."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from librehps.evaluate.generator_comparisons import ScoredPicture, compare_generators
from librehps.evaluate.generator_measures import measure_generators, measure_pairs
from librehps.evaluate.html_report import load_template
from librehps.evaluate.leaderboard_page import (
    MAX_EACH,
    MAX_MATRIX,
    MAX_PROMPTS,
    render_leaderboard,
    side_by_side,
    strength_plot,
)
from librehps.evaluate.outcomes import make_outcome
from librehps.results import AxisScore

HOSTILE = "<script>alert(1)</script>\"' {{ 7 * 7 }} \x00\u202eevil <img src=x>"


class Tags(HTMLParser):
    """Collects the names of elements and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def drawn(generators: int, prompts: int, *, name: str = "g", categories: int = 2) -> Any:
    rng = np.random.default_rng(0)
    return [
        ScoredPicture(
            f"{name}{place}",
            f"{name}-c{number % categories}",
            f"{name} prompt {number}",
            f"{place}/{number}.png",
            {"overall": AxisScore(float(rng.normal() + place))},
        )
        for place in range(generators)
        for number in range(prompts)
    ]


def render(pictures: list[ScoredPicture], images: Path, **changes: Any) -> str:
    comparisons = compare_generators(pictures, axis="overall", outcome=make_outcome("probability"))
    measures = measure_generators(pictures, comparisons, axis="overall", resamples=9)
    document: dict[str, Any] = {
        "created": "2020-02-02T00:00:00+00:00",
        "librehps": "0.0.0",
        "model": {"name": "m", "trained": True, "fingerprint": "f", "settings": {"dtype": "x"}},
        "data": {
            **{"path": "data", "sha256": None, "num_rows": 9, "num_bad_rows": 0},
            **{"num_pictures": len(pictures), "num_scored": len(pictures)},
        },
        "axis": "overall",
        "ranking": {
            "rule": make_outcome("probability").to_dict(),
            "num_comparisons": len(comparisons),
            "resamples": 9,
        },
        "pairs": [vars(pair) for pair in measure_pairs(comparisons)],
        "notes": [],
        "num_bad_items": 0,
        **changes,
    }
    return render_leaderboard(
        load_template(), document=document, measures=measures, pictures=pictures, images=images
    )


def test_the_page_needs_nothing_and_runs_nothing(tmp_path: Path) -> None:
    pictures = drawn(3, 8)
    for one in pictures:
        (tmp_path / one.image).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), (90, 0, 0)).save(tmp_path / one.image)
    text = render(pictures, tmp_path)
    own = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|//|@import|url\(", own)
    tags = Tags(text).found
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "form", "a"}
    assert not [name for _, given in tags for name in given if name.startswith("on")]
    assert sum(tag == "img" for tag, _ in tags) == MAX_PROMPTS * 3
    charts = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        ElementTree.fromstring(chart)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "g-c0" in text
    assert text == render(pictures, tmp_path)


def test_whatever_a_user_wrote_is_text(tmp_path: Path) -> None:
    model = {"name": HOSTILE, "trained": False, "fingerprint": HOSTILE, "settings": {HOSTILE: "y"}}
    text = render(
        drawn(2, 3, name=HOSTILE),
        tmp_path,
        model=model,
        notes=[HOSTILE],
        num_bad_items=3,
    )
    assert not {"script", "img"} & {tag for tag, _ in Tags(text).found}
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)
    assert "{{ 7 * 7 }} ⟨U+0000⟩⟨U+202E⟩evil" in text
    assert "never trained" in text
    assert "Pictures without a score or a prompt: 3" in text
    assert "no picture: there is no such file [image_missing]" in text


def test_many_generators_are_bounded_and_said(tmp_path: Path) -> None:
    text = render(drawn(MAX_MATRIX + 3, 3), tmp_path)
    assert f"The first {MAX_MATRIX} of {MAX_MATRIX + 3} are shown" in text
    assert f"{MAX_EACH} of {MAX_MATRIX + 3} generators are shown" in text
    assert len(text) < 300_000


def test_one_generator_is_a_page_without_comparisons(tmp_path: Path) -> None:
    text = render(drawn(1, 3, categories=1), tmp_path)
    assert "Who beats whom" not in text
    assert "Where scores differ most" not in text
    assert "Mean score by category" not in text
    assert "nan" not in text.lower()


def test_the_prompts_with_the_largest_distance_are_shown(tmp_path: Path) -> None:
    scores = {"p": (0.0, 1.0), "q": (5.0, 0.0), "r": (2.0, 2.5)}
    pictures = [
        ScoredPicture(name, "x", prompt, f"{name}{prompt}.png", {"overall": AxisScore(mean)})
        for prompt, means in scores.items()
        for name, mean in zip("ab", means, strict=True)
    ]
    pictures.append(ScoredPicture("a", "x", "alone", "s.png", {"overall": AxisScore(99.0)}))
    comparisons = compare_generators(pictures, axis="overall", outcome=make_outcome("higher"))
    measures = measure_generators(pictures, comparisons, axis="overall", resamples=9)
    found = side_by_side(pictures, measures, axis="overall", images=tmp_path)
    assert [one.prompt for one in found] == ["q", "p", "r"]
    order = [one.name for one in measures]
    assert [name for name, _, _ in found[0].pictures] == order
    assert {(name, score) for name, score, _ in found[0].pictures} == {("a", 5.0), ("b", 0.0)}


def test_the_plot_says_who_was_not_compared() -> None:
    pictures = drawn(2, 2)
    pictures.append(ScoredPicture("alone", "x", "other", "s.png", {"overall": AxisScore(1.0)}))
    comparisons = compare_generators(pictures, axis="overall", outcome=make_outcome("higher"))
    measures = measure_generators(pictures, comparisons, axis="overall", resamples=9)
    text = strength_plot(measures, alone=True)
    assert text.count("<circle") == 2
    assert "not compared" in text
