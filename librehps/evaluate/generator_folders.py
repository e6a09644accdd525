"""Pictures of generators in folders, as HPSv2 and HPSv3 lay their benchmarks out.

::

    <root>/<generator>/<category>/00012.jpg    a picture
    <root>/<generator>/<category>/00012.txt    its prompt, as HPSv3 has it
    <prompts>/<category>.json                  or all prompts of a category, as HPSv2 has them

Prompts say which pictures there should be: one that is not there is missing, and a picture without
a prompt is bad. Neither is passed over as if it had never been wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from librehps.data.sources.files import open_file
from librehps.errors import InputError
from librehps.evaluate.category_prompts import CategoryPrompts, read_category_prompts
from librehps.evaluate.generated import GeneratedPicture, GeneratedSet, demand_few
from librehps.evaluate.scoring import BadItem, Item
from librehps.registry import nearest

__all__ = ["PICTURE_SUFFIXES", "read_folders"]

#: How the names of pictures end, in any case. What they are is told by their content later.
PICTURE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
)
_MAX_PROMPT = 2**20


@dataclass
class _Found:
    """What is being gathered."""

    pictures: list[GeneratedPicture] = field(default_factory=list[GeneratedPicture])
    bad: list[BadItem] = field(default_factory=list[BadItem])
    passed_over: list[Path] = field(default_factory=list[Path])


def read_folders(root: Path, *, prompts: Path | None = None) -> GeneratedSet:
    """Read the pictures of generators from folders.

    Args:
        root: Folder with a folder for each generator, with a folder for each category.
        prompts: See :func:`~librehps.evaluate.category_prompts.read_category_prompts`; ``None``
            where each picture has its prompt beside it.

    Raises:
        InputError: There is no folder of a generator, or it cannot be read (code ``data_file``);
            pictures that are in no category (``leaderboard_layout``); a category without prompts
            (``prompt_category``); prompts that cannot be read (``prompt_file``); or see
            :func:`~librehps.evaluate.generated.demand_few`.
    """
    known = None if prompts is None else read_category_prompts(prompts)
    own = None if prompts is None else prompts.resolve()
    found = _Found()
    for generator in _listed(root):
        if own == generator.resolve():
            continue
        if not generator.is_dir() or _is_hidden(generator):
            found.passed_over.append(generator)
            continue
        categories = 0
        for place in _listed(generator):
            if place.is_dir() and not _is_hidden(place):
                categories += 1
                _read_category(found, generator.name, place, known)
            elif _is_picture(place):
                raise InputError(
                    "is in no category: pictures lie in <generator>/<category>/",
                    code="leaderboard_layout",
                    item=str(place),
                )
            else:
                found.passed_over.append(place)
        if not categories:
            raise InputError(
                "holds no folder of a category: pictures lie in <generator>/<category>/",
                code="leaderboard_layout",
                item=str(generator),
            )
    if not found.pictures and not found.bad:
        raise InputError(
            "holds no picture in <generator>/<category>/", code="data_file", item=str(root)
        )
    seen = {picture.category for picture in found.pictures}
    data = GeneratedSet(
        pictures=tuple(found.pictures),
        images=root,
        layout="folders",
        bad_items=tuple(found.bad),
        notes=tuple(_notes(found.passed_over, [name for name in known or {} if name not in seen])),
    )
    demand_few(data, item=str(root))
    return data


def _read_category(
    found: _Found, generator: str, folder: Path, known: Mapping[str, CategoryPrompts] | None
) -> None:
    files = _listed(folder)
    pictures = [file for file in files if _is_picture(file)]
    others = [file for file in files if not _is_picture(file)]
    faults: dict[str, BadItem] = {}
    if known is None:
        wanted = _beside([file for file in others if _is_prompt(file)], faults)
        others = [file for file in others if not _is_prompt(file)]
    elif folder.name in known:
        wanted = known[folder.name]
    else:
        raise InputError(
            f"there are no prompts for the category {folder.name!r:.100}"
            f"{nearest(folder.name, known)}",
            code="prompt_category",
            item=str(folder),
        )
    found.passed_over += others
    found.bad += faults.values()
    there: set[str] = set()
    for picture in pictures:
        key = wanted.key_of(picture.name)
        if key is not None:
            there.add(key)
            text = wanted.texts[key]
            found.pictures.append(GeneratedPicture(generator, folder.name, text, picture))
        elif picture.stem not in faults:
            error = InputError("no prompt says what it should show", code="prompt_missing")
            found.bad.append(BadItem(Item(picture, ""), error))
    for key, text in wanted.texts.items():
        if key not in there:
            missing = folder / wanted.name_of(key)
            found.pictures.append(GeneratedPicture(generator, folder.name, text, missing))


def _beside(files: Sequence[Path], faults: dict[str, BadItem]) -> CategoryPrompts:
    """Read the prompts that lie beside their pictures, a whole file each."""
    texts: dict[str, str] = {}
    for file in files:
        try:
            texts[file.stem] = _whole(file)
        except InputError as error:
            faults[file.stem] = BadItem(Item(file, ""), error)
    return CategoryPrompts(texts, numbered=False)


def _whole(file: Path) -> str:
    with open_file(file) as opened:
        raw = opened.read(_MAX_PROMPT + 1)
    if len(raw) > _MAX_PROMPT:
        raise InputError(f"has more than {_MAX_PROMPT:,} bytes", code="prompt_file")
    try:
        written = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", code="prompt_file") from error
    if not written:
        raise InputError("holds no prompt", code="prompt_file")
    return written


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"cannot be listed ({error.strerror})", code="data_file", item=str(folder)
        ) from error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not _is_hidden(path)


def _is_prompt(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and not _is_hidden(path)


def _is_hidden(path: Path) -> bool:
    """Return whether a file or folder is one of those that systems leave beside the user's."""
    return path.name.startswith(".")


def _notes(passed_over: Sequence[Path], empty: Sequence[str]) -> list[str]:
    notes: list[str] = []
    if passed_over:
        notes.append(
            f"{len(passed_over)} files are no pictures by their names and are passed over, such as "
            f"{passed_over[0].name!r:.100}"
        )
    if empty:
        notes.append(
            f"{len(empty)} categories have prompts and no pictures of anyone, such as "
            f"{empty[0]!r:.100}"
        )
    return notes
