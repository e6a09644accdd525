"""Compile every triton kernel ahead of time and count what it takes on a GPU; needs no GPU.

    python -m benchmarks.ops.compile_kernels [--preset NAME ...] [--dtype NAME ...] [--out JSON]

Every op with a triton kernel is called, forward and backward, with tensors that have shapes and no
memory, at the widths of each published size; what it would launch is caught and compiled instead,
for sm_90 (H100, H200) and sm_100 (B200). So what is compiled is what is shipped, and nothing is
written down twice. The exit status is 1 where a gate is red: no spilled registers, no more shared
memory or tensor memory than a block can have, no body that is only a trap, tensor cores where a
product is meant for them.

This says that the kernels compile and fit. It says nothing about speed or, on a GPU, correctness.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from benchmarks.model.full_size import commit, describe_machine
from benchmarks.ops.kernel_calls import kernel_calls
from benchmarks.ops.machine_code import code_of, instructions_of, tool
from librehps.modeling.presets import PRESETS

TARGETS = (90, 100)
MAX_SHARED = 232_448
"""Bytes of shared memory that one block can have on sm_90 and sm_100."""
MAX_TENSOR_COLUMNS = 512
"""Columns of tensor memory that one block can have on sm_100."""

TENSOR_CORE = re.compile(r"(H|I|HG|IG|QG|UTC\w*)MMA")
"""Machine instructions that multiply matrices."""

POINTERS = {
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.int32: "*i32",
    torch.int64: "*i64",
}
# Of weights and activations.
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}


@dataclass(frozen=True)
class Launch:
    """One specialisation of a kernel, as triton would make it for a launch.

    Args:
        kernel: The function.
        signature: Type of each argument in triton's words.
        constants: Arguments that are known when compiling.
        aligned: Positions of arguments that are a multiple of 16.
        options: What else the compiler is told, such as ``num_warps``.
    """

    kernel: JITFunction
    signature: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, Any], ...]
    aligned: tuple[int, ...]
    options: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, kernel: JITFunction, *args: Any, **options: Any) -> Launch:
        """Describe ``kernel[grid](*args, **options)``; a 1 and a None become constants."""
        named = dict(zip(kernel.arg_names, args, strict=False))
        named |= {name: options[name] for name in kernel.arg_names if name in options}
        signature: dict[str, str] = {}
        constants: dict[str, Any] = {}
        aligned: list[int] = []
        for index, parameter in enumerate(kernel.params):
            value = named[parameter.name]
            if parameter.is_constexpr or value is None or (type(value) is int and value == 1):
                signature[parameter.name] = "constexpr"
                constants[parameter.name] = value
            elif isinstance(value, Tensor):
                # Of memory from torch; a view may begin anywhere, and is then compiled anew.
                signature[parameter.name] = POINTERS[value.dtype]
                aligned.append(index)
            elif isinstance(value, int):
                signature[parameter.name] = "i32" if abs(value) < 2**31 else "i64"
                aligned += [index] if value % 16 == 0 else []
            else:
                raise TypeError(f"{kernel.__name__}: {parameter.name} is {value!r}")
        return cls(
            kernel=kernel,
            signature=tuple(signature.items()),
            constants=tuple(constants.items()),
            aligned=tuple(aligned),
            options=tuple(pair for pair in options.items() if pair[0] not in kernel.arg_names),
        )

    def compile(self, capability: int) -> Any:
        """Return triton's compiled kernel for sm_<capability>."""
        source = ASTSource(
            fn=self.kernel,
            signature=dict(self.signature),
            constexprs=dict(self.constants),
            attrs={(index,): [["tt.divisibility", 16]] for index in self.aligned},
        )
        target = GPUTarget("cuda", capability, 32)
        return triton.compile(source, target=target, options=dict(self.options))


