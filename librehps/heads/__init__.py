"""Heads: from pooled hidden states to a mean, and perhaps a sigma, per axis.

Adding one: write a class that satisfies `Head`, register it in `HEADS`, and run
``librehps.testing.contracts.check_head`` over it.
"""

from librehps.heads.multi_axis import MultiAxisHead
from librehps.heads.pooling import POOLINGS, pool, pooled_tokens
from librehps.heads.protocol import AXES, HEADS, Head, HeadOutput
from librehps.heads.ranknet import RankNetHead
from librehps.heads.scalar import ScalarHead

__all__ = [
    "AXES",
    "HEADS",
    "POOLINGS",
    "Head",
    "HeadOutput",
    "MultiAxisHead",
    "RankNetHead",
    "ScalarHead",
    "pool",
    "pooled_tokens",
]
