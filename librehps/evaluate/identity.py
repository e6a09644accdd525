"""What decides a score besides the picture and the prompt: weights, settings, and the version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ScorerIdentity", "item_key"]


@dataclass(frozen=True)
class ScorerIdentity:
    """Whose scores they are: two scorers with the same identity may share them.

    Args:
        model: Fingerprint of the checkpoint; see :func:`~librehps.calibration.fingerprint`.
        settings: Whatever else changes a score, such as the dtype, by name.
    """

    model: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, as 64 hexadecimal digits."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, object]:
        """Return ``{"model", "settings"}``."""
        return {"model": self.model, "settings": dict(sorted(self.settings.items()))}


def item_key(digest: str, prompt: str) -> str:
    """Return what names a picture with its prompt, as 64 hexadecimal digits."""
    text = hashlib.sha256(prompt.encode()).hexdigest()
    return hashlib.sha256(f"{digest} {text}".encode()).hexdigest()
