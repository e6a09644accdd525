"""Comparisons of generators: on shared prompts, one for each, whatever the number of pictures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from librehps.evaluate.generator_comparisons import (
    ScoredPicture,
    compare_generators,
    write_pictures,
)
from librehps.evaluate.outcomes import make_outcome
from librehps.results import AxisScore


def picture(
    generator: str, prompt: str, mean: float, *, category: str = "x", sigma: float | None = None
) -> ScoredPicture:
    scores = {"overall": AxisScore(mean, sigma)}
    return ScoredPicture(generator, category, prompt, f"{generator}/{prompt}.png", scores)


def test_two_are_compared_on_each_prompt_that_both_have() -> None:
    pictures = [
        picture("b", "p", 1.0),
        picture("a", "p", 2.0),
        picture("a", "q", 1.0),
        picture("b", "q", 1.0),
        picture("a", "r", 5.0),
        # The same text in another category is another prompt, which is drawn with it.
        picture("b", "r", 0.0, category="y"),
        picture("c", "r", 9.0, category="y"),
    ]
    found = compare_generators(pictures, axis="overall", outcome=make_outcome("higher"))
    assert found.generators == ("a", "b", "c")
    rows = zip(found.first, found.second, found.share, found.tied, found.prompt, strict=True)
    assert [tuple(map(float, row)) for row in rows] == [
        (0.0, 1.0, 1.0, 0.0, 0.0),
        (0.0, 1.0, 0.5, 1.0, 1.0),
        (1.0, 2.0, 0.0, 0.0, 2.0),
    ]
    assert found.num_prompts == 3
    np.testing.assert_array_equal(found.wins(), [[0, 1.5, 0], [0.5, 0, 0], [0, 1, 0]])
    twice = found.wins(np.array([2.0, 0.0, 1.0]))
    np.testing.assert_array_equal(twice, [[0, 2, 0], [0, 0, 0], [0, 1, 0]])


def test_several_pictures_are_one_comparison_of_each_with_each() -> None:
    pictures = [
        *(picture("a", "p", mean) for mean in (1.0, 3.0)),
        *(picture("b", "p", mean) for mean in (0.0, 2.0, 3.0)),
    ]
    found = compare_generators(pictures, axis="overall", outcome=make_outcome("higher"))
    assert len(found) == 1
    # 1 beats 0; 3 beats 0 and 2 and ties with 3.
    assert found.share[0] == pytest.approx(3.5 / 6)
    assert found.tied[0] == pytest.approx(1 / 6)


def test_the_rule_decides() -> None:
    pictures = [picture("a", "p", 0.1, sigma=1.0), picture("b", "p", 0.0, sigma=1.0)]
    shares = [
        compare_generators(pictures, axis="overall", outcome=make_outcome(name)).share[0]
        for name in ("higher", "probability")
    ]
    assert shares[0] == 1.0
    assert shares[1] == pytest.approx(0.5282, abs=1e-4)


PICTURES = st.lists(
    st.builds(
        lambda generator, prompt, mean, category: picture(
            generator, prompt, mean, category=category
        ),
        st.sampled_from("abcd"),
        st.sampled_from("pqr"),
        st.integers(-2, 2).map(float),
        st.sampled_from("xy"),
    ),
    min_size=1,
    max_size=25,
)


@given(PICTURES, st.sampled_from(["higher", "probability"]))
def test_every_comparison_is_shared_whole(pictures: list[ScoredPicture], rule: str) -> None:
    found = compare_generators(pictures, axis="overall", outcome=make_outcome(rule))
    wins = found.wins()
    assert wins.sum() == pytest.approx(len(found))
    assert not wins.diagonal().any()
    shown: dict[tuple[str, str], set[str]] = {}
    for one in pictures:
        shown.setdefault((one.category, one.prompt), set()).add(one.generator)
    expected = Counter(
        (first, second)
        for names in shown.values()
        for first in names
        for second in names
        if first < second
    )
    names = found.generators
    pairs = zip(found.first, found.second, strict=True)
    assert Counter((names[one], names[other]) for one, other in pairs) == expected


def test_a_generator_alone_has_no_comparison() -> None:
    found = compare_generators(
        [picture("a", "p", 1.0)], axis="overall", outcome=make_outcome("higher")
    )
    assert len(found) == 0
    np.testing.assert_array_equal(found.wins(), [[0.0]])


def test_a_line_for_each_picture(tmp_path: Path) -> None:
    path = tmp_path / "out" / "pictures.jsonl"
    write_pictures(path, [picture("a\udc80", "p", 1.0, sigma=0.5)])
    assert json.loads(path.read_text()) == {
        "generator": "a\udc80",
        "category": "x",
        "prompt": "p",
        "image": "a\udc80/p.png",
        "scores": {"overall": {"mean": 1.0, "sigma": 0.5}},
    }
