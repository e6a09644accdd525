"""From words to requests: columns for tables, roots for all or for each, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from librehps.cli.suite_options import ColumnWords, suite_requests
from librehps.data.sources import Columns
from librehps.errors import ConfigError
from librehps.evaluate.run import SuiteRequest


def requests(*suites: str, words: ColumnWords | None = None, **given: Any) -> list[SuiteRequest]:
    data = [Path(f"data{n}") for n in range(len(suites))]
    options = {"roots": (), "fit_share": None} | given
    return suite_requests(suites, data, words=words or ColumnWords(), **options)


def test_words_become_columns() -> None:
    words = ColumnWords(
        names=("prompt=caption", "image_a=first=column"),
        axes=("style=style_share",),
        labels=("left=1", "a=b=0.5"),
    )
    assert words.columns() == Columns(
        names={"prompt": "caption", "image_a": "first=column"},
        axes={"style": "style_share"},
        labels={"left": 1.0, "a=b": 0.5},
    )
    assert ColumnWords().columns() is None
    assert ColumnWords(record="ranking").columns() == Columns(record="ranking")
    # The labels that are known without being named stay where none is.
    assert ColumnWords(names=("prompt=caption",)).columns() == Columns(names={"prompt": "caption"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"names": ("prompt",)}, "write NAME=VALUE"),
        ({"names": ("=caption",)}, "write NAME=VALUE"),
        ({"axes": ("style=",)}, "write NAME=VALUE"),
        ({"names": ("prompt=a", "prompt=b")}, "names 'prompt' twice"),
        ({"labels": ("left=much",)}, "is no share"),
    ],
)
def test_words_that_are_no_mapping_are_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        ColumnWords(**words).columns()


@pytest.mark.parametrize(
    "words",
    [
        {"names": ("promt=caption",)},
        {"axes": ("beauty=x",)},
        {"labels": ("left=2",)},
        {"record": "pair"},
    ],
)
def test_columns_that_do_not_exist_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ColumnWords(**words).columns()
    assert caught.value.code == "data_columns"


def test_columns_are_for_the_tables_among_the_suites() -> None:
    words = ColumnWords(names=("prompt=caption",))
    table, published = requests("csv", "hpdv2", words=words)
    assert table.options.columns == Columns(names={"prompt": "caption"})
    assert published.options.columns is None
    assert [one.data for one in (table, published)] == [Path("data0"), Path("data1")]
    with pytest.raises(ConfigError, match="hpdv2 and hpdv3 have columns of their own"):
        requests("hpdv2", "hpdv3", words=words)


def test_a_root_is_for_all_or_for_each() -> None:
    def roots(*given: str) -> list[Path | None]:
        found = requests("csv", "hpdv2", roots=tuple(map(Path, given)))
        return [one.options.root for one in found]

    assert roots() == [None, None]
    assert roots("x") == [Path("x"), Path("x")]
    assert roots("x", "y") == [Path("x"), Path("y")]
    with pytest.raises(typer.BadParameter, match="one for all, or one for each"):
        roots("x", "y", "z")


def test_what_makes_no_sense_is_refused_here() -> None:
    assert requests("csv", fit_share=0.0)[0].options.share == 0.0
    with pytest.raises(ConfigError) as caught:
        requests("hpdv3", "videoalign")
    assert caught.value.code == "suite_video"
    with pytest.raises(ConfigError, match="did you mean 'hpdv3'"):
        requests("hpd3")
    with pytest.raises(typer.BadParameter, match="give one for each"):
        suite_requests(["csv"], [], roots=(), words=ColumnWords(), fit_share=None)
