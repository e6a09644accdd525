"""Score generated pictures the way people would: ``from librehps import LibreHPS``.

Importing the package is light: torch, and everything that stands on it, is loaded when a name that
needs it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from librehps.errors import (
        BackendError,
        CheckpointError,
        ConfigError,
        InputError,
        LibreHPSError,
    )
    from librehps.results import AxisScore, Comparison, RankedImage, Ranking, Score
    from librehps.scorer import LibreHPS

__version__ = "0.1.0"

__all__ = [
    "LibreHPS",
    "Score",
    "AxisScore",
    "Comparison",
    "Ranking",
    "RankedImage",
    "LibreHPSError",
    "InputError",
    "ConfigError",
    "CheckpointError",
    "BackendError",
    "__version__",
]

_MODULE_OF = {
    "LibreHPS": "librehps.scorer",
    "Score": "librehps.results",
    "AxisScore": "librehps.results",
    "Comparison": "librehps.results",
    "Ranking": "librehps.results",
    "RankedImage": "librehps.results",
    "LibreHPSError": "librehps.errors",
    "InputError": "librehps.errors",
    "ConfigError": "librehps.errors",
    "CheckpointError": "librehps.errors",
    "BackendError": "librehps.errors",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
