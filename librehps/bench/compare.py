"""Two results side by side: how many times faster is the second?"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from librehps.bench.report import Report, Row
from librehps.errors import ConfigError

__all__ = ["Comparison", "compare_reports", "mean_ratio"]

_NAMED = 3


@dataclass(frozen=True)
class Comparison:
    """One implementation at one shape, in two reports.

    Args:
        first: In the first.
        second: In the second.
    """

    first: Row
    second: Row

    @property
    def ratio(self) -> float | None:
        """Milliseconds in the first by those in the second: above one, the second is faster."""
        if self.first.median_ms is None or not self.second.median_ms:
            return None
        return self.first.median_ms / self.second.median_ms


def compare_reports(first: Report, second: Report) -> list[Comparison]:
    """Pair the rows of two reports.

    An implementation that only one of them has is left out; a shape that only one has is an error,
    as nothing could be said about the whole.

    Args:
        first: Before.
        second: After.

    Raises:
        ConfigError: Their ops or shapes differ (code ``bench_shapes``), or no implementation is in
            both (``bench_nothing_shared``).
    """
    differing = sorted({row.shape for row in first.rows} ^ {row.shape for row in second.rows})
    if differing:
        named = "; ".join(
            f"{op}, {preset}, {dtype}, {len(lengths)} sequences, {sum(lengths)} tokens, {passes}"
            for op, preset, dtype, lengths, passes in differing[:_NAMED]
        )
        raise ConfigError(
            f"{len(differing)} shapes are in one of the two only: {named}"
            f"{'; ...' if len(differing) > _NAMED else ''}. Measure both with the same options",
            code="bench_shapes",
        )
    after = {(*row.shape, row.implementation): row for row in second.rows}
    pairs = [
        Comparison(row, after[key])
        for row in first.rows
        if (key := (*row.shape, row.implementation)) in after
    ]
    if not pairs:
        raise ConfigError(
            "no implementation is in both reports: nothing to compare",
            code="bench_nothing_shared",
        )
    return pairs


def mean_ratio(pairs: list[Comparison]) -> float | None:
    """Return the geometric mean of the ratios; ``None`` where nothing was timed in both."""
    ratios = [pair.ratio for pair in pairs if pair.ratio is not None]
    return exp(sum(map(log, ratios)) / len(ratios)) if ratios else None
