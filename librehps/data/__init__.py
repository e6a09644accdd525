"""Preference data: records, and the files that they come from."""

from librehps.data.hpdv3 import HPDv3, read_hpdv3, write_hpdv3
from librehps.data.loader import PairBatch, PairLoader, Position
from librehps.data.records import Comparison, Ranking, Rating

__all__ = [
    "Comparison",
    "HPDv3",
    "PairBatch",
    "PairLoader",
    "Position",
    "Ranking",
    "Rating",
    "read_hpdv3",
    "write_hpdv3",
]
