"""What a score is filed under: everything that changes it, and nothing else."""

from __future__ import annotations

from librehps.evaluate.identity import ScorerIdentity, item_key


def test_every_part_of_an_identity_changes_its_digest() -> None:
    one = ScorerIdentity("sha256:1", {"dtype": "float32", "device": "cpu"})
    same = ScorerIdentity("sha256:1", {"device": "cpu", "dtype": "float32"})
    others = [
        ScorerIdentity("sha256:2", one.settings),
        ScorerIdentity("sha256:1", {**one.settings, "dtype": "bfloat16"}),
        ScorerIdentity("sha256:1", {"dtype": "float32"}),
    ]
    assert one.digest == same.digest
    assert len({one.digest, *(other.digest for other in others)}) == 4


def test_an_item_is_its_bytes_and_its_prompt() -> None:
    assert item_key("1", "x") == item_key("1", "x")
    assert len({item_key("1", "x"), item_key("1", "y"), item_key("2", "x")}) == 3
