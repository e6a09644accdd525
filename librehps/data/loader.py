"""Comparisons to packed batches, in an order that can be taken up again anywhere.

The order of an epoch is a function of the seed and the epoch alone, so a position, two numbers,
says all about where a run stands. An image that cannot be read costs its pair and nothing else:
the pair is left out, counted and listed, and no other takes its place.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TypeVar

import torch

from librehps.data.records import Comparison
from librehps.errors import ConfigError, InputError
from librehps.heads.protocol import check_axes
from librehps.inputs.batch import Batch, Sample
from librehps.inputs.processor import Processor
from librehps.typing import Float, Tensor

__all__ = ["BadPair", "PairBatch", "PairLoader", "Position"]

T = TypeVar("T")


@dataclass(frozen=True)
class Position:
    """Where a run over comparisons stands.

    Args:
        epoch: Number of the epoch, from 0.
        index: How many comparisons of its order are done with.
    """

    epoch: int = 0
    index: int = 0


@dataclass(frozen=True)
class BadPair:
    """A comparison that was left out.

    Args:
        key: What identifies it in its data set; not always unique, and maybe empty.
        epoch: When.
        reason: What was wrong with its prompt or one of its images, or that they are too long.
        index: Its place in what the loader was given; ``None`` where an earlier version noted it.
    """

    key: str
    epoch: int
    reason: str
    index: int | None = None


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Both images of some comparisons, packed, and what people said.

    Args:
        batch: ``2 n`` sequences: first all ``a``, then all ``b``, in the same order.
        target: Share of votes for ``a`` on each axis; NaN where nobody was asked.
        weights: How much each pair counts: its confidence, or 1 where that is unknown.
        axes: Names of the target's columns.
        keys: What identifies the comparisons.
        after: Where to go on after this batch.
        max_tokens: Most tokens that are put through the model at once; ``None`` is no limit.
    """

    batch: Batch
    target: Float[Tensor, "N A"]
    weights: Float[Tensor, " N"]
    axes: tuple[str, ...]
    keys: tuple[str, ...]
    after: Position
    max_tokens: int | None = None

    def parts(self) -> list[PairBatch]:
        """Cut the batch where it exceeds ``max_tokens``; pairs stay whole and in their order.

        The pairs of a step are then still those that they would be without a limit: what depends
        on the limit is how many times the model is called for them, and the memory of a call.
        """
        lengths = self.batch.cu_seqlens.diff().tolist()
        count = len(self.keys)
        most = math.inf if self.max_tokens is None else self.max_tokens
        starts, held = [0], 0
        for pair, sides in enumerate(zip(lengths[:count], lengths[count:], strict=True)):
            if pair > starts[-1] and held + sum(sides) > most:
                starts.append(pair)
                held = 0
            held += sum(sides)
        if len(starts) == 1:
            return [self]
        return [self._part(first, end) for first, end in pairwise([*starts, count])]

    def _part(self, first: int, end: int) -> PairBatch:
        sides = (0, len(self.keys))
        return replace(
            self,
            batch=self.batch.take([side + pair for side in sides for pair in range(first, end)]),
            target=self.target[first:end],
            weights=self.weights[first:end],
            keys=self.keys[first:end],
        )


@dataclass(frozen=True)
class _Pair:
    """A comparison on its way."""

    comparison: Comparison
    samples: tuple[Sample, Sample]

    @property
    def num_tokens(self) -> int:
        return sum(sample.num_tokens for sample in self.samples)


