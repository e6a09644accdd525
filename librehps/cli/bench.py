"""``librehps bench``: how fast the ops are here, and how far from what the machine allows."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from librehps.cli import options
from librehps.cli.output import note, write_json, write_line, write_table
from librehps.errors import ConfigError

if TYPE_CHECKING:
    from librehps.bench.report import Report, Row

_MOST_TOKENS = 2**20

bench = typer.Typer(help="Measure the ops, and compare two measurements.", no_args_is_help=True)

OPS_EPILOG = options.examples(
    "librehps bench ops --preset nano",
    "librehps bench ops --op attention,swiglu --tokens 300,8192 --out ops.json --plot ops.png",
)
COMPARE_EPILOG = options.examples("librehps bench compare before.json after.json --plot both.png")

PlotOption = Annotated[
    Path | None, typer.Option(metavar="PNG", show_default=False, help="Where a picture goes.")
]


@bench.command("ops", epilog=OPS_EPILOG)
def ops(
    *,
    op: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…", show_default=False, help="Only these ops; all if not given."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            show_default=False,
            help="Sizes of the model, such as nano, 0.8b, 4b, 9b. nano on a CPU, 4b on a GPU.",
        ),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            metavar="N,…",
            show_default=False,
            help="Tokens of a pack, as one sequence and as many short ones; 8x1024 is a pack of "
            "eight sequences. 300,1200 on a CPU, 300,2048,8192,32768 on a GPU.",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…", show_default=False, help="float32 on a CPU, bfloat16 on a GPU."
        ),
    ] = None,
    passes: Annotated[
        str, typer.Option("--pass", metavar="NAME,…", help="forward; both is forward and backward.")
    ] = "forward,both",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1.")] = "auto",
    seconds: Annotated[float, typer.Option(min=0.001, max=60, help="For each row.")] = 0.1,
    peers: Annotated[
        bool, typer.Option(help="Other packages that are installed run too, on a GPU.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="JSON", show_default=False, help="Where the rows go.")
    ] = None,
    plot: PlotOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Check every implementation of every op, then time it.

    What differs from the definition is not timed, and the exit status is 1. Times are medians;
    the roof is what a copy and a matrix product reach in the same run, and a share of 100% is all
    that they allow for the least work that the op has.
    """
    from librehps.bench.cases import OPS
    from librehps.bench.plot import check_can_draw, write_plot
    from librehps.bench.report import write_report
    from librehps.bench.run import Plan, run_plan, shapes_of
    from librehps.device import DTYPES, choose_device
    from librehps.modeling.presets import PRESETS
    from librehps.progress import progress_bar

    if plot is not None:
        check_can_draw()
    place = choose_device(device)
    on_gpu = place.type == "cuda"
    names = _known(op, list(OPS), list(OPS), "op")
    presets = _known(preset, ["4b"] if on_gpu else ["nano"], list(PRESETS), "preset")
    formats = _known(dtype, ["bfloat16"] if on_gpu else ["float32"], list(DTYPES), "dtype")
    packs = _packs(tokens or ("300,2048,8192,32768" if on_gpu else "300,1200"))
    plan = Plan(
        names,
        shapes_of(presets, packs, [DTYPES[name] for name in formats]),
        place,
        passes=[
            "forward" if name == "forward" else "both"
            for name in _known(passes, [], ["forward", "both"], "pass")
        ],
        seconds=seconds,
        with_peers=peers,
    )
    with progress_bar("measuring", len(plan), shown=sys.stderr.isatty()) as advance:
        report = run_plan(
            plan, advance=advance, keep=None if out is None else partial(write_report, out)
        )
    if out is not None:
        note(f"rows: {out}")
    if plot is not None:
        write_plot(plot, {"": report})
        note(f"picture: {plot}")
    if as_json:
        write_json(report.to_dict())
    else:
        _show(report)
    if any(row.verdict in ("red", "failed") for row in report.rows):
        raise typer.Exit(1)