@dataclass(frozen=True)
class Usage:
    """What one compiled kernel takes.

    Args:
        kernel: Name of the function.
        target: ``"sm_90"`` or ``"sm_100"``.
        pointers: Dtypes of the pointers, in order.
        constants: Arguments that are known when compiling.
        options: What else the compiler was told; ``num_warps`` are groups of 32 threads.
        registers: Of one thread.
        spilled_bytes: Registers that were moved to memory, of one thread: the stack and local
            memory that ``cuobjdump`` reports.
        shared_bytes: Shared memory of one block.
        tensor_columns: Tensor memory of one block; only sm_100 has any.
        instructions: Of machine code, without padding.
        fused: Those of them that round a float32 product and sum once.
        products: Matrix products in the source that are meant for tensor cores: all but those of
            float32 matrices that are to be exact.
        tensor_instructions: Instructions of tensor cores.
        used_by: Ops with dtype and preset that launch it.
    """

    kernel: str
    target: str
    pointers: str
    constants: dict[str, Any]
    options: dict[str, Any]
    registers: int
    spilled_bytes: int
    shared_bytes: int
    tensor_columns: int
    instructions: int
    fused: int
    products: int
    tensor_instructions: int
    used_by: tuple[str, ...]

    def faults(self) -> list[str]:
        """Return the gates that are red."""
        found: list[str] = []
        if self.spilled_bytes:
            found.append(f"spills {self.spilled_bytes} bytes")
        if self.shared_bytes > MAX_SHARED:
            found.append(f"takes {self.shared_bytes} bytes of shared memory of {MAX_SHARED}")
        if self.tensor_columns > MAX_TENSOR_COLUMNS:
            found.append(f"takes {self.tensor_columns} columns of {MAX_TENSOR_COLUMNS}")
        if self.products and not self.tensor_instructions:
            found.append(f"has {self.products} matrix products, and none on tensor cores")
        # What does not fit into tensor memory compiles to a kernel that only traps.
        if self.instructions < 16:
            found.append(f"has {self.instructions} instructions only")
        return found


@contextmanager
def catching(launches: list[Launch]) -> Iterator[None]:
    """Append to ``launches`` what would be launched, and launch nothing."""

    def run(kernel: JITFunction, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        launches.append(Launch.of(kernel, *args, **options))

    with patch.object(JITFunction, "run", run):
        yield


def collect(
    presets: Sequence[str], dtypes: Sequence[str] = tuple(DTYPES)
) -> dict[Launch, list[str]]:
    """Return every specialisation that the presets need in these dtypes, with who needs it."""
    found: dict[Launch, list[str]] = {}
    for preset in presets:
        for dtype in dtypes:
            for name, call in kernel_calls(preset, DTYPES[dtype]).items():
                launches: list[Launch] = []
                with catching(launches):
                    call()
                if not launches:
                    raise RuntimeError(f"{name} launched nothing")
                for launch in launches:
                    user = f"{name}, {dtype}, {preset}"
                    found.setdefault(launch, []).append(user)
    return found


def meant_for_tensor_cores(ttir: str) -> int:
    """Count the matrix products of a kernel, except exact ones of float32 matrices."""
    lines = [line for line in ttir.splitlines() if re.search(r"= tt\.dot\b", line)]
    return sum("inputPrecision = " in line or "xf32> * tensor" not in line for line in lines)


@dataclass(frozen=True)
class Compiled:
    """What is kept of a kernel that was compiled.

    Args:
        cubin: For the device.
        shared_bytes: See `Usage`, like the others.
        tensor_columns: Of tensor memory.
        products: Meant for tensor cores.
    """

    cubin: bytes
    shared_bytes: int
    tensor_columns: int
    products: int

    @classmethod
    def of(cls, launch: Launch, capability: int) -> Compiled:
        """Compile a launch for sm_<capability>."""
        made = launch.compile(capability)
        return cls(
            cubin=made.asm["cubin"],
            shared_bytes=int(made.metadata.shared),
            tensor_columns=int(made.metadata.tmem_size or 0),
            products=meant_for_tensor_cores(made.asm["ttir"]),
        )


# Kernels cannot be handed to another process; a copy of this one has them.
_wanted: list[tuple[Launch, int]] = []


def _compile_wanted(index: int) -> Compiled:
    return Compiled.of(*_wanted[index])


def compile_all(wanted: list[tuple[Launch, int]], *, jobs: int) -> list[Compiled]:
    """Compile each launch for its target, in as many processes, which share nothing."""
    _wanted[:] = wanted
    with get_context("fork").Pool(jobs) as pool:
        return pool.map(_compile_wanted, range(len(wanted)), chunksize=1)


def measure(launches: dict[Launch, list[str]], targets: Sequence[int], *, jobs: int) -> list[Usage]:
    """Compile and count: every launch for every target, in this order."""
    wanted = [(launch, target) for launch in launches for target in targets]
    made = compile_all(wanted, jobs=jobs)
    read: dict[int, Iterator[list[str]]] = {}
    for target in targets:
        own = [kernel for kernel, pair in zip(made, wanted, strict=True) if pair[1] == target]
        read[target] = iter(instructions_of([code_of(kernel.cubin) for kernel in own], target))
    return [
        usage_of(launch, target, compiled, next(read[target]), launches[launch])
        for (launch, target), compiled in zip(wanted, made, strict=True)
    ]


def usage_of(
    launch: Launch, capability: int, compiled: Compiled, instructions: list[str], used_by: list[str]
) -> Usage:
    """Say what a compiled kernel takes.

    Args:
        launch: What was compiled.
        capability: For which device.
        compiled: What triton made of it.
        instructions: Names of its machine instructions, padding among them.
        used_by: See `Usage`.
    """
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.cubin)
        file.flush()
        report = tool("cuobjdump", "-res-usage", file.name)
    counts = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", report))
    return Usage(
        kernel=launch.kernel.__name__,
        target=f"sm_{capability}",
        pointers=" ".join(kind[1:] for _, kind in launch.signature if kind.startswith("*")),
        constants={name: str(value) for name, value in launch.constants},
        options=dict(launch.options),
        registers=int(counts["REG"]),
        spilled_bytes=int(counts["STACK"]) + int(counts["LOCAL"]),
        shared_bytes=compiled.shared_bytes,
        tensor_columns=compiled.tensor_columns,
        instructions=sum(name != "NOP" for name in instructions),
        fused=sum(name.startswith("FFMA") for name in instructions),
        products=compiled.products,
        tensor_instructions=sum(TENSOR_CORE.match(name) is not None for name in instructions),
        used_by=tuple(used_by),
    )


