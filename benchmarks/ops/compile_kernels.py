"""Compile every triton kernel ahead of time and count what it takes on a GPU; needs no GPU.

    python -m benchmarks.ops.compile_kernels [--preset NAME ...] [--target 90 100] [--out JSON]

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
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
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
from librehps.kernels.causal_conv1d.triton_causal_conv1d import causal_conv1d_triton
from librehps.kernels.gated_delta_rule.triton_gated_delta_rule import gated_delta_rule_triton
from librehps.kernels.gated_rms_norm.triton_gated_rms_norm import gated_rms_norm_triton
from librehps.kernels.rms_norm.triton_rms_norm import rms_norm_triton
from librehps.kernels.rotary.triton_rotary import rotary_triton
from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton
from librehps.kernels.swiglu.triton_swiglu import swiglu_triton
from librehps.modeling.presets import PRESETS

TARGETS = (90, 100)
TOKENS = 8192
SEQUENCES = 8
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


def differentiate(function: Callable[..., Any], *tensors: Tensor, **options: Any) -> None:
    """Call a function forward and backward."""
    leaves = [tensor.requires_grad_() for tensor in tensors]
    made = function(*leaves, **options)
    results = made if isinstance(made, tuple) else (made,)
    torch.autograd.grad(results, leaves, [torch.empty_like(y) for y in results])


def calls(preset: str, dtype: torch.dtype) -> dict[str, Callable[[], None]]:
    """Return a call of every op at the widths of a preset; tensors without memory."""
    text, vision = PRESETS[preset].text, PRESETS[preset].vision

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    def norm(*shape: int) -> None:
        differentiate(rms_norm_triton, empty(*shape), empty(shape[-1]), eps=text.rms_norm_eps)

    def gated() -> None:
        shape = (TOKENS, text.linear_num_value_heads, text.linear_value_head_dim)
        weight = empty(shape[-1])
        eps = text.rms_norm_eps
        differentiate(gated_rms_norm_triton, empty(*shape), empty(*shape), weight, eps=eps)

    def convolution(*, with_state: bool) -> None:
        width = 2 * text.linear_num_key_heads * text.linear_key_head_dim
        width += text.linear_num_value_heads * text.linear_value_head_dim
        taps = text.linear_conv_kernel_dim
        bounds = torch.empty(SEQUENCES + 1, dtype=torch.int32, device="meta")
        given = {"x": empty(TOKENS, width), "weight": empty(width, taps)}
        if with_state:
            state = empty(SEQUENCES, width, taps - 1)
            given |= {"bias": empty(width), "initial_state": state}

        def convolve(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            named = dict(zip(given, tensors, strict=True))
            return causal_conv1d_triton(**named, cu_seqlens=bounds, activation="silu")

        differentiate(convolve, *given.values())

    def delta_rule(*, with_gradient: bool) -> None:
        keys = (TOKENS, text.linear_num_key_heads, text.linear_key_head_dim)
        heads, depth = text.linear_num_value_heads, text.linear_value_head_dim
        bounds = torch.empty(SEQUENCES + 1, dtype=torch.int32, device="meta")
        decay = torch.empty(TOKENS, heads, device="meta")
        state = torch.empty(SEQUENCES, heads, keys[2], depth, device="meta")
        given = (empty(*keys), empty(*keys), empty(TOKENS, heads, depth), decay)
        given += (empty(TOKENS, heads), state)

        def remember(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            *tokens, initial = tensors
            return gated_delta_rule_triton(*tokens, cu_seqlens=bounds, initial_state=initial)

        if with_gradient:
            differentiate(remember, *given)
        else:
            gated_delta_rule_triton(*given[:5], cu_seqlens=bounds)

    def scan() -> None:
        # A Mamba-2 layer of this width: what its paper and its published sizes have.
        heads = 2 * text.hidden_size // 64
        bounds = torch.empty(SEQUENCES + 1, dtype=torch.int32, device="meta")
        rates, bias, bypass = (torch.empty(heads, device="meta") for _ in range(3))
        given = {"x": empty(TOKENS, heads, 64), "dt": empty(TOKENS, heads), "A": rates}
        given |= {"B": empty(TOKENS, 1, 128), "C": empty(TOKENS, 1, 128), "D": bypass}
        given |= {"z": empty(TOKENS, heads, 64), "dt_bias": bias}
        given["initial_state"] = torch.empty(SEQUENCES, heads, 128, 64, device="meta")

        def remember(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            named = dict(zip(given, tensors, strict=True))
            return selective_scan_triton(**named, cu_seqlens=bounds, dt_softplus=True)

        differentiate(remember, *given.values())

    def activation() -> None:
        shape = (TOKENS, text.intermediate_size)
        differentiate(swiglu_triton, empty(*shape), empty(*shape))

    def turn(heads: int, width: int, turned: int, *, angles: torch.dtype) -> None:
        cos, sin = (torch.empty(TOKENS, turned, dtype=angles, device="meta") for _ in range(2))

        def rotate(x: Tensor) -> Tensor:
            return rotary_triton(x, cos, sin)

        differentiate(rotate, empty(TOKENS, heads, width))

    text_head = (text.num_attention_heads, text.head_dim, text.rotary_dim)
    vision_head = (vision.num_heads, vision.head_dim, vision.head_dim)
    return {
        "rms_norm of the width": lambda: norm(TOKENS, text.hidden_size),
        "rms_norm of a head": lambda: norm(TOKENS, text.num_attention_heads, text.head_dim),
        "gated_rms_norm": gated,
        "causal_conv1d": lambda: convolution(with_state=False),
        "causal_conv1d with bias and state": lambda: convolution(with_state=True),
        "gated_delta_rule": lambda: delta_rule(with_gradient=False),
        "gated_delta_rule with gradients": lambda: delta_rule(with_gradient=True),
        "selective_scan": scan,
        "swiglu": activation,
        "rotary of queries": lambda: turn(*text_head, angles=dtype),
        "rotary of keys": lambda: turn(text.num_key_value_heads, *text_head[1:], angles=dtype),
        "rotary of the vision tower": lambda: turn(*vision_head, angles=torch.float32),
    }


def collect(presets: list[str]) -> dict[Launch, list[str]]:
    """Return every specialisation that the presets need, with who needs it."""
    found: dict[Launch, list[str]] = {}
    for preset in presets:
        for dtype in (torch.bfloat16, torch.float32):
            for name, call in calls(preset, dtype).items():
                launches: list[Launch] = []
                with catching(launches):
                    call()
                if not launches:
                    raise RuntimeError(f"{name} launched nothing")
                for launch in launches:
                    user = f"{name}, {str(dtype).removeprefix('torch.')}, {preset}"
                    found.setdefault(launch, []).append(user)
    return found


def tool(name: str, *arguments: str) -> str:
    """Run a program of triton's wheel."""
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return subprocess.run(
        [str(path), *arguments], capture_output=True, text=True, check=True
    ).stdout


