"""Which implementation of an op runs: one explicit choice with its reason, no silent fallback."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch

from librehps.errors import BackendError, ConfigError

__all__ = [
    "AttnImpl",
    "Choice",
    "KernelImpl",
    "TORCH_OPS",
    "TRITON_OPS",
    "choose_attention",
    "choose_kernels",
]

KernelImpl = Literal["auto", "triton", "torch"]
# Ops with and without a file `triton_<op>.py`.
TRITON_OPS = ("causal_conv1d", "gated_rms_norm", "rms_norm", "rotary", "swiglu")
TORCH_OPS = ("gated_delta_rule", "selective_scan")
AttnImpl = Literal["auto", "fa4", "fa2", "sdpa", "eager"]

# What each optional attention needs: the package, the module it installs, the device capabilities.
_FLASH = {
    "fa4": ("flash-attn-4", "flash_attn.cute", ((10, 0),), "Blackwell (sm_100)"),
    "fa2": ("flash-attn", "flash_attn", ((8, 0),), "Ampere or newer (sm_80)"),
}


@dataclass(frozen=True)
class Choice:
    """An implementation and why it was taken.

    Args:
        name: What runs, such as ``"torch"`` or ``"sdpa"``; never ``"auto"``.
        reason: One clause for people, shown by ``librehps doctor``.
    """

    name: str
    reason: str


def choose_kernels(
    requested: str, device: torch.device, *, op: str | None = None, unfit: str | None = None
) -> Choice:
    """Resolve ``kernel_impl`` for a device.

    ``"auto"`` is torch. ``"triton"`` means that and nothing else, so a whole model cannot have it
    while an op of it has no triton kernel. On a CPU triton runs only in its own interpreter
    (``TRITON_INTERPRET=1``).

    Args:
        requested: ``"auto"``, ``"triton"`` or ``"torch"``.
        device: Where the tensors are.
        op: Name of the op, such as ``"rms_norm"``; ``None`` for a whole model.
        unfit: Why the triton kernel of the op cannot take these arguments, if it cannot.

    Raises:
        BackendError: ``"triton"`` was asked for and cannot run (code ``kernel_unavailable``); the
            message lists what is missing.
        ConfigError: No implementation has that name (code ``kernel_unknown``).
    """
    if requested == "torch":
        return Choice("torch", "asked for by name")
    if requested == "auto":
        # What is taken unasked must be known to work. When the kernels have run on a GPU, this is
        # triton where the device is one and nothing is missing.
        return Choice("torch", "triton kernels are taken by name until they have run on a GPU")
    if requested != "triton":
        raise ConfigError(
            f"no kernel implementation is called {requested!r}; known: auto, triton, torch",
            code="kernel_unknown",
        )
    missing = _missing_for_triton(device, op=op)
    if unfit is not None:
        missing.append(unfit)
    if missing:
        raise BackendError(
            f"kernel_impl='triton' cannot run here: {'; '.join(missing)}. Use "
            "kernel_impl='auto' or 'torch'",
            code="kernel_unavailable",
        )
    return Choice("triton", "asked for by name")


def _missing_for_triton(device: torch.device, *, op: str | None) -> list[str]:
    missing: list[str] = []
    # Read where triton reads it; nothing but tests runs kernels in the interpreter.
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        missing.append(f"it needs a CUDA device, and the device is {device.type}")
    if not _triton_is_installed():
        missing.append("the package triton is not installed")
    without = TORCH_OPS if op is None else (op,) if op not in TRITON_OPS else ()
    if without:
        missing.append(f"no triton kernel in this release for: {', '.join(without)}")
    return missing


@cache
def _triton_is_installed() -> bool:
    """Asked by every op of every layer, and slow to answer where the package is absent."""
    return find_spec("triton") is not None


def choose_attention(requested: str, device: torch.device) -> Choice:
    """Resolve ``attn_impl`` for a device.

    Args:
        requested: ``"auto"``, ``"fa4"``, ``"fa2"``, ``"sdpa"`` or ``"eager"``.
        device: Where the tensors are.

    Raises:
        BackendError: ``"fa4"`` or ``"fa2"`` was asked for (code ``attention_unavailable``); the
            message lists what is missing here.
        ConfigError: No implementation has that name (code ``attention_unknown``).
    """
    if requested in ("sdpa", "eager"):
        return Choice(requested, "asked for by name")
    if requested == "auto":
        return Choice("sdpa", f"the fastest in this release (device: {device.type})")
    if requested in _FLASH:
        raise BackendError(
            f"attn_impl={requested!r} cannot run here: {'; '.join(_missing(requested, device))}. "
            "Use attn_impl='auto', 'sdpa' or 'eager'",
            code="attention_unavailable",
        )
    raise ConfigError(
        f"no attention implementation is called {requested!r}; known: auto, fa4, fa2, sdpa, eager",
        code="attention_unknown",
    )


def _missing(name: str, device: torch.device) -> list[str]:
    package, module, capabilities, wanted = _FLASH[name]
    missing = ["this release ships sdpa and eager only"]
    parent = module.partition(".")[0]
    if find_spec(parent) is None or (module != parent and find_spec(module) is None):
        missing.append(f"the package {package} is not installed")
    if device.type != "cuda":
        missing.append(f"it needs a CUDA device, {wanted}, and the device is {device.type}")
        return missing
    found = torch.cuda.get_device_capability(device)
    fits = found in capabilities if name == "fa4" else found >= capabilities[0]
    if not fits:
        missing.append(f"it needs {wanted}, and this device is sm_{found[0]}{found[1]}")
    return missing
