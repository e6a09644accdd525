"""Rounds are counted, and memory is what is alive."""

from __future__ import annotations

import time

import pytest
import torch

from librehps.bench import timing
from librehps.bench.timing import Timing, peak_bytes, time_calls

CPU = torch.device("cpu")
MEGABYTE = 2**20


def test_a_timing_sums_up_its_rounds() -> None:
    assert Timing.of([3.0, 1.0, 10.0]) == Timing(3.0, 1.0, 10.0, 3)


def test_a_wait_takes_as_long_as_it_waits() -> None:
    calls: list[float] = []

    def wait() -> None:
        calls.append(time.perf_counter())
        time.sleep(0.002)

    found = time_calls(wait, CPU, seconds=0.03)
    assert found.best_ms >= 2
    assert found.best_ms <= found.median_ms <= found.worst_ms
    # One to three do not count.
    assert 3 <= len(calls) - found.rounds + 2 <= 5
    assert found.rounds >= 3


def test_there_are_rounds_enough_and_not_without_end() -> None:
    slow = time_calls(lambda: time.sleep(0.003), CPU, seconds=0.001)
    assert slow.rounds == 3
    assert time_calls(lambda: None, CPU, seconds=5.0).rounds == 200


def test_the_peak_is_of_what_is_alive_at_once() -> None:
    x = torch.zeros(MEGABYTE // 4)

    def one_after_the_other() -> torch.Tensor:
        y = x + 1
        y = y + 1
        y = y + 1
        return y.view(-1, 2)

    def all_at_once() -> torch.Tensor:
        a, b = x + 1, x + 2
        return torch.cat([a, b])

    assert peak_bytes(one_after_the_other, CPU) == 2 * MEGABYTE
    assert peak_bytes(all_at_once, CPU) == 4 * MEGABYTE
    assert peak_bytes(lambda: x.view(-1, 2), CPU) == 0


def test_what_the_gradient_needs_counts() -> None:
    x = torch.ones(MEGABYTE // 4, requires_grad=True)

    def both() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(x.exp().sum(), x)

    assert peak_bytes(both, CPU) == pytest.approx(2 * MEGABYTE, abs=64)


def test_events_are_recorded_where_the_call_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    place = torch.device("cuda", 1)
    recorded: list[object] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: object = None) -> None:
            recorded.append(stream)

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, end: object) -> float:
            return 1.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: device)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: None)
    monkeypatch.setattr(timing, "_UNKNOWN_CACHE", 1)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *sizes, dtype, device: empty(*sizes, dtype=dtype))
    assert time_calls(lambda: None, place, seconds=0.0).rounds == 3
    assert set(recorded) == {place}
