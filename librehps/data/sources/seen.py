"""Which keys a data set has had so far, in a few bytes each."""

from __future__ import annotations

import hashlib
from array import array

__all__ = ["SeenKeys"]

_EMPTY = 0
_FIRST_SIZE = 1024


class SeenKeys:
    """A set of texts that can only grow and be asked.

    Of each key 64 bits of a hash are kept, in a table that is at most half full: 16 to 32 bytes a
    key, where a set of the texts takes some 150. Among a million keys two different ones have the
    same 64 bits with a probability of 3e-8; the second would be reported, not lost unseen.
    """

    def __init__(self) -> None:
        self._table = array("Q", [_EMPTY]) * _FIRST_SIZE
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: str) -> bool:
        """Note a key; return whether it is new."""
        hashed = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        # Zero marks an empty place.
        if not self._put(int.from_bytes(hashed, "little") or 1):
            return False
        self._count += 1
        if 2 * self._count > len(self._table):
            kept = self._table
            self._table = array("Q", [_EMPTY]) * (2 * len(kept))
            for mark in kept:
                if mark != _EMPTY:
                    self._put(mark)
        return True

    def _put(self, mark: int) -> bool:
        last = len(self._table) - 1
        place = mark & last
        while (there := self._table[place]) != _EMPTY:
            if there == mark:
                return False
            place = (place + 1) & last
        self._table[place] = mark
        return True
