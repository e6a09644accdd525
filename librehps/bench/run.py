"""One run: the gate, then the time and the memory of every implementation at every shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch

from librehps.bench.cases import OPS, Op, Shape
from librehps.bench.counts import count
from librehps.bench.gate import LIMITS, gate_error, leaves_of
from librehps.bench.peers import PEERS, Peer
from librehps.bench.report import Report, Row, machine
from librehps.bench.roofline import Roof, measure_roof
from librehps.bench.timing import peak_bytes, time_calls
from librehps.errors import LibreHPSError
from librehps.kernels.backend import choose_attention, choose_kernels
from librehps.progress import ignore

__all__ = ["Plan", "run_plan", "shapes_of"]

# The definition of attention keeps all pairs of a sequence.
_LONGEST_EAGER = 1024
_SHORT = 300

Passes = Literal["forward", "both"]


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Args:
        ops: Names in ``OPS``.
        shapes: Each op at each of them.
        device: Where.
        passes: ``"forward"`` alone, ``"both"`` for forward and backward.
        seconds: For each row.
        with_peers: Whether other packages that are installed run too.
    """

    ops: Sequence[str]
    shapes: Sequence[Shape]
    device: torch.device
    passes: Sequence[Passes] = ("forward", "both")
    seconds: float = 0.2
    with_peers: bool = True

    def __len__(self) -> int:
        """Return how many rows there will be."""
        return sum(len(_implementations(self, name)) for name in self.ops) * (
            len(self.shapes) * len(self.passes)
        )


def shapes_of(
    presets: Sequence[str],
    packs: Sequence[int | tuple[int, ...]],
    dtypes: Sequence[torch.dtype],
) -> list[Shape]:
    """Return, for each number of tokens, one long sequence and as many of about 300 as fit.

    Args:
        presets: Sizes of the model.
        packs: Tokens of a whole pack; or the lengths of its sequences, which are taken as they are.
        dtypes: Of the tensors.
    """
    found: list[Shape] = []
    for preset in presets:
        for dtype in dtypes:
            for total in packs:
                if isinstance(total, tuple):
                    found.append(Shape(preset, total, dtype))
                    continue
                found.append(Shape(preset, (total,), dtype))
                count_short = total // _SHORT
                if count_short > 1:
                    # Unequal, as prompts and pictures are: no two neighbours share a launch.
                    low, extra = divmod(total, count_short)
                    lengths = [low + (index < extra) for index in range(count_short)]
                    for index in range(0, count_short - 1, 2):
                        lengths[index] += 1 + index % 31
                        lengths[index + 1] -= 1 + index % 31
                    found.append(Shape(preset, tuple(lengths), dtype))
    return found


def run_plan(
    plan: Plan,
    *,
    advance: Callable[[int], None] = ignore,
    keep: Callable[[Report], None] | None = None,
) -> Report:
    """Measure everything that a plan asks for.

    Args:
        plan: What.
        advance: Called with 1 after each row.
        keep: Called after each op with all that was measured so far, so that a run that is cut off
            leaves something.
    """
    described = machine(plan.device)
    dtypes = dict.fromkeys(shape.dtype for shape in plan.shapes)
    roofs = {
        dtype: measure_roof(dtype, plan.device, seconds=max(plan.seconds, 0.1)) for dtype in dtypes
    }
    rows: list[Row] = []
    for name in plan.ops:
        for label, implementation in _implementations(plan, name).items():
            judged: dict[tuple[str, torch.dtype, Passes], Row] = {}
            for shape in plan.shapes:
                for passes in plan.passes:
                    row = _empty_row(name, shape, passes, label)
                    key = shape.preset, shape.dtype, passes
                    if key not in judged:
                        judged[key] = _judge(plan, name, implementation, shape, row)
                    row = replace(judged[key], lengths=row.lengths)
                    if row.verdict == "timed":
                        run = _function(OPS[name], implementation)
                        row = _measure(plan, run, shape, row, roofs[shape.dtype])
                    rows.append(row)
                    advance(1)
        if keep is not None:
            keep(Report(described, list(roofs.values()), list(rows)))
    return Report(described, list(roofs.values()), rows)


