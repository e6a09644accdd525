"""Which implementation of an op runs: one explicit choice with its reason, no silent fallback."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch

from librehps.errors import BackendError, ConfigError
from librehps.kernels.flash_packages import FLASH_PACKAGES

__all__ = [
    "AttnImpl",
    "Choice",
    "KernelImpl",
    "TRITON_OPS",
    "choose_attention",
    "choose_kernels",
    "warn_of_fallback",
]

KernelImpl = Literal["auto", "triton", "torch"]
# Ops with a file `triton_<op>.py`: all but attention, which has packages.
TRITON_OPS = (
    "add_rms_norm",
    "causal_conv1d",
    "gated_delta_rule",
    "gated_rms_norm",
    "rms_norm",
    "rotary",
    "selective_scan",
    "swiglu",
)
AttnImpl = Literal["auto", "fa4", "fa2", "sdpa", "eager"]


@dataclass(frozen=True)
class Choice:
    """An implementation and why it was taken.

    Args:
        name: What runs, such as ``"torch"`` or ``"sdpa"``; never ``"auto"``.
        reason: One clause for people, shown by ``librehps doctor``.
        is_fallback: Whether ``"auto"`` would have taken another one, were its package there.
    """

    name: str
    reason: str
    is_fallback: bool = False


def choose_kernels(
    requested: str,
    device: torch.device,
    *,
    op: str | None = None,
    dtype: torch.dtype | None = None,
    unfit: str | None = None,
) -> Choice:
    """Resolve ``kernel_impl`` for a device.

    ``"auto"`` is torch. ``"triton"`` means that and nothing else, for every op that has kernels of
    its own. On a CPU triton runs only in its own interpreter (``TRITON_INTERPRET=1``), which is for
    looking at small models: it is slow, and has no bfloat16.

    Args:
        requested: ``"auto"``, ``"triton"`` or ``"torch"``.
        device: Where the tensors are.
        op: Name of the op, such as ``"rms_norm"``; ``None`` for a whole model.
        dtype: Of the tensors, where that is known.
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
    missing = _missing_for_triton(device, op=op, dtype=dtype)
    if unfit is not None:
        missing.append(unfit)
    if missing:
        raise BackendError(
            f"kernel_impl='triton' cannot run here: {'; '.join(missing)}. Use "
            "kernel_impl='auto' or 'torch'",
            code="kernel_unavailable",
        )
    return Choice("triton", "asked for by name")


def _missing_for_triton(
    device: torch.device, *, op: str | None, dtype: torch.dtype | None
) -> list[str]:
    missing: list[str] = []
    # Read where triton reads it.
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if device.type != "cuda" and not interpreted:
        missing.append(f"it needs a CUDA device, and the device is {device.type}")
    if interpreted and dtype == torch.bfloat16:
        # It takes the bits for whole numbers, and says nothing.
        missing.append("its interpreter (TRITON_INTERPRET=1) computes wrongly in bfloat16")
    if not _triton_is_installed():
        missing.append("the package triton is not installed")
    if op is not None and op not in TRITON_OPS:
        missing.append(f"no triton kernel in this release for: {op}")
    return missing


@cache
def _triton_is_installed() -> bool:
    """Asked by every op of every layer, and slow to answer where the package is absent."""
    return find_spec("triton") is not None


def choose_attention(
    requested: str,
    device: torch.device,
    *,
    dtype: torch.dtype | None = None,
    widths: tuple[int, int] | None = None,
) -> Choice:
    """Resolve ``attn_impl`` for a device.

    ``"auto"`` is the first of these that works here: ``fa4`` on Hopper and Blackwell, ``fa2`` on
    Ampere and newer, ``sdpa``.

    Args:
        requested: ``"auto"``, ``"fa4"``, ``"fa2"``, ``"sdpa"`` or ``"eager"``.
        device: Where the tensors are.
        dtype: Of the tensors, where that is known.
        widths: Of a key and of a value, where they are known.

    Raises:
        BackendError: ``"fa4"`` or ``"fa2"`` was asked for and cannot run (code
            ``attention_unavailable``); the message lists what is missing here.
        ConfigError: No implementation has that name (code ``attention_unknown``).
    """
    if requested in ("sdpa", "eager"):
        return Choice(requested, "asked for by name")
    if requested == "auto":
        return _fastest_attention(device, dtype=dtype, widths=widths)
    if requested not in FLASH_PACKAGES:
        raise ConfigError(
            f"no attention implementation is called {requested!r}; known: auto, fa4, fa2, sdpa, "
            "eager",
            code="attention_unknown",
        )
    missing = FLASH_PACKAGES[requested].missing(device, dtype=dtype, widths=widths)
    if missing:
        raise BackendError(
            f"attn_impl={requested!r} cannot run here: {'; '.join(missing)}. "
            "Use attn_impl='auto', 'sdpa' or 'eager'",
            code="attention_unavailable",
        )
    return Choice(requested, "asked for by name")


def _fastest_attention(
    device: torch.device, *, dtype: torch.dtype | None, widths: tuple[int, int] | None
) -> Choice:
    if device.type != "cuda":
        return Choice("sdpa", f"the fastest on a device of type {device.type}")
    major, minor = torch.cuda.get_device_capability(device)
    passed: list[str] = []
    is_fallback = False
    for name, package in FLASH_PACKAGES.items():
        if major not in package.majors:
            continue
        missing = package.unfit(device, dtype=dtype, widths=widths)
        if not missing:
            absent = package.absent()
            if absent is None:
                break
            missing, is_fallback = [absent], True
        passed.append(f"not {name}: {', '.join(missing)}")
    else:
        name = "sdpa"
    reason = "; ".join([*passed, f"the fastest of what is left on sm_{major}{minor}"])
    return Choice(name, reason, is_fallback=is_fallback)


def warn_of_fallback(choice: Choice) -> None:
    """Warn where ``"auto"`` runs a slower attention for want of a package; once for each reason.

    Args:
        choice: What `choose_attention` gave.
    """
    if choice.is_fallback:
        _warn(f"attn_impl='auto' runs {choice.name}: {choice.reason}")


@cache
def _warn(sentence: str) -> None:
    """Asked by every layer, and said once, whatever the filters of the process are."""
    warnings.warn(sentence, UserWarning, stacklevel=4)
