"""The page: it needs nothing else, escapes what it is given, and says what it does not have."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from librehps.errors import BackendError
from librehps.evaluate.html_report import MAX_ERRORS, ReportedSuite, load_template, render_report
from librehps.evaluate.report import SuiteMeasure, aggregate_over_suites, measure_suites
from librehps.evaluate.scored import ScoredPair
from librehps.evaluate.tie_rules import make_tie_rule
from librehps.results import AxisScore
from tests.evaluate.test_scored_rankings import ranking
from tests.evaluate.test_scored_ratings import rating

HOSTILE = (
    "<script>alert(1)</script>\"' onerror=x {{ 7 * 7 }} \x00\x1b\u202eevil\u202c שלום <img src=x>"
)


class Page(HTMLParser):
    """Collects the elements of a page, its text, and whether each element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def drawn(
    count: int, *, prompt: str = "a star", fitting: int = 3, axes: tuple[str, ...] = ("overall",)
) -> list[ScoredPair]:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(count, 2))
    votes = rng.binomial(5, 1 / (1 + np.exp(scores[:, 1] - scores[:, 0]))) / 5
    return [
        ScoredPair(
            suite="s",
            global_index=place,
            for_fitting=bool(fitting) and place % fitting == 0,
            key=f"{place}{prompt[:3]}",
            prompt=f"{prompt} {place // 2}",
            image_a=f"{place}-a.png",
            image_b=f"{place}-b.png",
            targets={axis: float(votes[place]) for axis in axes},
            votes=5,
            scores_a={axis: AxisScore(float(scores[place, 0]), 0.5) for axis in axes},
            scores_b={axis: AxisScore(float(scores[place, 1]), 0.5) for axis in axes},
        )
        for place in range(count)
    ]


def is_wrong(pair: ScoredPair) -> bool:
    gap = pair.scores_a["overall"].mean - pair.scores_b["overall"].mean
    return gap * (pair.targets["overall"] - 0.5) < 0


def render(pairs: dict[str, list[ScoredPair]], images: Path, **changes: Any) -> str:
    rules = {name: make_tie_rule("strict") for name in pairs}
    return render_measured(measure_suites(pairs, tie_rules=rules), pairs, images, **changes)


def render_measured(
    suites: Sequence[SuiteMeasure],
    pairs: dict[str, list[ScoredPair]],
    images: Path,
    **changes: Any,
) -> str:
    common = {"suite": "hpdv3", "data": "data <b>", "sha256": "0" * 64, "limit": None}
    counts = {"num_rows": 9, "num_bad_rows": 0, "dropped": {"same_image": 3}, "num_pairs": 9}
    document = {
        "created": "2020-02-02T00:00:00+00:00",
        "librehps": "0.0.0",
        "model": {"name": "m", "trained": True, "fingerprint": "f", "settings": {"dtype": "x"}},
        "calibrator": "platt",
        "num_bad_items": 0,
        "suites": [{**one.to_dict(), **common, **counts, **changes} for one in suites],
        **{key: value for key, value in changes.items() if key in ("model", "num_bad_items")},
    }
    shown = [ReportedSuite(one, pairs[one.name], images) for one in suites]
    aggregate = aggregate_over_suites(suites)
    return render_report(load_template(), document=document, suites=shown, aggregate=aggregate)


def test_the_page_needs_nothing_and_runs_nothing(tmp_path: Path) -> None:
    pairs = drawn(90, axes=("overall", "style"))
    for pair in pairs:
        for name in (pair.image_a, pair.image_b):
            Image.new("RGB", (20, 10), (pair.global_index, 0, 0)).save(tmp_path / name)
    text = render({"s": pairs}, tmp_path)
    page = Page(text)
    assert page.open == []
    own = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|//|@import|url\(", own)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "form", "a", "base"}
    assert not [name for _, given in page.elements for name in given if name.startswith("on")]
    sources = [given["src"] or "" for tag, given in page.elements if tag == "img"]
    assert 0 < len(sources) <= 2 * MAX_ERRORS
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    charts = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(charts) == 8
    for chart in charts:
        ElementTree.fromstring(chart)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert text == render({"s": pairs}, tmp_path)


def test_the_table_has_the_numbers_with_rule_and_interval(tmp_path: Path) -> None:
    pairs = drawn(90)
    (suite,) = measure_suites({"s": pairs}, tie_rules={"s": make_tie_rule("strict")})
    text = Page(render({"s": pairs}, tmp_path)).text
    found = suite.axes["overall"]
    assert found.accuracy is not None
    row = f"{found.accuracy.value:.4f}{found.accuracy.low:.4f} to {found.accuracy.high:.4f}strict"
    assert row in text
    for name in ("uncalibrated", "calibrated"):
        one = found.forecasts[name]
        for value in (one.reliability.error.value, one.reliability.error.by_chance):
            assert f"{value:.4f}" in text
        assert f"{one.brier.value:.4f}{one.brier.low:.4f} to {one.brier.high:.4f}" in text
    assert "strict: votes that tie left out; equal scores wrong." in text


