"""Which column of a table is what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from librehps.errors import ConfigError
from librehps.heads import AXES
from librehps.registry import nearest

__all__ = ["FIELDS", "LABELS", "Columns"]

#: What a record of each kind is made of; what has no column of its own stands under its own name.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "comparison": (
        "prompt",
        "image_a",
        "image_b",
        "target",
        "preferred",
        "votes_a",
        "votes_b",
        "votes",
        "confidence",
        "key",
        "model_a",
        "model_b",
    ),
    "ranking": ("prompt", "images", "ranks", "key", "models"),
    "rating": ("prompt", "image", "value", "axis", "key", "model"),
}

#: What the words in a column of preferences mean: the share of votes for ``a``.
LABELS: Mapping[str, float] = {"a": 1.0, "b": 0.0, "tie": 0.5, "same": 0.5}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """A mapping from what a record needs to the columns of a table.

    Args:
        record: What a row becomes: ``"comparison"``, ``"ranking"`` or ``"rating"``.
        names: The column of each field in `FIELDS`; one that is not named here is looked for under
            its own name.
        axes: The column with the share of votes for ``a`` on an axis, by axis; comparisons only.
        labels: What the words in the column ``preferred`` mean, in [0, 1]; 0.5 is a tie.

    Raises:
        ConfigError: A field or an axis that does not exist, or a label that is no share (code
            ``data_columns``).
    """

    record: str = "comparison"
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    axes: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, float] = field(default_factory=lambda: dict(LABELS))

    def __post_init__(self) -> None:
        if self.record not in FIELDS:
            raise _wrong(f"a row cannot become a {self.record!r}{nearest(self.record, FIELDS)}")
        known = FIELDS[self.record]
        for name in self.names:
            if name not in known:
                raise _wrong(f"a {self.record} has no {name!r}{nearest(name, known)}")
        if self.axes and self.record != "comparison":
            raise _wrong(f"a {self.record} has no shares of votes on axes")
        for axis in self.axes:
            if axis not in AXES:
                raise _wrong(f"there is no axis {axis!r}{nearest(axis, AXES)}")
        for word, share in self.labels.items():
            if not 0.0 <= share <= 1.0:
                raise _wrong(f"the label {word!r} means {share}; it must be from 0 to 1")

    def column(self, name: str) -> str:
        """Return the column that a field stands in."""
        return self.names.get(name, name)


def _wrong(what: str) -> ConfigError:
    return ConfigError(what, code="data_columns")