@bench.command("compare", epilog=COMPARE_EPILOG)
def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE.json", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="AFTER.json", show_default=False)],
    plot: PlotOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Compare two measurements of the same shapes, row by row.

    A ratio above one says that the second is faster.
    """
    from librehps.bench.compare import compare_reports, mean_ratio
    from librehps.bench.plot import check_can_draw, write_plot
    from librehps.bench.report import read_report

    if plot is not None:
        check_can_draw()
    first, second = read_report(before), read_report(after)
    pairs = compare_reports(first, second)
    mean = mean_ratio(pairs)
    if plot is not None:
        write_plot(plot, {f"A {before.name}": first, f"B {after.name}": second})
        note(f"picture: {plot}")
    if as_json:
        rows = [
            {
                "op": pair.first.op,
                "preset": pair.first.preset,
                "dtype": pair.first.dtype,
                "lengths": pair.first.lengths,
                "passes": pair.first.passes,
                "implementation": pair.first.implementation,
                "before_ms": pair.first.median_ms,
                "after_ms": pair.second.median_ms,
                "ratio": pair.ratio,
            }
            for pair in pairs
        ]
        machines = {"before": dict(first.machine), "after": dict(second.machine)}
        write_json({"machines": machines, "mean_ratio": mean, "rows": rows})
        return
    for which, report in (("before", first), ("after", second)):
        note(f"{which}: {report.machine.get('name')}, {report.machine.get('date')}")
    columns = ["op", "shape", "pass", "implementation", "before ms", "after ms", "ratio"]
    write_table(
        columns,
        [
            [
                pair.first.op,
                _shape(pair.first),
                pair.first.passes,
                pair.first.implementation,
                _number(pair.first.median_ms, ".3f"),
                _number(pair.second.median_ms, ".3f"),
                _number(pair.ratio, ".2f"),
            ]
            for pair in pairs
            if pair.first.median_ms is not None or pair.second.median_ms is not None
        ],
    )
    write_line(f"geometric mean of the ratios: {_number(mean, '.3f')}")


def _show(report: Report) -> None:
    columns = [
        *("op", "shape", "pass", "implementation", "error", "ms", "GB/s", "GFLOP/s", "of roof"),
        "peak MB",
    ]
    write_table(
        columns,
        [
            [
                row.op,
                _shape(row),
                row.passes,
                row.implementation,
                _number(row.error, ".1e"),
                _number(row.median_ms, ".3f"),
                _rate(row.bytes, row.median_ms),
                _rate(row.operations, row.median_ms),
                _number(row.share_of_roof, ".0%"),
                _number(None if row.peak_bytes is None else row.peak_bytes / 1e6, ".1f"),
            ]
            for row in report.rows
            if row.median_ms is not None
        ],
    )
    for roof in report.roofs:
        write_line(
            f"roof: copy {roof.bytes_per_second / 1e9:.1f} GB/s, {roof.dtype} matrix product "
            f"{roof.operations_per_second / 1e9:.1f} GFLOP/s"
        )
    reasons = dict.fromkeys(
        (row.op, row.implementation, row.verdict, row.detail)
        for row in report.rows
        if row.median_ms is None
    )
    for name, implementation, verdict, detail in reasons:
        note(f"{name}, {implementation}: {verdict}: {detail}")


def _shape(row: Row) -> str:
    count, tokens = len(row.lengths), sum(row.lengths)
    return f"{row.preset} {row.dtype} {tokens}" + (f" in {count}" if count > 1 else "")


def _number(value: float | None, format_spec: str) -> str:
    return "-" if value is None else format(value, format_spec)


def _rate(amount: int | None, milliseconds: float | None) -> str:
    if amount is None or not milliseconds:
        return "-"
    return f"{amount / milliseconds / 1e6:.2f}"


def _known(text: str | None, default: list[str], known: Iterable[str], kind: str) -> list[str]:
    """Return the names of a list with commas, each of which must be known."""
    from librehps.registry import nearest

    names = default if text is None else [name.strip() for name in text.split(",")]
    listed: Any = list(known)
    for name in names:
        if name not in listed:
            raise ConfigError(
                f"no {kind} is called {name!r}{nearest(name, listed)}", code="name_unknown"
            )
    return list(dict.fromkeys(names))


def _packs(text: str) -> list[int | tuple[int, ...]]:
    """Return numbers of tokens, and for 8x1024 the lengths of eight sequences."""
    packs: list[int | tuple[int, ...]] = []
    for word in text.split(","):
        count, times, length = word.strip().rpartition("x")
        known = length.isdecimal() and (count.isdecimal() or not times)
        tokens = int(length) * int(count or 1) if known else 0
        if not 0 < tokens <= _MOST_TOKENS:
            raise ConfigError(
                f"--tokens holds {word.strip()!r:.40}; expected numbers from 1 to {_MOST_TOKENS}, "
                "or 8x1024 for eight sequences of 1024",
                code="bench_tokens",
            )
        packs.append((int(length),) * int(count) if times else tokens)
    return list(dict.fromkeys(packs))
