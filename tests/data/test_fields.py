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


@pytest.mark.parametrize(
    "written",
    [
        "./x/1.png",
        "/data/x/1.png",
        # As macOS calls what is on the screen, with a narrow space; an emoji of several parts.
        "Screenshot 9.41\u202fAM.png",
        "\u3000\u00a0.png",
        "\U0001f469\u200d\U0001f680.png",
    ],
)
def test_a_path_starts_at_the_folder(written: str) -> None:
    found = image_path({"at": written}, "at", Path("/data"))
    assert found == Path("/data") / written
    assert found.is_relative_to("/data")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("/etc/passwd", "not inside the folder of images, /data"),
        ("/data/../x", "no path inside"),
        ("/database/x", "not inside the folder"),
        ("../x", "no path inside"),
        ("x/../../y", "no path inside"),
        ("a\\..\\b", "told apart by /"),
        ("a\0b", "letters that do not belong"),
        ("a\x1b[2Jb", "letters that do not belong"),
        (".", "no path inside"),
    ],
)
def test_no_path_leaves_the_folder(written: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        image_path({"at": written}, "at", Path("/data"))
    assert caught.value.code == "data_path"
