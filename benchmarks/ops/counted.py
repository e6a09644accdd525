"""What every op has to do and to move at the least, counted for every size of the model and length.

    python -m benchmarks.ops.counted --out benchmarks/results/ops-counted.json

One causal sequence in bfloat16. Nothing is timed: each op runs once, in torch, for the sizes of its
results. Prints a table: operations and bytes, forward alone and with backward, and operations for
each byte of the forward pass, which says whether arithmetic or memory can bound it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import torch

from librehps.bench.cases import OPS, Shape
from librehps.bench.counts import Count, count
from librehps.bench.report import machine
from librehps.cli.output import write_table
from librehps.modeling.presets import PRESETS
from librehps.writing import write_lines


def counted(name: str, shape: Shape) -> tuple[Count, Count]:
    """Return the least work of an op at a shape, forward alone and with backward."""
    op = OPS[name]
    case = op.make(shape)
    impl = next(label for label in ("sdpa", "torch") if label in op.implementations)
    with torch.no_grad():
        made = op.call(**case.tensors, **case.bounds, **case.options, impl=impl)
    outputs = list(made) if isinstance(made, tuple) else [made]
    differentiable = [tensor for key, tensor in case.tensors.items() if key not in case.fixed]
    forward, both = (
        count(
            case.operations,
            inputs=[*case.tensors.values(), *case.bounds.values()],
            outputs=outputs,
            differentiable=differentiable,
            backward=backward,
        )
        for backward in (False, True)
    )
    return forward, both


def main() -> None:
    """Count, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--tokens", nargs="+", type=int, default=[300, 8192, 32768])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for preset in options.presets:
        for tokens in options.tokens:
            for name in OPS:
                forward, both = counted(name, Shape(preset, (tokens,), torch.bfloat16))
                rows.append(
                    {"preset": preset, "tokens": tokens, "op": name}
                    | {"forward": asdict(forward), "both": asdict(both)}
                    | {"operations_per_byte": forward.intensity}
                )
    heads = ("size", "tokens", "op", "GFLOP", "MB", "with backward", "with backward")
    write_table(
        (*heads, "operations a byte"),
        [
            (
                row["preset"],
                str(row["tokens"]),
                row["op"],
                *(
                    f"{row[passes][what] / scale:.3g}"
                    for passes in ("forward", "both")
                    for what, scale in (("operations", 1e9), ("bytes", 1e6))
                ),
                f"{row['operations_per_byte']:.3g}",
            )
            for row in rows
        ],
    )
    if options.out is not None:
        document = {
            "date": date.today().isoformat(),
            "command": "python -m benchmarks.ops.counted",
            "machine": machine(torch.device("cpu")),
            "dtype": "bfloat16",
            "rows": rows,
        }
        write_lines(options.out, [json.dumps(document, indent=1) + "\n"])


if __name__ == "__main__":
    main()
