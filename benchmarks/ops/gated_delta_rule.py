"""Time the gated delta rule against the torch function of transformers.

    python -m benchmarks.ops.gated_delta_rule [--device cpu] [--threads N] [--rounds N] [--out JSON]

Both get the same tensors, with the normalisation of queries and keys included. First the gate:
outputs, final states and every gradient must agree, or nothing is timed and the exit status is 1.
Then come rounds in which both run in turn, forward alone and forward with backward, the one that
begins changing from round to round. transformers takes batches of equal lengths; for a pack of
unequal lengths it runs each sequence alone, as it has to.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers.models.qwen3_5.modeling_qwen3_5 import torch_chunk_gated_delta_rule

from benchmarks.model.full_size import commit, describe_machine
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.testing.tolerances import TOLERANCES, relative_rms

NAMES = ("o", "final_state", "q", "k", "v", "g", "beta")


@dataclass(frozen=True)
class Setting:
    """One shape: lengths of the packed sequences, heads, widths and the dtype of q, k, v, beta."""

    name: str
    lengths: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    key_heads: int = 16
    value_heads: int = 32
    width: int = 128

    def inputs(self, device: torch.device) -> list[Tensor]:
        """Return q, k, v, g and beta of the kind that a trained layer makes, packed."""
        generator = torch.Generator().manual_seed(0)
        tokens = sum(self.lengths)

        def random(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        q, k = (random(tokens, self.key_heads, self.width) for _ in range(2))
        v = random(tokens, self.value_heads, self.width)
        beta = random(tokens, self.value_heads).sigmoid()
        g = -torch.rand(tokens, self.value_heads, generator=generator) * 0.5
        wide = (g,)
        q, k, v, beta = (x.to(self.dtype) for x in (q, k, v, beta))
        return [x.to(device) for x in (q, k, v, *wide, beta)]


SETTINGS = (
    Setting("4 sequences of 512", (512,) * 4),
    Setting("4 sequences of 512, bfloat16", (512,) * 4, dtype=torch.bfloat16),
    Setting("12 sequences of 25 to 500", (25, 500, 60, 333, 128, 41, 270, 64, 190, 65, 410, 100)),
)


def ours(setting: Setting, inputs: list[Tensor], *, impl: str = "auto") -> tuple[Tensor, Tensor]:
    bounds = torch.tensor([0, *setting.lengths], device=inputs[0].device).cumsum(0)
    return gated_delta_rule(*inputs, cu_seqlens=bounds, impl=impl)


def theirs(setting: Setting, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    group = setting.value_heads // setting.key_heads
    if "repeat_interleave" not in inspect.getsource(torch_chunk_gated_delta_rule):
        # Older versions leave the sharing of key heads to the caller.
        inputs = [x.repeat_interleave(group, dim=1) for x in inputs[:2]] + inputs[2:]
    if len(set(setting.lengths)) == 1:
        batches = [[x.unflatten(0, (len(setting.lengths), -1)) for x in inputs]]
    else:
        parts = zip(*(x.split(setting.lengths) for x in inputs), strict=True)
        batches = [[x[None] for x in part] for part in parts]
    outputs, states = [], []
    for q, k, v, g, beta in batches:
        o, state = torch_chunk_gated_delta_rule(
            q, k, v, g=g, beta=beta, output_final_state=True, use_qk_l2norm_in_kernel=True
        )
        outputs.append(o.flatten(0, 1))
        states.append(state)
    return torch.cat(outputs), torch.cat(states)


Libraries: TypeAlias = Mapping[str, Callable[[Setting, list[Tensor]], tuple[Tensor, Tensor]]]


def errors(libraries: Libraries, setting: Setting, inputs: list[Tensor]) -> dict[str, float]:
    """Return how far the two are apart: outputs, final states, every gradient."""
    results: list[tuple[Tensor, ...]] = []
    for run in libraries.values():
        own = [x.detach().requires_grad_() for x in inputs]
        o, state = run(setting, own)
        generator = torch.Generator().manual_seed(1)
        total = sum(
            (x.float() * torch.randn(x.shape, generator=generator).to(x.device)).sum()
            for x in (o, state)
        )
        results.append((o, state, *torch.autograd.grad(total, own)))
    return {
        name: relative_rms(actual, expected)
        for name, actual, expected in zip(NAMES, *results, strict=True)
    }


def seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def measure(
    libraries: Libraries, setting: Setting, inputs: list[Tensor], rounds: int
) -> dict[str, Any]:
    """Time both in turn, after one round that does not count."""
    own = [x.detach().requires_grad_() for x in inputs]
    up = torch.randn(own[2].shape, generator=torch.Generator().manual_seed(2)).to(own[2])

    def forward(name: str) -> None:
        with torch.no_grad():
            libraries[name](setting, inputs)

    def both(name: str) -> None:
        torch.autograd.grad(libraries[name](setting, own)[0], own, up)

    passes = {"forward": forward, "forward_backward": both}
    timings: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in libraries} for kind in passes
    }
    for number in range(rounds + 1):
        order = list(libraries) if number % 2 else list(reversed(libraries))
        for kind, run in passes.items():
            for name in order:
                taken = seconds(lambda run=run, name=name: run(name), inputs[0].device)
                if number:
                    timings[kind][name].append(taken)
    return {kind: summary(of) for kind, of in timings.items()}


def summary(timings: dict[str, list[float]]) -> dict[str, Any]:
    """Return medians, the best rounds, and how many times faster the first library is."""
    first, second = timings.values()
    table: dict[str, Any] = {
        name: {"median_ms": 1e3 * median(own), "best_ms": 1e3 * min(own)}
        for name, own in timings.items()
    }
    table["speedup_of_medians"] = median(second) / median(first)
    table["median_speedup_of_rounds"] = median(b / a for a, b in zip(first, second, strict=True))
    table["speedup_of_best"] = min(second) / min(first)
    return table


def main() -> int:
    """Check, then time, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--impl", default="auto", help="of ours: auto, torch or triton")
    parser.add_argument("--out", type=Path, help="where the report goes as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    before = os.getloadavg()
    libraries: Libraries = {"librehps": partial(ours, impl=arguments.impl), "transformers": theirs}
    kind = "delta_rule_triton" if arguments.impl == "triton" else "delta_rule"
    made = [(setting, setting.inputs(arguments.device)) for setting in SETTINGS]
    agreement: dict[str, dict[str, float]] = {}
    for setting, inputs in made:
        limit = TOLERANCES[f"{kind}_{str(setting.dtype).removeprefix('torch.')}"].limit
        agreement[setting.name] = errors(libraries, setting, inputs)
        wrong = {name: e for name, e in agreement[setting.name].items() if not e <= limit}
        if wrong:
            print(f"{setting.name}: the gate is red, limit {limit}: {wrong}", file=sys.stderr)
            return 1
    results: dict[str, Any] = {}
    for setting, inputs in made:
        results[setting.name] = measure(libraries, setting, inputs, arguments.rounds)
        for passes, table in results[setting.name].items():
            print(
                f"{setting.name}, {passes}: {table['librehps']['median_ms']:.0f} ms, transformers "
                f"{table['transformers']['median_ms']:.0f} ms, {table['speedup_of_medians']:.2f} x",
                file=sys.stderr,
            )
    device = arguments.device
    report = {
        "benchmark": "gated_delta_rule",
        "command": "python -m " + " ".join(["benchmarks.ops.gated_delta_rule", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": describe_machine()
        | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers")},
        "setting": {
            "device": str(device),
            "impl": arguments.impl,
            "threads": arguments.threads,
            "rounds": arguments.rounds,
            "heads": "16 key heads, 32 value heads, width 128; fresh random inputs",
            "load_average_before": before,
            "load_average_after": os.getloadavg(),
        },
        "agreement_relative_rms": agreement,
        "results": results,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