def main() -> int:
    """Compile, print, write and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--preset", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--dtype", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--target", nargs="+", default=list(TARGETS), type=int, metavar="SM")
    jobs = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=jobs, help="processes that compile")
    parser.add_argument("--out", type=Path, help="where the report goes as JSON")
    arguments = parser.parse_args()
    if triton.knobs.runtime.interpret:
        parser.error("TRITON_INTERPRET is set: the interpreter has no kernels to compile")
    launches = collect(arguments.preset, arguments.dtype)
    usages = measure(launches, arguments.target, jobs=arguments.jobs)
    red = 0
    for usage in usages:
        faults = usage.faults()
        red += bool(faults)
        warps = usage.options["num_warps"]
        print(
            f"{usage.kernel:28} {usage.target:6} {warps:2} warps {usage.registers:3} registers "
            f"{usage.shared_bytes:6} B shared {usage.spilled_bytes} B spilled "
            f"{usage.tensor_instructions:3} tensor  "
            f"{usage.used_by[0]}{''.join('; ' + fault for fault in faults)}",
            file=sys.stderr,
        )
    report = {
        "benchmark": "compile_kernels",
        "command": "python -m " + " ".join(["benchmarks.ops.compile_kernels", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": describe_machine(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "triton")},
        "what_this_shows": "The kernels compile and fit. Nothing here has run on a GPU.",
        "gates": {
            "spilled_bytes": 0,
            "shared_bytes": MAX_SHARED,
            "tensor_columns": MAX_TENSOR_COLUMNS,
            "red": red,
        },
    }
    if arguments.out:
        # A line for each kernel.
        kernels = ",\n".join(f"    {json.dumps(asdict(usage))}" for usage in usages)
        head = json.dumps(report, indent=2).removesuffix("\n}")
        arguments.out.write_text(f'{head},\n  "kernels": [\n{kernels}\n  ]\n}}\n')
    return int(red > 0)


if __name__ == "__main__":
    sys.exit(main())