def _implementations(plan: Plan, name: str) -> dict[str, str | Peer]:
    """Return ours by what ``impl`` calls them, and the peers that are installed."""
    found: dict[str, str | Peer] = {label: label for label in OPS[name].implementations}
    if plan.with_peers and plan.device.type == "cuda":
        found |= {peer.name: peer for peer in PEERS if peer.op == name and peer.installed()}
    return found


def _empty_row(name: str, shape: Shape, passes: Passes, label: str) -> Row:
    return Row(
        op=name,
        preset=shape.preset,
        dtype=str(shape.dtype).removeprefix("torch."),
        lengths=list(shape.lengths),
        passes=passes,
        implementation=label,
        verdict="timed",
    )


def _function(op: Op, implementation: str | Peer) -> Callable[..., Any]:
    if isinstance(implementation, Peer):
        return implementation.load()
    return partial(op.call, impl=implementation)


def _judge(plan: Plan, name: str, implementation: str | Peer, shape: Shape, row: Row) -> Row:
    """Return the row with its verdict: ``"timed"`` where nothing is in the way."""
    op = OPS[name]
    backward = row.passes == "both"
    if isinstance(implementation, Peer):
        if backward and not implementation.has_backward:
            return replace(row, verdict="unavailable", detail="it has no backward pass")
    else:
        try:
            if "eager" in op.implementations:
                choose_attention(implementation, plan.device, dtype=shape.dtype)
            else:
                choose_kernels(implementation, plan.device, op=name, dtype=shape.dtype)
        except LibreHPSError as error:
            return replace(row, verdict="unavailable", detail=str(error))
    limit = LIMITS[shape.dtype]
    try:
        error = gate_error(op, _function(op, implementation), shape, plan.device, backward=backward)
    # Whatever another package or a compiler raises is a finding, and the other rows go on.
    except Exception as failure:
        return replace(row, verdict="failed", detail=_sentence(failure), limit=limit)
    if not error <= limit:
        shown = None if error == float("inf") else error
        return replace(
            row, verdict="red", error=shown, limit=limit, detail="differs from the definition"
        )
    return replace(row, error=error, limit=limit)


def _measure(plan: Plan, run: Callable[..., Any], shape: Shape, row: Row, roof: Roof) -> Row:
    if row.implementation == "eager" and max(shape.lengths) > _LONGEST_EAGER:
        detail = f"the definition is timed up to {_LONGEST_EAGER} tokens in a sequence"
        return replace(row, verdict="unavailable", detail=detail)
    device = plan.device
    try:
        # A pack of 32768 tokens takes seconds to draw on a CPU.
        case = OPS[row.op].make(replace(shape, device=device))
        given, bounds = case.tensors, case.bounds
        if row.passes == "both":
            given = leaves_of(case, given)
        differentiable = [tensor for tensor in given.values() if tensor.requires_grad]

        def forward() -> Any:
            with torch.no_grad():
                return run(**given, **bounds, **case.options)

        def both() -> Any:
            y = _first(run(**given, **bounds, **case.options))
            return torch.autograd.grad(y, differentiable, upstream, allow_unused=True)

        made = forward()
        outputs = list(made) if isinstance(made, tuple) else [made]
        if not all(bool(y.isfinite().all()) for y in outputs):
            return replace(row, verdict="red", detail="a result at this length is not finite")
        upstream = torch.ones_like(outputs[0])
        work = count(
            case.operations,
            inputs=[*given.values(), *bounds.values()],
            outputs=outputs,
            differentiable=differentiable,
            backward=row.passes == "both",
        )
        del made, outputs
        call = forward if row.passes == "forward" else both
        peak = peak_bytes(call, device)
        timing = time_calls(call, device, seconds=plan.seconds)
    except Exception as failure:
        return replace(row, verdict="failed", detail=_sentence(failure))
    return replace(
        row,
        operations=work.operations,
        bytes=work.bytes,
        median_ms=timing.median_ms,
        best_ms=timing.best_ms,
        worst_ms=timing.worst_ms,
        rounds=timing.rounds,
        roof_ms=roof.least_ms(work),
        peak_bytes=peak,
    )


def _first(made: Any) -> Any:
    return made[0] if isinstance(made, tuple) else made


def _sentence(failure: Exception) -> str:
    lines = str(failure).splitlines() or [""]
    return f"{type(failure).__name__}: {lines[0][:200]}"
