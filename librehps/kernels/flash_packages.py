"""The two published flash attention packages: what each takes, and whether it can run here.

Neither is a dependency. A package is imported when everything else that it needs is there, and
once; a failed import, as after an update of torch, is a reason like any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from librehps.errors import BackendError

__all__ = ["FLASH_PACKAGES", "FlashPackage"]

_DTYPES = (torch.float16, torch.bfloat16)
_ARGUMENTS = ("cu_seqlens_q", "cu_seqlens_k", "softmax_scale", "causal", "deterministic")


@dataclass(frozen=True)
class FlashPackage:
    """One package with a ``flash_attn_varlen_func``.

    Args:
        name: What ``attn_impl`` calls it: ``"fa2"`` or ``"fa4"``.
        distribution: Name to install; the older package may bring a folder of the name that the
            newer one's module has, so that only this tells them apart.
        module: Where the function is.
        written_for: The version whose signature the adapter follows.
        arguments: Arguments that the function must have, besides the tensors.
        majors: Compute capabilities, first number.
        devices: The same in words.
        widths: Takes the widths of a key and of a value, and the first number of the compute
            capability; returns what it wants, in words, where they do not fit.
    """

    name: str
    distribution: str
    module: str
    written_for: str
    arguments: tuple[str, ...]
    majors: tuple[int, ...]
    devices: str
    widths: Callable[[int, int, int], str | None]

    def unfit(
        self,
        device: torch.device,
        *,
        dtype: torch.dtype | None = None,
        widths: tuple[int, int] | None = None,
    ) -> list[str]:
        """Return what no installation would change: why it does not take these tensors.

        Args:
            device: Where the tensors are.
            dtype: Of the tensors, where that is known.
            widths: Of a key and of a value, where they are known.
        """
        found: list[str] = []
        wanted = f"it needs a CUDA device, {self.devices}"
        if device.type != "cuda":
            found.append(f"{wanted}, and the device is {device.type}")
        else:
            major, minor = torch.cuda.get_device_capability(device)
            if major not in self.majors:
                found.append(f"{wanted}, and this one is sm_{major}{minor}")
            elif widths is not None and (heads := self.widths(*widths, major)) is not None:
                found.append(f"it takes {heads}; keys have {widths[0]}, values {widths[1]}")
        if dtype is not None and dtype not in _DTYPES:
            found.append(f"it takes float16 and bfloat16, not {str(dtype).removeprefix('torch.')}")
        return found

    def absent(self) -> str | None:
        """Return why there is no function to call; imports the package where it is installed."""
        if _version(self.distribution) is None:
            return f"the package {self.distribution} is not installed"
        loaded = _load(self)
        return loaded if isinstance(loaded, str) else None

    def missing(
        self,
        device: torch.device,
        *,
        dtype: torch.dtype | None = None,
        widths: tuple[int, int] | None = None,
    ) -> list[str]:
        """Return everything that keeps it from running; imports it only where it would fit.

        Args:
            device: See `unfit`.
            dtype: See `unfit`.
            widths: See `unfit`.
        """
        found = self.unfit(device, dtype=dtype, widths=widths)
        if not found or _version(self.distribution) is None:
            absent = self.absent()
            found += [] if absent is None else [absent]
        return found

    def function(
        self, device: torch.device, *, dtype: torch.dtype, widths: tuple[int, int]
    ) -> Callable[..., Any]:
        """Return ``flash_attn_varlen_func`` of the package.

        Args:
            device: Where the tensors are.
            dtype: Of the tensors.
            widths: Of a key and of a value.

        Raises:
            BackendError: It cannot run there (code ``attention_unavailable``); the message lists
                what is missing.
        """
        missing = self.missing(device, dtype=dtype, widths=widths)
        if missing:
            raise BackendError(
                f"attn_impl={self.name!r} cannot run here: {'; '.join(missing)}. "
                "Use attn_impl='auto', 'sdpa' or 'eager'",
                code="attention_unavailable",
            )
        loaded = _load(self)
        if isinstance(loaded, str):
            raise AssertionError("a package that is complete did not load")
        return loaded


def _flash_2_widths(key: int, value: int, major: int) -> str | None:
    return None if key == value <= 256 else "heads of at most 256, values as wide as keys"


def _flash_4_widths(key: int, value: int, major: int) -> str | None:
    whole = key % 8 == value % 8 == 0
    if major == 9:
        fits = whole and max(key, value) <= 256
        return None if fits else "heads whose widths are multiples of 8 up to 256"
    fits = whole and (max(key, value) <= 128 or (key, value) in ((192, 128), (256, 256)))
    return None if fits else "heads whose widths are multiples of 8 up to 128, or 256"


@cache
def _version(distribution: str) -> str | None:
    """Asked by every layer, and slow to answer."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


@cache
def _load(package: FlashPackage) -> Callable[..., Any] | str:
    """Return the function, or why there is none."""
    try:
        function = import_module(package.module).flash_attn_varlen_func
    # A package built for another torch fails with errors of many kinds.
    except Exception as error:
        lines = str(error).splitlines() or [""]
        found = f"{type(error).__name__}: {lines[0][:120]}"
        return f"the package {package.distribution} cannot be imported ({found})"
    known = inspect.signature(function).parameters
    unknown = [name for name in package.arguments if name not in known]
    if unknown:
        return (
            f"{package.distribution} {_version(package.distribution)} has no argument "
            f"{', '.join(unknown)}; this release is written for {package.written_for}"
        )
    return function


FLASH_PACKAGES: dict[str, FlashPackage] = {
    "fa4": FlashPackage(
        name="fa4",
        distribution="flash-attn-4",
        module="flash_attn.cute",
        written_for="4.0.0b36",
        arguments=_ARGUMENTS,
        majors=(9, 10, 11),
        devices="Hopper or Blackwell (sm_90, sm_100 to sm_110)",
        widths=_flash_4_widths,
    ),
    "fa2": FlashPackage(
        name="fa2",
        distribution="flash-attn",
        module="flash_attn",
        written_for="2.8.3",
        arguments=(*_ARGUMENTS, "max_seqlen_q", "max_seqlen_k"),
        majors=(8, 9, 10, 11, 12),
        devices="Ampere or newer (sm_80)",
        widths=_flash_2_widths,
    ),
}
"""By the names of ``attn_impl``, the one for newer devices first."""