class PairLoader:
    """Turns comparisons into batches.

    Args:
        comparisons: What to go through.
        processor: Prepares images and prompts for the model.
        batch_pairs: Comparisons in a batch; the last of an epoch has what is left.
        axes: Columns of the target, names from ``AXES``; ``overall`` is the comparison's own.
        seed: Of the order and of the swaps.
        shuffle: Whether each epoch has an order of its own, or all have the given one.
        swap: Whether half of the pairs, drawn anew in every epoch, come with ``a`` and ``b``
            exchanged. Files put the preferred image first; so nobody can learn that.
        workers: Threads that read images ahead; 0 reads them when they are needed.
        max_bad_share: The largest share of comparisons that may be left out.
        max_tokens: Most tokens that `PairBatch.parts` puts together; ``None`` is no limit. A pair
            that has more by itself is left out like one with a bad image, and never cut. Which
            pairs are in a batch does not depend on it: positions are the same with and without it,
            and several processes go on having as many batches as each other.
        share: ``(index, count)`` where ``count`` processes go through the same comparisons: each
            batch is cut into as many, and this loader prepares one of them. What is left at the end
            of an epoch and is fewer than ``count`` is not used when shuffling, so that no process
            has a batch more than another.

    Raises:
        ConfigError: A number out of range (code ``loader_value``); no comparisons, or fewer than
            processes when shuffling (``loader_empty``); an unknown axis (``axis_unknown``), or none
            or one twice (``axes_repeated``).
    """

    def __init__(
        self,
        comparisons: Sequence[Comparison],
        processor: Processor,
        *,
        batch_pairs: int,
        axes: tuple[str, ...] = ("overall",),
        seed: int = 0,
        shuffle: bool = True,
        swap: bool = True,
        workers: int = 0,
        max_bad_share: float = 0.01,
        max_tokens: int | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        index, count = share
        bounds = (
            ("batch_pairs", batch_pairs, 1),
            ("workers", workers, 0),
            ("max_bad_share", max_bad_share, 0),
            ("max_tokens", 1 if max_tokens is None else max_tokens, 1),
        )
        for name, value, low in bounds:
            if not value >= low:
                raise ConfigError(f"{name} is {value}; at least {low}", code="loader_value")
        if not 0 <= index < count:
            raise ConfigError(
                f"share is {share}; the index of a process is in 0 to {count - 1}",
                code="loader_value",
            )
        if not comparisons:
            raise ConfigError("there are no comparisons to load", code="loader_empty")
        if shuffle and len(comparisons) < count:
            raise ConfigError(
                f"{len(comparisons)} comparisons do not go round {count} processes, so that no "
                "epoch would have a batch: give more comparisons, or start fewer processes",
                code="loader_empty",
            )
        self.comparisons = comparisons
        self.processor = processor
        self.batch_pairs = batch_pairs
        self.axes = check_axes(axes)
        self.seed = seed
        self.shuffle = shuffle
        self.swap = swap
        self.workers = workers
        self.max_bad_share = max_bad_share
        self.max_tokens = max_tokens
        self.share = share
        #: Comparisons that were left out so far. A run that is taken up again puts back what this
        #: held when it stopped: `max_bad_share` is of an epoch, and counts from there.
        self.bad: list[BadPair] = []

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._groups(range(len(self.comparisons))))

    def batches(self, start: Position | None = None) -> Iterator[PairBatch]:
        """Go through an epoch, or through what is left of it.

        Args:
            start: ``PairBatch.after`` of the last batch that was used; ``None`` for the beginning.
                Another loader than the one that stopped there is to be given its `bad` before, or
                what was left out until then would not count towards ``max_bad_share``.

        Yields:
            The batches; one without a pair that can be used is passed over. When they end, so does
            the epoch: the next one begins at ``Position(epoch + 1)``.

        Raises:
            InputError: More comparisons were left out than ``max_bad_share`` allows (code
                ``data_bad_rows``), or none of this process's share of a batch can be used while
                others wait for it (``loader_empty``).
            ConfigError: The position is not in the epoch (code ``loader_value``).
        """
        start = Position() if start is None else start
        total = len(self.comparisons)
        if start.epoch < 0 or not 0 <= start.index < total:
            raise ConfigError(
                f"{start} is no place in an epoch of {total} comparisons", code="loader_value"
            )
        groups = self._groups(self._order(start.epoch)[start.index :])
        own, count = self.share
        index = start.index
        parts = (group[own::count] for group in groups)
        # An epoch may be gone through again after a stop: nothing in it counts twice.
        noted = Counter(bad.index for bad in self.bad if bad.epoch == start.epoch)
        for group, prepared in zip(groups, self._prepare_ahead(parts, start.epoch), strict=True):
            index += len(group)
            after = Position(start.epoch, index) if index < total else Position(start.epoch + 1)
            good = self._good(prepared, noted)
            if good:
                yield self._pack(good, after)
            elif count > 1 and self.shuffle:
                raise InputError(
                    f"none of the {len(prepared)} pairs of a batch can be used, and the other "
                    f"processes wait for them; the last: {self.bad[-1].reason}",
                    code="loader_empty",
                    item=self.bad[-1].key or None,
                )

    def _groups(self, order: Sequence[T]) -> list[Sequence[T]]:
        """Cut an order into the batches of all processes together."""
        count = self.share[1]
        size = self.batch_pairs * count
        groups = [order[first : first + size] for first in range(0, len(order), size)]
        return groups[:-1] if self.shuffle and len(groups[-1]) < count else groups

    def _order(self, epoch: int) -> list[tuple[int, bool]]:
        """Return the places of the comparisons in the order of an epoch, and which are swapped.

        Neighbours about the same two images stay neighbours: what two prompts say of them is then
        mostly learned in one step, where what the images have in themselves cancels.
        """
        # One stream per epoch; the numbers are mixed so that neighbouring seeds share nothing.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        runs = [
            [index for index, _ in run]
            for _, run in groupby(
                enumerate(self.comparisons), key=lambda one: (one[1].image_a, one[1].image_b)
            )
        ]
        places = torch.randperm(len(runs), generator=generator).tolist()
        swapped = (torch.rand(len(self.comparisons), generator=generator) < 0.5).tolist()
        shuffled = [runs[place] for place in places] if self.shuffle else runs
        chosen = [index for run in shuffled for index in run]
        return [(index, self.swap and turn) for index, turn in zip(chosen, swapped, strict=True)]

    def _prepare_ahead(
        self, groups: Iterable[Sequence[tuple[int, bool]]], epoch: int
    ) -> Iterator[list[_Pair | BadPair]]:
        """Prepare group after group, with workers one group ahead of what is used."""
        with ExitStack() as stack:
            if self.workers == 0:
                for group in groups:
                    yield [self._prepare(*one, epoch) for one in group]
                return
            pool: Executor = stack.enter_context(ThreadPoolExecutor(self.workers))
            ahead: deque[list[Future[_Pair | BadPair]]] = deque()
            stack.callback(lambda: [future.cancel() for group in ahead for future in group])
            for group in groups:
                ahead.append([pool.submit(self._prepare, *one, epoch) for one in group])
                if len(ahead) > 1:
                    yield [future.result() for future in ahead.popleft()]
            while ahead:
                yield [future.result() for future in ahead.popleft()]

    def _prepare(self, index: int, swapped: bool, epoch: int) -> _Pair | BadPair:
        given = self.comparisons[index]
        comparison = given.swapped() if swapped else given
        try:
            first = self.processor.prepare(comparison.image_a, comparison.prompt).sample
            second = self.processor.prepare(comparison.image_b, comparison.prompt).sample
        except InputError as error:
            return BadPair(comparison.key, epoch, str(error), index)
        pair = _Pair(comparison, (first, second))
        if self.max_tokens is not None and pair.num_tokens > self.max_tokens:
            reason = (
                f"the pair has {pair.num_tokens} tokens, its two images and two prompts together, "
                f"and {self.max_tokens} are allowed at once: raise the limit, or lower the pixel "
                "budget of the checkpoint"
            )
            return BadPair(comparison.key, epoch, reason, index)
        return pair

    def _good(self, prepared: Sequence[_Pair | BadPair], noted: Counter[int | None]) -> list[_Pair]:
        """Return the pairs that can be used; note the others, and stop if they are too many."""
        good: list[_Pair] = []
        for pair in prepared:
            if isinstance(pair, _Pair):
                good.append(pair)
            elif pair.index not in noted:
                noted[pair.index] += 1
                self.bad.append(pair)
        of_epoch = noted.total()
        own = len(self.comparisons) / self.share[1]
        if of_epoch > self.max_bad_share * own:
            last = self.bad[-1]
            raise InputError(
                f"{of_epoch} of {own:g} comparisons cannot be used, more than the "
                f"share of {self.max_bad_share:g} that is allowed; the last: {last.reason}",
                code="data_bad_rows",
                item=last.key or None,
            )
        return good

    def _pack(self, pairs: Sequence[_Pair], after: Position) -> PairBatch:
        # Equally long sequences lie side by side, where attention takes them in one call.
        pairs = sorted(pairs, key=lambda pair: [len(one.input_ids) for one in pair.samples])
        comparisons = [pair.comparison for pair in pairs]
        samples = [pair.samples[side] for side in (0, 1) for pair in pairs]
        return PairBatch(
            batch=Batch.pack(samples),
            target=torch.tensor(
                [
                    [self._target(comparison, axis) for axis in self.axes]
                    for comparison in comparisons
                ]
            ),
            weights=torch.tensor(
                [1.0 if record.confidence is None else record.confidence for record in comparisons]
            ),
            axes=self.axes,
            keys=tuple(comparison.key for comparison in comparisons),
            after=after,
            max_tokens=self.max_tokens,
        )

    @staticmethod
    def _target(comparison: Comparison, axis: str) -> float:
        if axis == "overall":
            return comparison.axis_targets.get(axis, comparison.target)
        return comparison.axis_targets.get(axis, float("nan"))
