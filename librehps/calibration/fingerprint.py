"""What makes the scores of a checkpoint, as one short text."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from librehps.errors import CheckpointError

__all__ = ["fingerprint"]

# What decides a score. A model card or a calibration beside it changes none.
_NAMES = ("config.json", "tokenizer.json", "preprocessor_config.json")
_WEIGHTS = "*.safetensors"


def fingerprint(folder: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a checkpoint's weights and settings.

    Every byte is read: some seconds for each 10 GB.

    Args:
        folder: A checkpoint folder.

    Returns:
        ``"sha256:"`` and 64 hexadecimal digits; the same wherever the folder lies.

    Raises:
        CheckpointError: No weights in the folder (code ``ckpt_missing``).
    """
    place = Path(folder)
    weights = sorted(place.glob(_WEIGHTS))
    if not weights:
        raise CheckpointError(
            "has no *.safetensors, so it is no checkpoint", code="ckpt_missing", item=str(place)
        )
    settings = [place / name for name in _NAMES if (place / name).is_file()]
    whole = hashlib.sha256()
    for path in [*settings, *weights]:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.name} {digest}\n".encode())
    return f"sha256:{whole.hexdigest()}"
