"""Scores for many pictures: each is computed once, and a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from librehps.errors import InputError
from librehps.evaluate.identity import item_key
from librehps.evaluate.pictures import FilePictures, Pictures, PictureSource
from librehps.evaluate.score_cache import Outcome, ScoreCache
from librehps.progress import ignore

__all__ = ["BadItem", "Item", "PictureScorer", "score_items"]

DEFAULT_CHUNK = 64
#: What is wrong now and here, with the file or the machine, and not with the picture. Whoever kept
#: it by the picture's bytes would never score them again.
PASSING = frozenset(
    {"image_changed", "image_memory", "image_missing", "image_not_a_file", "image_unreadable"}
)
# How many bad items an error quotes; all are listed by the caller.
_QUOTED = 3


@runtime_checkable
class PictureScorer(Protocol):
    """What scores pictures one by one; :class:`~librehps.scorer.LibreHPS` does."""

    @property
    def deterministic(self) -> bool:
        """Whether a score is the same to the last bit whatever is scored with it."""
        ...

    def score_images(
        self,
        *,
        images: Sequence[PictureSource],
        prompts: Sequence[str],
        on_error: Literal["return"],
        max_batch_tokens: int,
    ) -> Sequence[Outcome]:
        """Return a score for each image, a file or its bytes, or the error where there is none."""
        ...


@dataclass(frozen=True)
class Item:
    """A picture and what it should show.

    Args:
        image: Its file, or what else :class:`~librehps.evaluate.pictures.Pictures` knows it by.
        prompt: What it should show.
    """

    image: Path
    prompt: str


@dataclass(frozen=True)
class BadItem:
    """An item that has no score.

    Args:
        item: Which.
        error: Why.
    """

    item: Item
    error: InputError


def score_items(
    scorer: PictureScorer,
    items: Iterable[Item],
    cache: ScoreCache,
    *,
    pictures: Pictures | None = None,
    max_bad_share: float = 0.01,
    max_batch_tokens: int = 8192,
    chunk: int = DEFAULT_CHUNK,
    on_bad: Callable[[BadItem], None] = lambda bad: None,
    advance: Callable[[int], None] = ignore,
) -> dict[Item, Outcome]:
    """Score items that are not in the cache, chunk by chunk, and keep what was found there.

    Where a score depends in its last bits on what is scored with it, a chunk of which anything is
    missing is scored whole: so a run that was stopped ends with the scores of one that was not.

    Args:
        scorer: What scores.
        items: What to score; one that is there twice is scored once.
        cache: Where scores are kept; its identity must be the scorer's.
        pictures: Finds the pictures; they are files if ``None``.
        max_bad_share: The largest share of items without a score that is put up with.
        max_batch_tokens: Most tokens computed at a time.
        chunk: Items that are scored and kept at a time, at least 1.
        on_bad: Called with each item that has no score.
        advance: Called with the number of items that are done since the last call.

    Returns:
        The score of every item, or why it has none.

    Raises:
        InputError: More bad items than allowed (code ``evaluation_bad_items``).
    """
    where = FilePictures() if pictures is None else pictures
    wanted = list(dict.fromkeys(items))
    allowed = max_bad_share * len(wanted)
    outcomes: dict[Item, Outcome] = {}
    bad: list[BadItem] = []

    def settle(item: Item, outcome: Outcome) -> None:
        outcomes[item] = outcome
        if isinstance(outcome, InputError):
            bad.append(BadItem(item, outcome))
            on_bad(bad[-1])
        if len(bad) > allowed:
            quoted = "; ".join(f"{one.item.image}: {one.error.message}" for one in bad[:_QUOTED])
            raise InputError(
                f"{len(bad)} of {len(wanted)} items have no score, more than the share of "
                f"{max_bad_share:g} that is allowed: {quoted}",
                code="evaluation_bad_items",
            )
        advance(1)

    digests: dict[Path, str | InputError] = {}
    keys: dict[str, list[Item]] = {}
    for item in wanted:
        if item.image not in digests:
            digests[item.image] = _digest(where, item.image)
        digest = digests[item.image]
        if isinstance(digest, InputError):
            settle(item, digest)
        else:
            keys.setdefault(item_key(digest, item.prompt), []).append(item)
    named = list(keys.items())
    for start in range(0, len(named), chunk):
        part = {key: same[0] for key, same in named[start : start + chunk]}
        missing = {key: item for key, item in part.items() if key not in cache}
        if missing and not scorer.deterministic:
            missing = part
        found = _score(scorer, missing, where, digests, max_batch_tokens) if missing else {}
        cache.add({key: out for key, out in found.items() if _is_of_the_bytes(out)})
        for key in part:
            for item in keys[key]:
                settle(item, cache[key] if key in cache else found[key])
    return outcomes


def _score(
    scorer: PictureScorer,
    items: Mapping[str, Item],
    pictures: Pictures,
    digests: Mapping[Path, str | InputError],
    max_batch_tokens: int,
) -> dict[str, Outcome]:
    sources = pictures.sources([item.image for item in items.values()])
    found: dict[str, Outcome] = {}
    there: dict[str, PictureSource] = {}
    for key, source in zip(items, sources, strict=True):
        if isinstance(source, InputError):
            found[key] = source
        else:
            there[key] = source
    if not there:
        return found
    scored = scorer.score_images(
        images=list(there.values()),
        prompts=[items[key].prompt for key in there],
        on_error="return",
        max_batch_tokens=max_batch_tokens,
    )
    for key, outcome in zip(there, scored, strict=True):
        image = items[key].image
        unchanged = _digest(pictures, image) == digests[image]
        found[key] = outcome if unchanged else _changed()
    return found


def _digest(pictures: Pictures, image: Path) -> str | InputError:
    try:
        return pictures.digest(image)
    except InputError as error:
        return error


def _changed() -> InputError:
    return InputError("the file changed while it was scored", code="image_changed")


def _is_of_the_bytes(outcome: Outcome) -> bool:
    """Return whether the same bytes would fare the same another time, elsewhere."""
    return not isinstance(outcome, InputError) or outcome.code not in PASSING
