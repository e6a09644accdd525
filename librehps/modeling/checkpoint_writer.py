"""Writing a checkpoint folder: all of it or none of it, one tensor in memory at a time."""

from __future__ import annotations

import ctypes
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from librehps.errors import CheckpointError
from librehps.modeling.checkpoint import DTYPES, INDEX_NAME, SINGLE_NAME
from librehps.typing import Tensor

__all__ = ["write_checkpoint"]

_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_WEIGHT_FILE = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def write_checkpoint(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    config: Mapping[str, Any],
    extra_files: Mapping[str, str] | None = None,
    max_shard_bytes: int = 5_000_000_000,
    materialize: Callable[[str], Tensor] | None = None,
) -> None:
    """Write a checkpoint folder, or leave everything as it was.

    The folder is made under another name beside its place, flushed to the disk, and then put in
    its place in one step; an older checkpoint that stood there is exchanged for it and removed.

    Args:
        folder: Where; a new name, an empty folder, or a checkpoint that is replaced.
        tensors: Weights by name. Those on the ``meta`` device are made when their turn comes.
        config: Content of ``config.json``.
        extra_files: Text of further files by name: tokenizer, model card.
        max_shard_bytes: Start another file when the next tensor would make one larger than this.
        materialize: Makes a ``meta`` tensor's values, by name, with its shape and dtype.

    Raises:
        CheckpointError: The folder holds something that is no part of a checkpoint (code
            ``ckpt_would_overwrite``), a weight is not finite (``weight_not_finite``) or of a dtype
            that no reader takes (``ckpt_dtype``).
        OSError: The disk is full or not writable.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPE_NAMES:
            raise CheckpointError(
                f"is {tensor.dtype}; weights may be {', '.join(DTYPES)}",
                code="ckpt_dtype",
                item=name,
            )
    texts = dict(extra_files or {}) | {"config.json": json.dumps(dict(config), indent=2) + "\n"}
    folder = folder.resolve()
    _check_replaceable(folder, names=set(texts))
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    staging.mkdir()
    try:
        shards = _assign(tensors, max_shard_bytes=max_shard_bytes)
        for shard, names in shards.items():
            with (staging / shard).open("wb") as file:
                _write_shard(file, {name: tensors[name] for name in names}, materialize)
                _flush(file)
        if list(shards) != [SINGLE_NAME]:
            total = sum(tensor.nbytes for tensor in tensors.values())
            places = {name: shard for shard, names in shards.items() for name in names}
            index = {"metadata": {"total_size": total}, "weight_map": places}
            texts[INDEX_NAME] = json.dumps(index, indent=2) + "\n"
        for name, text in texts.items():
            with (staging / name).open("wb") as file:
                file.write(text.encode())
                _flush(file)
        _flush_folder(staging)
        _put_in_place(staging, folder)
        _flush_folder(folder.parent)
    finally:
        # What stands here now is the half-written folder, or the old one after the exchange.
        shutil.rmtree(staging, ignore_errors=True)


def _check_replaceable(folder: Path, *, names: set[str]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CheckpointError("is a file", code="ckpt_would_overwrite", item=str(folder))
    present = {path.name for path in folder.iterdir()}
    strangers = sorted(
        name for name in present if name not in names and not _WEIGHT_FILE.fullmatch(name)
    )
    if strangers or (present and "config.json" not in present):
        what = f"holds {', '.join(strangers[:5])}" if strangers else "has no config.json"
        raise CheckpointError(
            f"{what}: saving here would remove what is not part of this checkpoint; "
            "choose another folder, or move it away",
            code="ckpt_would_overwrite",
            item=str(folder),
        )


def _assign(tensors: Mapping[str, Tensor], *, max_shard_bytes: int) -> dict[str, list[str]]:
    """Return the tensor names of each file, in the order of ``tensors``."""
    groups: list[list[str]] = [[]]
    size = 0
    for name, tensor in tensors.items():
        if groups[-1] and size + tensor.nbytes > max_shard_bytes:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += tensor.nbytes
    if len(groups) == 1:
        return {SINGLE_NAME: groups[0]}
    count = len(groups)
    return {f"model-{i:05d}-of-{count:05d}.safetensors": g for i, g in enumerate(groups, 1)}


def _write_shard(
    file: BinaryIO,
    tensors: Mapping[str, Tensor],
    materialize: Callable[[str], Tensor] | None,
) -> None:
    # Wide formats first: every tensor then starts at a multiple of its own item size.
    order = sorted(tensors, key=lambda name: -tensors[name].element_size())
    # transformers refuses a file that does not say which framework wrote it.
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    raw = json.dumps(header, separators=(",", ":")).encode()
    # The format asks for a multiple of 8. With 64 the tensors of a mapped file start where those
    # in torch's own memory do, as long as their sizes are multiples of that.
    raw += b" " * (-(8 + len(raw)) % 64)
    file.write(len(raw).to_bytes(8, "little") + raw)
    for name in order:
        tensor = tensors[name]
        if tensor.is_meta and materialize is not None:
            made = materialize(name)
            if made.shape != tensor.shape or made.dtype != tensor.dtype:
                raise ValueError(
                    f"{name}: made {tuple(made.shape)} {made.dtype}, "
                    f"wanted {tuple(tensor.shape)} {tensor.dtype}"
                )
            tensor = made
        flat = tensor.detach().reshape(-1)
        if flat.numel() and not bool(torch.stack(torch.aminmax(flat)).isfinite().all()):
            raise CheckpointError(
                "holds a NaN or an infinity and is not saved", code="weight_not_finite", item=name
            )
        # torch's arrays are buffers, which numpy's type stubs do not say.
        file.write(memoryview(cast("Any", flat.cpu().view(torch.uint8).numpy())))


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # Elsewhere a folder cannot be opened, and needs no flush.
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(staging: Path, folder: Path) -> None:
    """Rename ``staging`` to ``folder``; an old folder ends up as ``staging``."""
    if not folder.exists():
        staging.rename(folder)
        return
    if _exchange(staging, folder):
        return
    # Without an atomic exchange there is a moment without a folder, but never without a copy.
    aside = staging.with_suffix(".old")
    folder.rename(aside)
    try:
        staging.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    aside.rename(staging)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step; False where the system or its file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = (os.fsencode(first), os.fsencode(second))
    return rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0
