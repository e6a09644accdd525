"""What ``librehps doctor`` finds on this machine: versions, devices, and what would run on each."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from librehps import __version__
from librehps.device import bf16_support, choose_device, choose_dtype
from librehps.kernels.backend import choose_attention, choose_kernels

PACKAGES = (
    "torch",
    "numpy",
    "pillow",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "triton",
    "transformers",
    "flash-attn-4",
    "flash-attn",
)
GIBIBYTE = 2**30


@dataclass(frozen=True)
class DeviceFacts:
    """One device and what would run on it.

    Args:
        device: Its name for torch, such as ``"cuda:0"``.
        name: The maker's name.
        capability: CUDA compute capability, such as ``"9.0"``; ``None`` for a CPU.
        memory_bytes: Its memory, or the machine's for the CPU; ``None`` where not known.
        bf16: Whether it multiplies bfloat16 natively.
        bf16_reason: How we know.
        dtype: What ``dtype="auto"`` takes.
        attention: What ``attn_impl="auto"`` takes.
        attention_reason: Why.
        kernels: What ``kernel_impl="auto"`` takes.
        kernels_reason: Why.
    """

    device: str
    name: str
    capability: str | None
    memory_bytes: int | None
    bf16: bool
    bf16_reason: str
    dtype: str
    attention: str
    attention_reason: str
    kernels: str
    kernels_reason: str

    @property
    def memory(self) -> str:
        """The memory in GiB, for people."""
        if self.memory_bytes is None:
            return "not known"
        return f"{self.memory_bytes / GIBIBYTE:.1f} GiB"


def versions() -> dict[str, str | None]:
    """Return the version of each package that matters here; ``None`` for one not installed."""
    found: dict[str, str | None] = {
        "librehps": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def devices() -> list[DeviceFacts]:
    """Return the CPU and every CUDA device."""
    places = [torch.device("cpu")]
    places += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [device_facts(device) for device in places]


def device_facts(device: torch.device) -> DeviceFacts:
    """Describe one device that is here."""
    if device.type == "cuda":
        properties: Any = torch.cuda.get_device_properties(device)
        name = str(properties.name)
        capability = f"{properties.major}.{properties.minor}"
        memory = int(properties.total_memory)
    else:
        name, capability, memory = _processor_name(), None, _machine_memory()
    support = bf16_support(device)
    dtype = choose_dtype("auto", device)
    attention = choose_attention("auto", device, dtype=dtype)
    kernels = choose_kernels("auto", device)
    return DeviceFacts(
        device=str(device),
        name=name,
        capability=capability,
        memory_bytes=memory,
        bf16=support.native,
        bf16_reason=support.reason,
        dtype=str(dtype).removeprefix("torch."),
        attention=attention.name,
        attention_reason=attention.reason,
        kernels=kernels.name,
        kernels_reason=kernels.reason,
    )


def default_device() -> str:
    """Return what ``device="auto"`` takes."""
    return str(choose_device("auto"))


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


def _machine_memory() -> int | None:
    if sys.platform != "linux":
        return None
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    kibibytes = [line.split()[1] for line in lines if line.startswith("MemTotal:")]
    return int(kibibytes[0]) * 1024 if kibibytes else None
