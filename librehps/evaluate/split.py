"""Which pairs of a benchmark are for fitting, and which are held out: decided by a hash alone."""

from __future__ import annotations

import hashlib

from librehps.errors import ConfigError

__all__ = ["CALIBRATION_SHARE", "in_calibration_part", "turned_round"]

#: The share of a benchmark that calibrators and thresholds are fitted on.
CALIBRATION_SHARE = 0.1


def in_calibration_part(global_index: int, *, share: float = CALIBRATION_SHARE) -> bool:
    """Return whether a pair is for fitting: it is, or it is held out, whoever asks and whenever.

    A pair is for fitting where the first 8 bytes of the SHA-256 of ``"split:<global_index>"``, as a
    big-endian fraction of 2^64, lie below the share. Pairs of one prompt may fall on both sides, as
    in the published split, whose own hash is not known.

    Args:
        global_index: Place of the row in the benchmark's file, from 0.
        share: In [0, 1].

    Raises:
        ConfigError: The share is no share (code ``split_share``).
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"share is {share}; it must lie in [0, 1]", code="split_share")
    return _fraction("split", global_index) < share


def turned_round(global_index: int, *, pair: str = "") -> bool:
    """Return whether a pair is judged the other way round than it is written, as half of them are.

    Files such as HPDv3's put the preferred picture first. An intercept would learn that, and a
    calibration error of the first picture's probability would measure it.

    Args:
        global_index: Place of the row in the benchmark's file, from 0.
        pair: Which pair of the row, where it makes several.
    """
    return _fraction("side", f"{global_index}:{pair}" if pair else global_index) < 0.5


def _fraction(use: str, place: int | str) -> float:
    digest = hashlib.sha256(f"{use}:{place}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
