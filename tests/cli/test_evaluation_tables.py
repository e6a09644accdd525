"""What an evaluation prints: a table for pairs, rankings and marks, where there are any."""

from __future__ import annotations

from dataclasses import replace

import pytest

from librehps.cli.evaluation_tables import (
    GLOBAL,
    MARKS,
    MORE,
    PAIRS,
    RANKINGS,
    write_tables,
)
from librehps.evaluate.report import SuiteMeasure, measure_suites
from librehps.evaluate.run import Evaluation
from librehps.evaluate.tie_rules import make_tie_rule
from librehps.results import AxisScore
from tests.evaluate.test_scored_rankings import ranking
from tests.evaluate.test_scored_ratings import rating


def tables(capsys: pytest.CaptureFixture[str], *suites: SuiteMeasure) -> list[list[list[str]]]:
    write_tables(Evaluation(suites, None, [], [], 0, {}))
    blocks = capsys.readouterr().out.rstrip("\n").split("\n\n")
    return [[line.split("\t") for line in block.splitlines()] for block in blocks]


def test_every_kind_has_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    rankings = [ranking(place, (1, 2, 3)) for place in range(0, 20, 2)]
    marks = [
        replace(rating("detail"), value=float(n % 4), scores={"overall": AxisScore(float(n))})
        for n in range(9)
    ]
    ranked, marked = measure_suites(
        {"r": [pair for one in rankings for pair in one.pairs()], "m": []},
        tie_rules={"r": make_tie_rule("hpsv2"), "m": make_tie_rule("strict")},
        rankings={"r": rankings},
        ratings={"m": marks},
    )
    pairs, more, rank, mark = tables(capsys, ranked, marked)
    heads = [list(PAIRS), [*MORE, *GLOBAL], list(RANKINGS), list(MARKS)]
    assert [each[0] for each in (pairs, more, rank, mark)] == heads
    for each in (pairs, more, rank, mark):
        assert {len(row) for row in each} == {len(each[0])}
    assert pairs[1][:3] == ["r", "overall", "30"]
    # There is nothing to fit on, so neither of the two fits is there.
    assert more[1][:2] == ["r", "overall"]
    assert (more[1][7:], more[1][6] != "-") == (["-"] * 4, True)
    assert rank[1][:3] == ["r", "10", "10"]
    # Every ranking is the other way round.
    assert rank[1][3:6] == ["0.0000", "0.0000 to 0.0000", "hpsv2"]
    assert rank[1][6:] == ["-1.0000", "-1.0000 to -1.0000"] * 2
    assert mark[1][:5] == ["m", "detail", "overall", "9", "1"]
    # All of one prompt: there is a number and no interval.
    assert mark[1][6] == "-"
    # One suite needs no fit for all.
    alone = [row[: len(MORE)] for row in more]
    assert tables(capsys, ranked) == [pairs, alone, rank]
    assert tables(capsys, marked) == [mark]


def test_what_is_not_defined_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    (constant,) = measure_suites(
        {"m": []},
        tie_rules={"m": make_tie_rule("strict")},
        ratings={"m": [rating("overall", "overall")] * 3},
    )
    ((_, row),) = tables(capsys, constant)
    assert row[5:] == ["-"] * 6
