"""How long a call takes and how much memory it needs at its peak."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from librehps.typing import Tensor

__all__ = ["Timing", "peak_bytes", "time_calls"]

_WARM_UP, _FEWEST, _MOST = 3, 3, 200
_UNKNOWN_CACHE = 128 * 2**20


@dataclass(frozen=True)
class Timing:
    """The time of one call, over some rounds.

    Args:
        median_ms: Milliseconds of the middle round.
        best_ms: Of the fastest.
        worst_ms: Of the slowest.
        rounds: How many counted.
    """

    median_ms: float
    best_ms: float
    worst_ms: float
    rounds: int

    @classmethod
    def of(cls, milliseconds: list[float]) -> Timing:
        """Sum up some rounds."""
        return cls(median(milliseconds), min(milliseconds), max(milliseconds), len(milliseconds))


def time_calls(run: Callable[[], object], device: torch.device, *, seconds: float) -> Timing:
    """Call again and again for about ``seconds``, after rounds that do not count.

    On a CUDA device between two events, with the L2 cache overwritten before each round, as it is
    between two layers of a model; what the host takes to launch is in it where the device waits for
    it. On a CPU by the clock, with whatever the caches hold.

    Args:
        run: What is timed.
        device: Where it runs.
        seconds: Time for the rounds that count, at least 3 and at most 200 of them; as much may go
            into up to 3 rounds before them.
    """
    once = _cuda_round(run, device) if device.type == "cuda" else _cpu_round(run)
    started = time.perf_counter()
    for _ in range(_WARM_UP):
        once()
        if time.perf_counter() - started > seconds:
            break
    started, found = time.perf_counter(), list[float]()
    while len(found) < _FEWEST or (len(found) < _MOST and time.perf_counter() - started < seconds):
        found.append(once())
    return Timing.of(found)


def _cpu_round(run: Callable[[], object]) -> Callable[[], float]:
    def once() -> float:
        started = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - started)

    return once


def _cuda_round(run: Callable[[], object], device: torch.device) -> Callable[[], float]:
    # Without a device of their own, events are recorded on the current one, whatever runs where.
    stream = torch.cuda.current_stream(device)
    properties: Any = torch.cuda.get_device_properties(device)
    cache = int(getattr(properties, "L2_cache_size", 0)) or _UNKNOWN_CACHE
    flush = torch.empty(2 * cache, dtype=torch.int8, device=device)

    def once() -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        flush.zero_()
        begin.record(stream)
        run()
        end.record(stream)
        end.synchronize()
        return float(begin.elapsed_time(end))

    return once


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """Return the most memory that one call holds at a time, over what was held before it.

    On a CUDA device that is what torch's allocator says. On a CPU it is the sum of the tensors that
    are alive, after each of torch's operations; what an operation needs within itself is not seen.

    Args:
        run: What is measured; what it returns counts.
        device: Where it runs.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _Alive() as alive:
        run()
    return alive.peak


class _Alive(TorchDispatchMode):
    """Adds up the memory of the tensors that operations make, for as long as each lives."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._sizes: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Whether torch's compiler is loaded, for seconds, to be kept away from what follows.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {id(tensor.untyped_storage()) for tensor in _tensors((args, kwargs or {}))}
        made = func(*args, **(kwargs or {}))
        for tensor in _tensors(made):
            storage = tensor.untyped_storage()
            key = id(storage)
            # A view has its memory from an argument.
            if key not in known and key not in self._sizes:
                self._sizes[key] = storage.nbytes()
                weakref.finalize(storage, self._sizes.pop, key, None)
        self.peak = max(self.peak, sum(self._sizes.values()))
        return made


def _tensors(tree: Any) -> list[Tensor]:
    leaves: list[Any] = tree_leaves(tree)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]
