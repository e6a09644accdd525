"""Which implementation of an op runs: one explicit choice with its reason, no silent fallback."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import torch

from librehps.errors import BackendError, ConfigError

__all__ = ["AttnImpl", "Choice", "KernelImpl", "choose_attention", "choose_kernels"]

KernelImpl = Literal["auto", "triton", "torch"]
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


def choose_kernels(requested: str, device: torch.device) -> Choice:
    """Resolve ``kernel_impl`` for a device.

    Args:
        requested: ``"auto"``, ``"triton"`` or ``"torch"``.
        device: Where the tensors are.

    Raises:
        BackendError: ``"triton"`` was asked for (code ``kernel_unavailable``): not in this release.
        ConfigError: No implementation has that name (code ``kernel_unknown``).
    """
    if requested == "torch":
        return Choice("torch", "asked for by name")
    if requested == "auto":
        return Choice("torch", f"the only implementation in this release (device: {device.type})")
    if requested == "triton":
        raise BackendError(
            "kernel_impl='triton' was asked for, but this release has torch kernels only; "
            "use kernel_impl='auto' or 'torch'",
            code="kernel_unavailable",
        )
    raise ConfigError(
        f"no kernel implementation is called {requested!r}; known: auto, triton, torch",
        code="kernel_unknown",
    )


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
