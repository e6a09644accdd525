"""Where the time of a whole stack of layers goes, and how near it is to what the device can do.

    python -m benchmarks.model.layer_stack --preset 4b --device cuda --out JSON

Builds the text layers of a preset with random weights and runs packs of sequences through them,
forward alone and with backward. Prints the share of the forward pass that each op takes, matrix
products by where they stand, and what is between them; tokens a second; and the operations of the
definition in that time, as a share of the rate of a matrix product that is measured in the same
run. Every op of a forward pass is timed where it runs: between two CUDA events on a GPU, by the
clock on a CPU. A pass that is timed as a whole has no such events in it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from librehps.bench.counts import attention_operations, gated_delta_rule_operations
from librehps.bench.report import machine
from librehps.bench.roofline import measure_roof
from librehps.bench.timing import time_calls
from librehps.cli.output import write_table
from librehps.device import choose_device, choose_dtype
from librehps.modeling import gated_attention, gated_delta_net, mlp, norm
from librehps.modeling.config import Qwen3_5TextConfig
from librehps.modeling.initialization import initialize
from librehps.modeling.precision import keeps_float32
from librehps.modeling.presets import PRESETS
from librehps.modeling.text import Qwen3_5TextModel
from librehps.writing import write_lines

# Where the model calls each op by its name.
OPS: tuple[tuple[str, Any, str], ...] = (
    ("gated_delta_rule", gated_delta_net, "gated_delta_rule"),
    ("causal_conv1d", gated_delta_net, "causal_conv1d"),
    ("gated_rms_norm", gated_delta_net, "gated_rms_norm"),
    ("attention", gated_attention, "attention"),
    ("rotary", gated_attention, "rotate"),
    ("swiglu", mlp, "swiglu"),
    ("rms_norm", norm, "rms_norm"),
    ("add_rms_norm", norm, "add_rms_norm"),
)
BETWEEN = "between them"


class Stopwatch:
    """Adds up the milliseconds of what runs under each name.

    Args:
        device: Where it runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._spans: list[tuple[str, Any, Any]] = []

    def now(self) -> Any:
        """Return an event on a GPU, which is there when its turn comes, or the time."""
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def add(self, name: str, begin: Any) -> None:
        """Add what has run since ``begin``."""
        self._spans.append((name, begin, self.now()))

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = self.now()
            found = function(*arguments, **options)
            self.add(name, begin)
            return found

        return timed

    def totals(self) -> dict[str, tuple[float, int]]:
        """Return milliseconds and calls by name, and forget them."""
        if self._cuda:
            torch.cuda.synchronize()
        found: dict[str, tuple[float, int]] = {}
        for name, begin, end in self._spans:
            spent = begin.elapsed_time(end) if self._cuda else 1e3 * (end - begin)
            total, calls = found.get(name, (0.0, 0))
            found[name] = (total + spent, calls + 1)
        self._spans.clear()
        return found


@contextmanager
def timed_ops(model: nn.Module, watch: Stopwatch) -> Generator[None]:
    """Time every op and every matrix product of a model inside."""
    with ExitStack() as stack:
        for name, module, attribute in OPS:
            timed = watch.around(name, getattr(module, attribute))
            stack.enter_context(patch.object(module, attribute, timed))
        for path, module in model.named_modules():
            if isinstance(module, nn.Linear):
                name = f"matrix products, {'MLP' if '.mlp.' in path else 'mixers'}"
                timed = watch.around(name, module.forward)
                stack.enter_context(patch.object(module, "forward", timed))
        yield


def build(
    config: Qwen3_5TextConfig,
    device: torch.device,
    dtype: torch.dtype,
    *,
    attn_impl: str,
    kernel_impl: str,
) -> Qwen3_5TextModel:
    """Return the layers with random weights; what stays in float32 in a checkpoint does here."""
    with torch.device("meta"):
        model = Qwen3_5TextModel(config, attn_impl=attn_impl, kernel_impl=kernel_impl)
    # Nothing is looked up in it: embeddings are drawn.
    model.embed_tokens = nn.Embedding(1, config.hidden_size, device="meta")
    model.to_empty(device=device)
    for name, parameter in model.named_parameters():
        if not keeps_float32(name):
            parameter.data = parameter.data.to(dtype)
    initialize(model, std=0.02, generator=torch.Generator(device).manual_seed(0))
    return model


