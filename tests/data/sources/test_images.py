from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from librehps.data.sources.images import ImageFiles
from librehps.errors import ConfigError, InputError
from librehps.inputs.image import load_image
from librehps.inputs.limits import ImageLimits

Picture = Callable[..., bytes]


def test_a_path_starts_at_the_root(images: ImageFiles, tmp_path: Path) -> None:
    assert images.image({"at": "./x/1.png"}, "at") == tmp_path / "x" / "1.png"
    assert images.image({"at": {"bytes": None, "path": "2.png"}}, "at") == tmp_path / "2.png"


@pytest.mark.parametrize("written", ["/etc/passwd", "../x.png", "a/../../x.png"])
def test_no_path_leaves_the_root_unless_that_is_allowed(tmp_path: Path, written: str) -> None:
    with pytest.raises(InputError, match="inside the folder of images") as caught:
        ImageFiles(tmp_path).image({"at": written}, "at")
    assert caught.value.code == "data_path"
    allowed = ImageFiles(tmp_path, allow_outside=True)
    assert allowed.image({"at": written}, "at") == tmp_path / written


def test_a_path_that_may_lie_outside_is_still_a_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no path"):
        ImageFiles(tmp_path, allow_outside=True).image({"at": "a\0b"}, "at")


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("url", ["https://host/1.png", "file:///etc/passwd", "data:image/png;x"])
def test_nothing_is_fetched(tmp_path: Path, url: str, allowed: bool) -> None:
    with pytest.raises(InputError, match="nothing is fetched") as caught:
        ImageFiles(tmp_path, allow_outside=allowed).image({"at": url}, "at")
    assert caught.value.code == "data_path"


@pytest.mark.parametrize("name", ["none.png", 300 * "a" + ".png"])
def test_files_are_looked_for_when_asked(tmp_path: Path, name: str) -> None:
    (tmp_path / "1.png").touch()
    checked = ImageFiles(tmp_path, check_files=True)
    assert checked.image({"at": "1.png"}, "at").is_file()
    with pytest.raises(InputError) as caught:
        checked.image({"at": name}, "at")
    assert caught.value.code == "data_image"


def test_bytes_are_kept_once_under_what_they_are(
    images: ImageFiles, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = picture(7)
    path = images.image({"at": data}, "at")
    digest = hashlib.sha256(data).hexdigest()
    assert path == tmp_path / "cache" / digest[:2] / f"{digest}.png"
    assert path.read_bytes() == data
    assert load_image(path).pixels[0, 0].tolist() == [7, 7, 7]
    monkeypatch.setattr("librehps.data.sources.images.write_bytes", None)
    assert images.image({"at": {"bytes": data, "path": "../../evil.png"}}, "at") == path


def test_what_was_cut_short_in_the_cache_is_written_again(
    images: ImageFiles, picture: Picture
) -> None:
    path = images.image({"at": picture(7)}, "at")
    path.write_bytes(b"")
    assert images.image({"at": picture(7)}, "at").read_bytes() == picture(7)


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", ".gif")])
def test_the_ending_is_that_of_the_content(
    images: ImageFiles, picture: Picture, kind: str, suffix: str
) -> None:
    assert images.image({"at": picture(9, kind)}, "at").suffix == suffix


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "image_empty"), (b"<html>no</html>", "image_unrecognized")],
)
def test_what_is_no_image_is_not_kept(
    images: ImageFiles, tmp_path: Path, data: bytes, code: str
) -> None:
    with pytest.raises(InputError, match="at is no image") as caught:
        images.image({"at": data}, "at")
    assert caught.value.code == code
    assert not (tmp_path / "cache").exists()


def test_an_image_of_too_many_bytes_is_not_kept(tmp_path: Path, picture: Picture) -> None:
    small = ImageFiles(tmp_path, cache=tmp_path, limits=ImageLimits(max_bytes=10))
    with pytest.raises(InputError) as caught:
        small.image({"at": picture(1)}, "at")
    assert (caught.value.code, caught.value.item) == ("image_too_large", "at")
    assert list(tmp_path.iterdir()) == []


def test_bytes_without_a_folder_for_them_are_the_callers_mistake(
    tmp_path: Path, picture: Picture
) -> None:
    with pytest.raises(ConfigError, match="image_cache") as caught:
        ImageFiles(tmp_path).image({"at": picture(1)}, "at")
    assert caught.value.code == "data_image_cache"


@pytest.mark.parametrize("value", [None, 3, [], {}, {"bytes": None}])
def test_what_is_neither_path_nor_bytes_is_refused(images: ImageFiles, value: object) -> None:
    with pytest.raises(InputError) as caught:
        images.image({"at": value}, "at")
    assert caught.value.code == "data_row"


def test_a_store_takes_what_would_be_written(tmp_path: Path, picture: Picture) -> None:
    class Listed:
        def __init__(self) -> None:
            self.taken: dict[str, bytes] = {}

        def keep(self, data: bytes, name: str) -> Path:
            self.taken[name] = data
            return Path("kept") / name

    store, data = Listed(), picture(7)
    for cache in (None, tmp_path / "cache"):
        images = ImageFiles(tmp_path, cache=cache, store=store)
        name = f"{hashlib.sha256(data).hexdigest()}.png"
        assert images.image({"at": data}, "at") == Path("kept") / name
        assert store.taken == {name: data}
        # A path stays one, and what is no image is refused before the store is asked.
        assert images.image({"at": "1.png"}, "at") == tmp_path / "1.png"
        with pytest.raises(InputError):
            images.image({"at": b"no picture"}, "at")
    assert list(tmp_path.iterdir()) == []
