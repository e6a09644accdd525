from __future__ import annotations

import json
from pathlib import Path

from librehps.data.records import Rating
from librehps.data.sources import report as module
from librehps.data.sources.protocol import Row
from librehps.data.sources.report import BadRow, Tally
from librehps.errors import InputError


def test_everything_is_counted_and_quoted() -> None:
    tally = Tally(rows=5)
    tally.count(Rating(prompt="p", image=Path("x"), value=1.0))
    tally.dropped["unlabelled"] += 1
    bad = tally.note(Row("a.csv", 3, 7, span=3), InputError("is bad", code="data_row"))
    assert bad == BadRow("a.csv", 3, 7, "a.csv#3", "data_row", "is bad")
    report = tally.report()
    assert json.loads(json.dumps(report.to_dict())) == {
        "rows": 5,
        "records": {"rating": 1},
        "dropped": {"unlabelled": 1},
        "bad": {"data_row": 3},
        "bad_rows": [vars(bad)],
        "finished": False,
    }
    assert report.num_bad == 3


def test_places_say_line_or_row() -> None:
    tally, error = Tally(), InputError("x", code="data_row")
    assert tally.note(Row("a.csv", 3, 7), error).place == "a.csv line 7 (row 3)"
    assert tally.note(Row("a.parquet", 3), error).place == "a.parquet row 3"


def test_the_items_name_is_kept_where_it_says_more_than_the_key() -> None:
    tally, row = Tally(), Row("a.csv", 3)
    inner = InputError("is bad", code="x", item="image_a")
    assert tally.note(row, inner).message == "image_a: is bad"
    same = InputError("is bad", code="x", item="a.csv#3")
    assert tally.note(row, same).message == "is bad"


def test_what_is_quoted_is_bounded_and_what_is_counted_is_not(monkeypatch) -> None:
    monkeypatch.setattr(module, "QUOTED", 2)
    tally = Tally()
    for index in range(5):
        tally.note(Row("a", index), InputError("x", code="data_row"))
    report = tally.report()
    assert (report.num_bad, len(report.bad_rows)) == (5, 2)