def least_operations(model: Qwen3_5TextModel, lengths: list[int]) -> int:
    """Count a forward pass: two for each weight and token, and the definitions of the mixers."""
    config, tokens = model.config, sum(lengths)
    weights = sum(one.weight.numel() for one in model.modules() if isinstance(one, nn.Linear))
    total = 2 * tokens * weights
    for kind in config.layer_types:
        if kind == "full_attention":
            total += attention_operations(
                lengths,
                heads=config.num_attention_heads,
                key_width=config.head_dim,
                value_width=config.head_dim,
                causal=True,
            )[0]
        elif kind == "linear_attention":
            total += gated_delta_rule_operations(
                tokens,
                heads=config.linear_num_value_heads,
                key_width=config.linear_key_head_dim,
                value_width=config.linear_value_head_dim,
            )[0]
    return total


def shares(spent: dict[str, tuple[float, int]], whole_ms: float) -> dict[str, dict[str, float]]:
    """Return milliseconds, share and calls by name, the largest first; what is left goes last."""
    named = sorted(spent.items(), key=lambda item: -item[1][0])
    left = whole_ms - sum(total for total, _ in spent.values())
    rows = [*named, (BETWEEN, (left, 0))]
    return {
        name: {"ms": total, "share": total / whole_ms, "calls": calls}
        for name, (total, calls) in rows
    }


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="4b", choices=sorted(PRESETS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--tokens", type=int, default=4096, help="in a pack")
    parser.add_argument("--length", type=int, default=1024, help="of a sequence, in tokens")
    parser.add_argument("--attn-impl", default="auto")
    parser.add_argument("--kernel-impl", default="auto")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--forward-only", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()

    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    config = PRESETS[options.preset].text
    model = build(
        config,
        device,
        dtype,
        attn_impl=options.attn_impl,
        kernel_impl=options.kernel_impl,
    )
    lengths = [options.length] * (options.tokens // options.length)
    if rest := options.tokens % options.length:
        lengths.append(rest)
    bounds = torch.tensor([0, *lengths], device=device).cumsum(0).to(torch.int32)
    places = torch.cat([torch.arange(n, device=device) for n in lengths])
    x = torch.randn(options.tokens, config.hidden_size, device=device).to(dtype)
    given: dict[str, Any] = {"positions": places.expand(3, -1), "cu_seqlens": bounds}

    def forward() -> None:
        with torch.no_grad():
            model(x, **given)

    def both() -> None:
        hidden, _ = model(x, **given)
        hidden.float().square().mean().backward()
        model.zero_grad(set_to_none=True)

    roof = measure_roof(dtype, device, seconds=options.seconds)
    whole = time_calls(forward, device, seconds=options.seconds)
    watch = Stopwatch(device)
    with timed_ops(model, watch):
        begin = watch.now()
        forward()
        watch.add("", begin)
        spent = watch.totals()
    with_events, _ = spent.pop("")
    operations = least_operations(model, lengths)
    rate = 1e3 * operations / whole.median_ms
    found: dict[str, Any] = {
        "machine": machine(device),
        "preset": options.preset,
        "dtype": str(dtype).removeprefix("torch."),
        "attn_impl": options.attn_impl,
        "kernel_impl": options.kernel_impl,
        "lengths": lengths,
        "matrix_rate": roof.operations_per_second,
        "forward": {
            **vars(whole),
            "tokens_per_second": 1e3 * options.tokens / whole.median_ms,
            "operations": operations,
            "of_matrix_rate": rate / roof.operations_per_second,
            "ms_with_ops_timed": with_events,
            "ops": shares(spent, with_events),
        },
    }
    if not options.forward_only:
        trained = time_calls(both, device, seconds=options.seconds)
        # Backward takes two products for each of forward's.
        share = 3e3 * operations / trained.median_ms / roof.operations_per_second
        found["forward_and_backward"] = {
            **vars(trained),
            "tokens_per_second": 1e3 * options.tokens / trained.median_ms,
            "of_matrix_rate": share,
        }
    _print(found)
    if options.out is not None:
        write_lines(options.out, [json.dumps(found, indent=2) + "\n"])


def _print(found: dict[str, Any]) -> None:
    write_table(
        ("op", "calls", "ms", "share"),
        [
            (name, f"{one['calls']}", f"{one['ms']:.2f}", f"{100 * one['share']:.1f} %")
            for name, one in found["forward"]["ops"].items()
        ],
        title=f"{found['preset']}, {found['dtype']}, {sum(found['lengths'])} tokens",
    )
    rows = [
        (
            name.replace("_", " "),
            f"{found[name]['median_ms']:.2f}",
            f"{found[name]['tokens_per_second']:.0f}",
            f"{100 * found[name]['of_matrix_rate']:.1f} %",
        )
        for name in ("forward", "forward_and_backward")
        if name in found
    ]
    write_table(("pass", "ms", "tokens/s", "of the matrix rate"), rows)


if __name__ == "__main__":
    main()
