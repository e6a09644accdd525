"""What instructions compiled kernels are made of; asked of ``nvdisasm`` in triton's wheel.

The program takes half a second to start, whatever it is given, and a kernel's instructions a few
milliseconds: the code of all kernels for a device is laid end to end and read at once.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import triton
from triton.backends.nvidia.compiler import sm_arch_from_capability

__all__ = ["code_of", "instructions_of", "tool"]

INSTRUCTION_BYTES = 16
"""Of every instruction since sm_70."""

_LINE = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)", re.MULTILINE)
# Names of sections begin with this where they hold code.
_CODE = b".text."
_HOLDS_BYTES = 1


def tool(name: str, *arguments: str) -> str:
    """Run a program of triton's wheel."""
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return subprocess.run(
        [str(path), *arguments], capture_output=True, text=True, check=True
    ).stdout


def code_of(cubin: bytes) -> bytes:
    """Return the machine code of a compiled kernel, without what is around it.

    Raises:
        ValueError: That is no ELF file of 64 bits, or there is no code in it.
    """
    if cubin[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not an ELF file of 64 bits")
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names = struct.unpack_from("<HHH", cubin, 0x3A)
    # Of each section: name, kind, flags, address, place in the file, length.
    sections = [struct.unpack_from("<IIQQQQ", cubin, table + size * n) for n in range(count)]
    first_name = sections[names][4]
    code = b"".join(
        cubin[place : place + length]
        for name, kind, _, _, place, length in sections
        if kind == _HOLDS_BYTES and cubin.startswith(_CODE, first_name + name)
    )
    if not code:
        raise ValueError("an ELF file without code")
    return code


def instructions_of(codes: Sequence[bytes], capability: int) -> list[list[str]]:
    """Return the names of the instructions of each kernel for sm_<capability>, in order.

    Raises:
        RuntimeError: Not every instruction was read.
    """
    if not codes:
        return []
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(b"".join(codes))
        file.flush()
        device = sm_arch_from_capability(capability).replace("sm_", "SM")
        text = tool("nvdisasm", "--no-dataflow", "--binary", device, file.name)
    lines = _LINE.findall(text)
    ends = list(accumulate((len(code) for code in codes), initial=0))
    if [int(place, 16) for place, _ in lines] != list(range(0, ends[-1], INSTRUCTION_BYTES)):
        raise RuntimeError(f"{len(lines)} instructions were read in {ends[-1]} bytes")
    names = [name for _, name in lines]
    return [
        names[begin // INSTRUCTION_BYTES : end // INSTRUCTION_BYTES]
        for begin, end in pairwise(ends)
    ]
