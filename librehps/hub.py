"""Where a checkpoint lives: in the package, in a folder, or on the Hugging Face hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from librehps.errors import CheckpointError, ConfigError

# Never pickles, never code: only what a checkpoint folder is made of.
DOWNLOADED = ["*.json", "*.safetensors", "*.md"]
#: The small model that comes with the package.
BUNDLED = Path(__file__).parent / "assets" / "nano"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def find_checkpoint(
    path_or_id: str | os.PathLike[str],
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """Return the folder of a checkpoint, downloading it if it is a Hugging Face id.

    Args:
        path_or_id: A folder, ``"owner/name"``, or ``"nano"`` for the small model in the package. A
            folder that is here wins over an id, not over ``"nano"``: ``"./nano"`` is a folder.
        revision: Branch, tag or commit of an id.
        local_files_only: Take an id from the cache and never use the network.

    Raises:
        CheckpointError: Nothing is there (code ``ckpt_missing``), or the hub does not hand it out
            (``hub_unavailable``).
        ConfigError: A ``revision`` of a local folder or of ``"nano"`` (code
            ``revision_of_folder``).
    """
    # A Path of that name is unequal to it, and a folder: somebody made it of one.
    if path_or_id == "nano":
        path_or_id = BUNDLED
    folder, name = Path(path_or_id), os.fspath(path_or_id)
    # os.path and not pathlib, whose tests raise for names that are too long or in a closed folder.
    if os.path.isdir(name):
        if revision is not None:
            raise ConfigError(
                f"{folder} is a folder here and has no revision {revision!r}",
                code="revision_of_folder",
            )
        return folder
    if os.path.isfile(name):
        raise CheckpointError(
            f"{name} is a file; a checkpoint is the folder that holds config.json",
            code="ckpt_missing",
        )
    if not isinstance(path_or_id, str) or not _HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"there is no folder {_short(name)!r} here, and it is no Hugging Face id (owner/name) "
            "either",
            code="ckpt_missing",
        )
    return _download(name, revision=revision, local_files_only=local_files_only)


def _short(name: str) -> str:
    return name if len(name) <= 200 else f"{name[:197]}..."


def _download(name: str, *, revision: str | None, local_files_only: bool) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        folder = huggingface_hub.snapshot_download(
            name,
            revision=revision,
            local_files_only=local_files_only,
            allow_patterns=DOWNLOADED,
        )
    # OSError covers the disk, and the network in every client library that the hub's has used.
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        at = "" if revision is None else f" at revision {revision!r}"
        what = (
            "was not found in the local cache"
            if local_files_only
            else "could not be fetched from Hugging Face"
        )
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise CheckpointError(
            f"there is no folder {name} here, and {name}{at} {what}: {reason[0]}",
            code="hub_unavailable",
        ) from error
    return Path(folder)