def test_whatever_a_user_wrote_is_text(tmp_path: Path) -> None:
    model = {"name": HOSTILE, "trained": False, "fingerprint": HOSTILE, "settings": {HOSTILE: "y"}}
    text = render(
        {HOSTILE: drawn(40, prompt=HOSTILE)}, tmp_path, model=model, data=HOSTILE, num_bad_rows=2
    )
    page = Page(text)
    assert page.open == []
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    # The name of the model, of the suite, the data, and the prompts.
    assert page.text.count("<script>alert(1)</script>\"' onerror=x {{ 7 * 7 }} ⟨U+0000⟩") > 4
    assert "⟨U+202E⟩evil⟨U+202C⟩ שלום" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)
    assert "never trained" in page.text
    assert "2 of 9 rows could not be read" in page.text


def test_a_long_prompt_is_cut_and_says_so(tmp_path: Path) -> None:
    text = render({"s": drawn(30, prompt="x" * 100_000)}, tmp_path)
    assert "[600 of 10000" in text
    assert len(text) < 300_000


def test_a_picture_that_is_gone_is_said_in_its_place(tmp_path: Path) -> None:
    text = Page(render({"s": drawn(30)}, tmp_path)).text
    assert "no picture: there is no such file [image_missing]" in text


def test_one_pair_has_no_interval_and_no_calibrator(tmp_path: Path) -> None:
    (pair,) = drawn(1, fitting=0)
    text = Page(render({"s": [pair]}, tmp_path)).text
    assert "nan" not in text.lower()
    assert "There is no fit called calibrated:" in text
    assert "[calibration_too_few]" in text
    assert re.search(r"1[01]\.0000-strict", text)


def test_no_errors_are_said(tmp_path: Path) -> None:
    right = [pair for pair in drawn(60, fitting=0) if not is_wrong(pair)]
    assert "There is no pair on overall" in Page(render({"s": right}, tmp_path)).text


@pytest.mark.parametrize(("count", "each"), [(2, 20), (7, 4), (25, 1)])
def test_all_benchmarks_share_the_room_for_errors(count: int, each: int, tmp_path: Path) -> None:
    wrong = [pair for pair in drawn(200, fitting=0) if is_wrong(pair)][:each]
    page = Page(render({f"s{place}": wrong for place in range(count)}, tmp_path))
    shown = [given for _, given in page.elements if given.get("class") == "error"]
    assert len(wrong) == each
    assert len(shown) == MAX_ERRORS
    assert ("there is no room for them" in page.text) == (count > MAX_ERRORS)
    assert page.text.count("mean by pairs") == 1


def test_the_largest_page_is_within_three_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, (192, 192, 3), dtype=np.uint8) * 255
    Image.fromarray(noise).save(tmp_path / "noise.png")
    wrong = [pair for pair in drawn(300, fitting=0) if is_wrong(pair)]
    same = [replace(pair, image_a="noise.png", image_b="noise.png") for pair in wrong]
    text = render({"s": same}, tmp_path)
    assert text.count("data:image/jpeg") == 2 * MAX_ERRORS
    assert 500_000 < len(text.encode()) < 3_000_000


def test_without_jinja2_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(BackendError) as caught:
        load_template()
    assert caught.value.code == "jinja2_missing"
    assert "librehps[evaluate]" in str(caught.value)


def test_rankings_and_marks_have_tables_of_their_own(tmp_path: Path) -> None:
    rankings = [ranking(place, (1, 2, 3)) for place in range(0, 40, 2)]
    pairs = {"s": [pair for one in rankings for pair in one.pairs()], "marks": []}
    marks = [replace(rating(HOSTILE, "overall"), value=float(n)) for n in range(9)]
    rules = {name: make_tie_rule("hpsv2") for name in pairs}
    suites = measure_suites(
        pairs, tie_rules=rules, rankings={"s": rankings}, ratings={"marks": marks}
    )
    text = Page(render_measured(suites, pairs, tmp_path)).text
    found = suites[0].rankings
    assert found is not None
    assert found.accuracy is not None
    interval = f"{found.accuracy.low:.4f} to {found.accuracy.high:.4f}"
    assert f"{found.accuracy.value:.4f}{interval}hpsv2" in text
    assert "means over the 20 rankings" in text
    assert text.count("The worst errors") == 1
    # A mark of one score is constant: there is no correlation, and the page says so by dashes.
    assert "Pearson's r" in text
    assert "<script>alert(1)</script>" in text
