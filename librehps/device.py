"""Which device to run on, and in which number format: what ``"auto"`` means.

bfloat16 halves the memory, but on a processor without instructions for it every product is emulated
and slower than float32; so ``"auto"`` asks the hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from librehps.errors import BackendError, ConfigError

DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}
# Instructions that multiply bfloat16 matrices: x86 (AVX-512, AMX) and, as Linux calls it, Arm's.
BF16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Bf16Support:
    """Whether a device multiplies bfloat16 natively, and how we know.

    Args:
        native: True when it does.
        reason: What was found, in words.
    """

    native: bool
    reason: str


def choose_device(requested: str | torch.device = "auto") -> torch.device:
    """Return the device to run on; ``"auto"`` is the first CUDA device, or the CPU.

    Args:
        requested: ``"auto"``, a name that torch knows (``"cpu"``, ``"cuda:1"``), or a device.

    Raises:
        ConfigError: Not a device name (code ``device_unknown``).
        BackendError: A device that is not here (code ``device_unavailable``).
    """
    if requested == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(requested)
    except RuntimeError as error:
        raise ConfigError(
            f"{requested!r} is no device; use 'auto', 'cpu', 'cuda' or 'cuda:1'",
            code="device_unknown",
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BackendError(
            f"{str(device)!r} was asked for, but torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices here",
            code="device_unavailable",
        )
    if device.type not in ("cpu", "cuda"):
        try:
            # The names of devices that a build does not have are known to torch all the same, and
            # on "meta" there is memory for shapes only.
            torch.zeros(1, device=device).cpu()
        except (RuntimeError, AssertionError, ImportError) as error:
            raise BackendError(
                f"{str(device)!r} was asked for, but torch {torch.__version__} cannot compute "
                "there; use 'auto', 'cpu' or 'cuda'",
                code="device_unavailable",
            ) from error
    return device


def choose_dtype(requested: str | torch.dtype, device: torch.device) -> torch.dtype:
    """Return the number format of the weights; ``"auto"`` is bfloat16 where that is native.

    Args:
        requested: ``"auto"``, a name in ``DTYPES``, or one of its dtypes or float64.
        device: Where the model will run.

    Raises:
        ConfigError: Not a floating format that is known (code ``dtype_unknown``).
    """
    if isinstance(requested, torch.dtype):
        if requested not in (*DTYPES.values(), torch.float64):
            raise ConfigError(f"weights cannot be {requested}", code="dtype_unknown")
        return requested
    if requested == "auto":
        return torch.bfloat16 if bf16_support(device).native else torch.float32
    if requested not in DTYPES:
        known = ", ".join(["auto", *DTYPES])
        raise ConfigError(f"no dtype is called {requested!r}; known: {known}", code="dtype_unknown")
    return DTYPES[requested]


def bf16_support(
    device: torch.device, *, read_cpuinfo: Callable[[], str] | None = None
) -> Bf16Support:
    """Say whether ``device`` multiplies bfloat16 natively.

    A CPU needs both the instructions and a torch that was built with oneDNN, which uses them. Where
    the operating system does not list the instructions (anything but Linux) the answer is no.

    Args:
        device: The device in question.
        read_cpuinfo: Returns the text of ``/proc/cpuinfo``; for tests.
    """
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        found = f"compute capability {major}.{minor}, native from 8.0"
        return Bf16Support(native=major >= 8, reason=found)
    if device.type != "cpu":
        return Bf16Support(native=False, reason=f"not known for {device.type} devices")
    if not torch.backends.mkldnn.is_available():
        return Bf16Support(native=False, reason="this torch has no oneDNN")
    try:
        text = CPUINFO.read_text("utf-8", "replace") if read_cpuinfo is None else read_cpuinfo()
    except OSError:
        return Bf16Support(native=False, reason=f"no {CPUINFO} to read the instruction sets from")
    flags = cpu_flags(text)
    found = [flag for flag in BF16_FLAGS if flag in flags]
    if found:
        return Bf16Support(native=True, reason=f"the processor has {', '.join(found)}")
    return Bf16Support(native=False, reason=f"the processor has none of {', '.join(BF16_FLAGS)}")


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """Return the instruction sets that every core listed in ``/proc/cpuinfo`` has.

    Args:
        cpuinfo: Its text, with lines ``flags : …`` (x86) or ``Features : …`` (Arm), one per core.
    """
    cores = [
        frozenset(value.split())
        for line in cpuinfo.splitlines()
        for name, _, value in [line.partition(":")]
        if name.strip().lower() in {"flags", "features"}
    ]
    return frozenset.intersection(*cores) if cores else frozenset()
