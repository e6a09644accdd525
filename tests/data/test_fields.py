from __future__ import annotations

from pathlib import Path

import pytest

from librehps.data.fields import image_path, number, optional_number, optional_text, text
from librehps.errors import InputError


def test_what_is_there_is_returned() -> None:
    fields = {"prompt": "a cat", "none": None, "share": 1}
    assert text(fields, "prompt") == optional_text(fields, "prompt") == "a cat"
    assert optional_text(fields, "none") is None
    assert optional_number(fields, "other") is None
    share = optional_number(fields, "share")
    assert (type(share), share) == (float, 1.0)


@pytest.mark.parametrize("value", [None, "", 3, b"x", "a \ud800"])
def test_a_text_must_be_one(value: object) -> None:
    with pytest.raises(InputError) as caught:
        text({"prompt": value}, "prompt")
    assert caught.value.code == "data_row"
    assert "prompt" in caught.value.message


@pytest.mark.parametrize("value", [None, True, "1", 10**400, [1]])
def test_a_number_must_be_one(value: object) -> None:
    with pytest.raises(InputError, match="share") as caught:
        number("share", value)
    assert caught.value.code == "data_row"


def test_a_path_starts_at_the_folder() -> None:
    assert image_path({"at": "./x/1.png"}, "at", Path("/data")) == Path("/data/x/1.png")


@pytest.mark.parametrize("written", ["/etc/passwd", "../x", "x/../../y", "a\\..\\b", "a\0b", "."])
def test_no_path_leaves_the_folder(written: str) -> None:
    with pytest.raises(InputError, match="no path inside") as caught:
        image_path({"at": written}, "at", Path("/data"))
    assert caught.value.code == "data_path"