def meant_for_tensor_cores(ttir: str) -> int:
    """Count the matrix products of a kernel, except exact ones of float32 matrices."""
    lines = [line for line in ttir.splitlines() if re.search(r"= tt\.dot\b", line)]
    return sum("inputPrecision = " in line or "xf32> * tensor" not in line for line in lines)


def measure(launch: Launch, capability: int, used_by: list[str]) -> Usage:
    """Compile and count."""
    compiled = launch.compile(capability)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        report = tool("cuobjdump", "-res-usage", file.name)
        code = tool("nvdisasm", "-c", file.name)
    counts = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", report))
    instructions = re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)", code, re.M)
    return Usage(
        kernel=launch.kernel.__name__,
        target=f"sm_{capability}",
        pointers=" ".join(kind[1:] for _, kind in launch.signature if kind.startswith("*")),
        constants={name: str(value) for name, value in launch.constants},
        options=dict(launch.options),
        registers=int(counts["REG"]),
        spilled_bytes=int(counts["STACK"]) + int(counts["LOCAL"]),
        shared_bytes=int(compiled.metadata.shared),
        tensor_columns=int(compiled.metadata.tmem_size or 0),
        instructions=sum(name != "NOP" for name in instructions),
        fused=sum(name.startswith("FFMA") for name in instructions),
        products=meant_for_tensor_cores(compiled.asm["ttir"]),
        tensor_instructions=sum(TENSOR_CORE.match(name) is not None for name in instructions),
        used_by=tuple(used_by),
    )


def main() -> int:
    """Compile, print, write and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--preset", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--target", nargs="+", default=list(TARGETS), type=int, metavar="SM")
    parser.add_argument("--out", type=Path, help="where the report goes as JSON")
    arguments = parser.parse_args()
    if triton.knobs.runtime.interpret:
        parser.error("TRITON_INTERPRET is set: the interpreter has no kernels to compile")
    usages = [
        measure(launch, capability, used_by)
        for launch, used_by in collect(arguments.preset).items()
        for capability in arguments.target
    ]
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
