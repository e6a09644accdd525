"""Every triton kernel compiles ahead of time for the GPUs it is meant for, and fits there.

In processes of their own: in this one triton interprets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from librehps.kernels.backend import TRITON_OPS
from librehps.modeling.presets import PRESETS

ROOT = Path(__file__).resolve().parent.parent.parent


def python(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment | {"TRITON_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


# Hundreds of kernels at a few seconds each on a busy machine.
@pytest.mark.timeout(1200)
# A change that is free at one size may spill at another; the published one, in the dtypes that it
# is trained and checked in, is looked at each time.
@pytest.mark.parametrize(
    ("preset", "dtypes"),
    [
        ("4b", ("bfloat16", "float32")),
        pytest.param("4b", ("float16",), marks=pytest.mark.slow),
        *(
            pytest.param(name, ("bfloat16", "float32", "float16"), marks=pytest.mark.slow)
            for name in PRESETS
            if name != "4b"
        ),
    ],
)
def test_the_kernels_compile_and_fit(preset: str, dtypes: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "compiled.json"
    done = python(
        *("-m", "benchmarks.ops.compile_kernels", "--preset", preset, "--dtype", *dtypes),
        *("--out", str(out)),
        cache=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    kernels = json.loads(out.read_text())["kernels"]
    wanted = {
        (op, way, target)
        for op in TRITON_OPS
        for way in ("fwd", "bwd")
        for target in ("sm_90", "sm_100")
    }
    # A kernel is used by calls, which begin with the name of their op.
    found = {
        (use.replace(",", " ").split()[0], kernel["kernel"].split("_")[-2], kernel["target"])
        for kernel in kernels
        for use in kernel["used_by"]
    }
    assert wanted <= found
    assert all(kernel["spilled_bytes"] == 0 for kernel in kernels)
    assert all(0 < kernel["registers"] <= 255 for kernel in kernels)
    assert all(kernel["shared_bytes"] <= 232_448 for kernel in kernels)
    assert all(kernel["instructions"] > 16 for kernel in kernels)
    # The products of the delta rule are for tensor cores, except exact ones.
    rules = [kernel for kernel in kernels if kernel["kernel"].startswith("_gated_delta_rule")]
    exact = {kernel["pointers"].startswith("fp32") for kernel in rules if not kernel["products"]}
    assert exact == ({True} if "float32" in dtypes else set())
    assert all(kernel["tensor_instructions"] > 0 for kernel in rules if kernel["products"])
    # A product that is not rounded before the sum would not be what the definition of rotary says.
    turns = [kernel for kernel in kernels if kernel["kernel"] == "_rotary_fwd_kernel"]
    assert {kernel["fused"] for kernel in turns} == {0}


def test_the_gates_can_be_red(tmp_path: Path) -> None:
    code = """
from dataclasses import replace
from benchmarks.ops.compile_kernels import (
    MAX_SHARED, MAX_TENSOR_COLUMNS, TENSOR_CORE, Usage, meant_for_tensor_cores
)
good = Usage(kernel="k", target="sm_90", pointers="", constants={}, options={}, registers=32,
             spilled_bytes=0, shared_bytes=MAX_SHARED, tensor_columns=MAX_TENSOR_COLUMNS,
             instructions=200, fused=0, products=3, tensor_instructions=5, used_by=())
assert good.faults() == []
assert "spills 8" in replace(good, spilled_bytes=8).faults()[0]
assert "shared memory" in replace(good, shared_bytes=MAX_SHARED + 1).faults()[0]
assert "instructions only" in replace(good, instructions=3).faults()[0]
assert "513 columns" in replace(good, tensor_columns=513).faults()[0]
assert "none on tensor cores" in replace(good, tensor_instructions=0).faults()[0]
assert replace(good, products=0, tensor_instructions=0).faults() == []
wide, half = "tensor<16x16xf32> * tensor<16x16xf32>", "tensor<16x16xbf16> * tensor<16x16xbf16>"
lines = [f"%1 = tt.dot %2, %3, %4 : {wide} -> tensor<16x16xf32>",
         f"%1 = tt.dot %2, %3, %4, inputPrecision = tf32 : {wide} -> tensor<16x16xf32>",
         f"%1 = tt.dot %2, %3, %4 : {half} -> tensor<16x16xf32>", "%1 = tt.dot_scaled %2"]
assert meant_for_tensor_cores("\\n".join(lines)) == 2
assert all(TENSOR_CORE.match(name) for name in ("HMMA", "HGMMA", "UTCHMMA"))
assert not TENSOR_CORE.match("FFMA")
"""
    done = python("-c", code, cache=tmp_path)
    assert done.returncode == 0, done.stderr


def test_code_that_is_read_at_once_is_what_is_read_alone(tmp_path: Path) -> None:
    code = """
import re
from pathlib import Path
from benchmarks.ops import machine_code
from benchmarks.ops.compile_kernels import Compiled, collect
from benchmarks.ops.machine_code import code_of, instructions_of, tool

kept, both, alone = Path("CUBIN"), [], []
for launch in list(collect(["nano"]))[:2]:
    cubin = Compiled.of(launch, 90).cubin
    both.append(code_of(cubin))
    kept.write_bytes(cubin)
    text = tool("nvdisasm", "-c", str(kept))
    lines = re.findall(r"/\\*[0-9a-f]{4}\\*/ +(?:@\\S+ +)?([A-Z]\\w*)", text)
    assert "EXIT" in lines
    alone.append(lines)
assert instructions_of(both, 90) == alone
assert instructions_of([], 90) == []
machine_code.tool = lambda *_: "        /*0000*/                   NOP ;"
for read in (lambda: code_of(b"text"), lambda: instructions_of(both, 90)):
    try:
        read()
    except (ValueError, RuntimeError) as error:
        print(error)
""".replace("CUBIN", str(tmp_path / "kernel.cubin"))
    done = python("-c", code, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    refused = done.stdout.splitlines()
    assert refused[0] == "not an ELF file of 64 bits"
    assert refused[1].startswith("1 instructions were read in")
