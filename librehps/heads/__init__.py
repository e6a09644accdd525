"""Heads: from hidden states to a mean, and perhaps a sigma, per axis.

Adding one: write a class that satisfies `Head`, which is fed one pooled vector per sequence, or
`SequenceHead`, which is fed several tokens of each; register it in `HEADS`, and run
``librehps.testing.contracts.check_head`` over it.
"""

from librehps.heads.attention_pooling import AttentionPoolingHead
from librehps.heads.axis_tokens import AxisTokensHead
from librehps.heads.multi_axis import MultiAxisHead
from librehps.heads.pooling import POOLINGS, pool, pooled_tokens
from librehps.heads.protocol import AXES, HEADS, Head, HeadOutput
from librehps.heads.ranknet import RankNetHead
from librehps.heads.reading import Reading, scores_of_nothing
from librehps.heads.scalar import ScalarHead
from librehps.heads.sequences import SequenceHead, Sequences

__all__ = [
    "AXES",
    "HEADS",
    "POOLINGS",
    "AttentionPoolingHead",
    "AxisTokensHead",
    "Head",
    "HeadOutput",
    "MultiAxisHead",
    "RankNetHead",
    "Reading",
    "ScalarHead",
    "SequenceHead",
    "Sequences",
    "pool",
    "pooled_tokens",
    "scores_of_nothing",
]
