from __future__ import annotations

from pathlib import Path

import pytest

from librehps.data.sources import SOURCES, Dropped, ImageFiles, Row, Source
from librehps.errors import InputError


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_keeps_to_the_protocol(name: str) -> None:
    source = SOURCES[name]()
    assert isinstance(source, Source)
    assert source.suffixes
    assert all(suffix.startswith(".") for suffix in source.suffixes)
    assert source.ties


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_has_a_typed_error_for_a_file_that_is_not_there(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        list(SOURCES[name]().rows(tmp_path / "none.json"))
    assert caught.value.code == "data_file"


@pytest.mark.parametrize("name", list(SOURCES))
def test_no_source_makes_a_record_of_nothing(name: str, images: ImageFiles) -> None:
    try:
        found = SOURCES[name]().records(Row("a", 0), images)
    except InputError:
        return
    assert found == Dropped("unlabelled")


def test_a_row_is_named_by_its_key_or_its_place() -> None:
    assert (Row("a.csv", 3).name, Row("a.csv", 3, key="k").name) == ("a.csv#3", "k")
