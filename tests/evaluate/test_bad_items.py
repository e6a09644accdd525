"""Lists of what was left out: a line each, and none where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path

from librehps.errors import InputError
from librehps.evaluate.bad_items import bad_item_row, list_rows
from librehps.evaluate.scoring import BadItem, Item


def test_a_list_appears_and_goes(tmp_path: Path) -> None:
    bad = BadItem(Item(Path("a/\udc80.png"), "a\ncat"), InputError("is gone", code="image_missing"))
    path = tmp_path / "out" / "bad-items.jsonl"
    list_rows(path, [])
    assert not path.parent.exists()
    list_rows(path, [bad_item_row(bad), bad_item_row(bad)])
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0]) == {
        "image": "a/\udc80.png",
        "prompt": "a\ncat",
        "code": "image_missing",
        "message": "is gone",
    }
    list_rows(path, [])
    assert not path.exists()
