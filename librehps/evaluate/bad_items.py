"""Files that list what was left out of a measurement, a line of JSON for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from librehps.evaluate.scoring import BadItem
from librehps.writing import write_lines

__all__ = ["bad_item_row", "list_rows"]


def bad_item_row(bad: BadItem) -> dict[str, str]:
    """Return what a list says of a picture without a score."""
    where = {"image": str(bad.item.image), "prompt": bad.item.prompt}
    return {**where, "code": bad.error.code, "message": bad.error.message}


def list_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as lines of JSON, or take away what an earlier run has listed if there are none.

    Args:
        path: The file; it appears whole or not at all.
        rows: JSON data.
    """
    if rows:
        write_lines(path, (json.dumps(row) + "\n" for row in rows))
    else:
        path.unlink(missing_ok=True)
