"""The split and the sides: decided by the index alone, the same for ever."""

from __future__ import annotations

import hashlib

import pytest

from librehps.errors import ConfigError
from librehps.evaluate.split import in_calibration_part, turned_round

FITTED = [2, 3, 9, 18, 35, 43, 57]
TURNED = [0, 1, 3, 6, 8]


def test_the_split_is_the_one_that_was_published() -> None:
    # Written down once: a change would mix what was fitted on with what is judged.
    assert [n for n in range(60) if in_calibration_part(n)] == FITTED
    assert [n for n in range(12) if turned_round(n)] == TURNED


def test_it_follows_its_definition() -> None:
    for index in range(200):
        digest = hashlib.sha256(b"split:%d" % index).digest()
        below = int.from_bytes(digest[:8], "big") < 0.3 * 2**64
        assert in_calibration_part(index, share=0.3) == below


def test_the_shares_are_those_that_are_asked_for() -> None:
    fitted = sum(in_calibration_part(index) for index in range(4000))
    turned = sum(turned_round(index) for index in range(4000))
    both = sum(in_calibration_part(n) and turned_round(n) for n in range(4000))
    # Five standard deviations.
    assert abs(fitted - 400) < 95
    assert abs(turned - 2000) < 158
    assert abs(both - 200) < 69
    assert not any(in_calibration_part(index, share=0.0) for index in range(100))
    assert all(in_calibration_part(index, share=1.0) for index in range(100))


def test_a_share_is_from_0_to_1() -> None:
    with pytest.raises(ConfigError) as caught:
        in_calibration_part(0, share=1.5)
    assert caught.value.code == "split_share"


def test_pairs_of_one_row_are_turned_each_by_itself() -> None:
    digest = hashlib.sha256(b"side:7:0-1").digest()
    below = int.from_bytes(digest[:8], "big") < 2**63
    assert turned_round(7, pair="0-1") == below
    turned = sum(turned_round(n, pair=f"0-{k}") for n in range(1000) for k in (1, 2, 3, 4))
    assert abs(turned - 2000) < 158
