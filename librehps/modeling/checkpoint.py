"""Reading a checkpoint folder: strict about names and shapes, careful about where files lie.

Only safetensors are read; nothing is ever unpickled. A tensor that keeps its dtype and stays on the
CPU is the file itself, mapped: its pages come from the page cache without a copy, and another
process that loads the same folder shares them. Any other tensor goes through one small buffer into
the memory it is for. Either way the peak is the resident weights and a few megabytes.

While a model that was loaded this way lives, its files must not be rewritten in place. Saving here
never does that: it puts a new folder in the place of the old one, whose files live on while mapped.

References:
    The safetensors format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import re
from io import FileIO
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import Any, cast

import torch

from librehps.errors import CheckpointError
from librehps.modeling.safetensors_header import (
    ITEM_BYTES,
    Place,
    damaged,
    lfs_hint,
    read_header,
    reading,
)
from librehps.typing import Tensor

__all__ = ["INDEX_NAME", "SINGLE_NAME", "CheckpointReader", "inside", "read_json"]

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"

#: Number formats that weights may have; anything else (quantised integers, say) is refused.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_MAX_JSON_BYTES = 64 * 1024 * 1024
# Small enough to stay in a processor's cache between the read, the cast and the check.
_SLICE_BYTES = 4 * 1024 * 1024


def inside(folder: Path, name: str) -> Path:
    """Return the path of a folder's file, after checking that it lies inside the folder.

    A symbolic link that leads out is refused, with one exception: in the Hugging Face hub's cache
    (``snapshots/<revision>/``) files are links into the ``blobs/`` beside it.

    Args:
        folder: The checkpoint folder.
        name: A plain file name.

    Raises:
        CheckpointError: Not a plain name, or it resolves to outside (code ``ckpt_index_outside``).
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise CheckpointError(
            f"{name!r} is not a plain file name; a checkpoint reads nothing outside its folder",
            code="ckpt_index_outside",
            item=str(folder),
        )
    root = folder.resolve()
    path = root / name
    homes = {root}
    if root.parent.name == "snapshots":
        homes.add(root.parent.parent / "blobs")
    target = path.resolve()
    if target.parent not in homes:
        raise CheckpointError(
            f"is a link to {target}, outside the checkpoint folder",
            code="ckpt_index_outside",
            item=str(path),
        )
    return path


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object from a checkpoint folder.

    Raises:
        CheckpointError: The file is missing (code ``ckpt_missing``), or damaged, too large or not
            an object (``ckpt_config``), or outside the folder (``ckpt_index_outside``), or the
            system does not let it be read (``ckpt_unreadable``).
    """
    path = inside(folder, name)
    with reading(path):
        if not path.is_file():
            raise CheckpointError(
                f"there is no {name} in this folder", code="ckpt_missing", item=str(folder)
            )
        size = path.stat().st_size
        if size > _MAX_JSON_BYTES:
            raise CheckpointError(
                f"has {size} bytes; at most {_MAX_JSON_BYTES} are read",
                code="ckpt_config",
                item=str(path),
            )
        raw = path.read_bytes()
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"is not valid JSON ({error}){lfs_hint(raw)}", code="ckpt_config", item=str(path)
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"holds a JSON {type(value).__name__}, not an object",
            code="ckpt_config",
            item=str(path),
        )
    return cast("dict[str, Any]", value)


class CheckpointReader:
    """The tensors of a checkpoint folder, by name.

    Opening it reads the index and the headers of all shards and compares them with the sizes of
    the files; no weight is read before `read_into`.

    Args:
        folder: Holds ``model.safetensors``, or shards and ``model.safetensors.index.json``.

    Raises:
        CheckpointError: No folder or no weights (code ``ckpt_missing``), only pickles
            (``ckpt_pickle``), missing shards (``ckpt_missing_shard``; lists all), a file outside
            the folder (``ckpt_index_outside``), index and shards that disagree
            (``ckpt_index_mismatch``), a damaged index (``ckpt_config``), a shard that is cut off,
            empty or no safetensors file (``ckpt_truncated``), or one that the system does not let
            be read (``ckpt_unreadable``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[str, Place] = {}
        # One for each file, which lives as long as a tensor on it does.
        self._maps: dict[Path, mmap] = {}
        with reading(folder):
            self._open()

    def _open(self) -> None:
        folder = self.folder
        if not folder.is_dir():
            raise CheckpointError(
                "there is no such folder" if not folder.exists() else "is not a folder",
                code="ckpt_missing",
                item=str(folder),
            )
        has_single, has_index = ((folder / name).exists() for name in (SINGLE_NAME, INDEX_NAME))
        if has_single and has_index:
            raise CheckpointError(
                f"holds both {SINGLE_NAME} and {INDEX_NAME}, which may be two different models; "
                "remove one",
                code="ckpt_index_mismatch",
                item=str(folder),
            )
        if has_index:
            self._open_sharded()
        elif has_single or (folder / SINGLE_NAME).is_symlink():
            self._places = read_header(_present(folder, SINGLE_NAME))
        else:
            raise _no_weights(folder)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, in file order: shard by shard, and by place in the shard."""
        return {name: place.shape for name, place in self._places.items()}

    def dtype(self, name: str) -> torch.dtype:
        """Return the dtype in which a tensor is stored.

        Raises:
            CheckpointError: No such tensor (code ``ckpt_missing_tensor``), or stored in a format
                that is not one of ``F64 F32 F16 BF16`` (``ckpt_dtype``).
        """
        place = self._place(name)
        if place.dtype not in DTYPES:
            raise CheckpointError(
                f"is stored as {place.dtype}; weights may be {', '.join(DTYPES)}",
                code="ckpt_dtype",
                item=name,
            )
        return DTYPES[place.dtype]

    def read_into(self, name: str, destination: Tensor) -> None:
        """Read one tensor into memory that is already there, casting to its dtype.

        Works in slices of a few megabytes: read, cast, check that every number is finite.

        Args:
            name: The tensor's name in the file.
            destination: A contiguous tensor of the same shape, of any floating dtype, anywhere.

        Raises:
            CheckpointError: No such tensor (code ``ckpt_missing_tensor``), another shape
                (``ckpt_shape``), a number format that is not allowed (``ckpt_dtype``), a NaN or an
                infinity, or a number too large for the destination's dtype
                (``weight_not_finite``), a file that has shrunk since (``ckpt_truncated``) or cannot
                be read (``ckpt_unreadable``).
        """
        place = self._place(name)
        stored = self.dtype(name)
        if place.shape != tuple(destination.shape):
            raise CheckpointError(
                f"has shape {list(place.shape)} in {place.path.name}; "
                f"config.json asks for {list(destination.shape)}",
                code="ckpt_shape",
                item=name,
            )
        flat = destination.detach().view(-1)
        if flat.numel() == 0:
            return
        step = _SLICE_BYTES // ITEM_BYTES[place.dtype]
        buffer = torch.empty(min(step, flat.numel()), dtype=stored)
        extremes: list[Tensor] = []
        with reading(place.path), place.path.open("rb", buffering=0) as file:
            file.seek(place.start)
            for part in flat.split(step):
                source = buffer[: part.numel()]
                _fill(file, source, place.path)
                part.copy_(source)
                extremes += torch.aminmax(part)
        _check_finite(extremes, name, place, dtype=flat.dtype)

    def load(self, name: str, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
        """Return one tensor: the mapped file where nothing is to be converted, or a copy.

        Writing to a mapped tensor changes the process's own pages, never the file.

        Args:
            name: The tensor's name in the file.
            dtype: Any floating dtype.
            device: Where the tensor goes.

        Raises:
            CheckpointError: As `read_into`.
        """
        place = self._place(name)
        if self.dtype(name) == dtype and torch.device(device).type == "cpu":
            mapped = self._map(place, dtype)
            if mapped is not None:
                _check_finite(list(torch.aminmax(mapped)), name, place, dtype=dtype)
                return mapped
        empty = torch.empty(place.shape, dtype=dtype, device=device)
        self.read_into(name, empty)
        return empty

    def _map(self, place: Place, dtype: torch.dtype) -> Tensor | None:
        """Return a tensor on the file's pages, or None where the system cannot map it."""
        count = math.prod(place.shape)
        if count == 0 or place.start % dtype.itemsize:
            return None
        if place.path not in self._maps:
            try:
                with place.path.open("rb") as file:
                    self._maps[place.path] = mmap(file.fileno(), 0, access=ACCESS_COPY)
            except (OSError, ValueError):
                return None
        pages = self._maps[place.path]
        if place.start + count * dtype.itemsize > len(pages):
            raise damaged(place.path, "became shorter while it was read")
        flat = torch.frombuffer(pages, dtype=dtype, count=count, offset=place.start)
        return flat.view(place.shape)

    def _place(self, name: str) -> Place:
        if name not in self._places:
            raise CheckpointError(
                f"the checkpoint in {self.folder} has no tensor {name!r}",
                code="ckpt_missing_tensor",
                item=name,
            )
        return self._places[name]

    def _open_sharded(self) -> None:
        path = self.folder / INDEX_NAME
        listed = read_json(self.folder, INDEX_NAME).get("weight_map")
        if not isinstance(listed, dict) or not listed:
            raise CheckpointError("has no 'weight_map'", code="ckpt_config", item=str(path))
        weight_map = cast("dict[str, Any]", listed)
        shards: dict[str, set[str]] = {}
        for name, shard in weight_map.items():
            if not isinstance(shard, str) or not shard.endswith(".safetensors"):
                raise CheckpointError(
                    f"{name!r} is said to be in {shard!r}, which is no safetensors file",
                    code="ckpt_index_outside",
                    item=str(path),
                )
            shards.setdefault(shard, set()).add(name)
        paths = {shard: inside(self.folder, shard) for shard in sorted(shards)}
        missing = [shard for shard, path in paths.items() if not path.is_file()]
        if missing:
            raise CheckpointError(
                f"{len(missing)} of {len(paths)} shards are missing: {', '.join(missing)}",
                code="ckpt_missing_shard",
                item=str(self.folder),
            )
        for shard, shard_path in paths.items():
            found = read_header(shard_path)
            differing = sorted(shards[shard] ^ set(found))
            if differing:
                name = differing[0]
                says, but = ("the index", shard) if name in shards[shard] else (shard, "the index")
                raise CheckpointError(
                    f"{says} names {name!r} and {len(differing) - 1} more like it, but {but} does "
                    "not put it there; the files may be of two versions",
                    code="ckpt_index_mismatch",
                    item=str(shard_path),
                )
            self._places |= found


def _present(folder: Path, name: str) -> Path:
    path = inside(folder, name)
    if not path.is_file():
        raise CheckpointError("is no file", code="ckpt_missing", item=str(path))
    return path


def _no_weights(folder: Path) -> CheckpointError:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        return CheckpointError(
            f"holds only pickled weights ({', '.join(pickles[:3])}), which can run any code when "
            "they are opened and are never read here; convert them to safetensors first",
            code="ckpt_pickle",
            item=str(folder),
        )
    return CheckpointError(
        f"holds neither {SINGLE_NAME} nor {INDEX_NAME}", code="ckpt_missing", item=str(folder)
    )


def _check_finite(extremes: list[Tensor], name: str, place: Place, *, dtype: torch.dtype) -> None:
    """Raise unless all numbers are finite, given the smallest and the largest of each part.

    The two are finite if and only if all numbers are: a NaN takes the place of both. On a CPU
    this is 10 to 50 times faster than ``isfinite`` of everything.
    """
    if not bool(torch.stack(extremes).isfinite().all()):
        raise CheckpointError(
            f"holds a NaN or an infinity as {str(dtype).removeprefix('torch.')} "
            f"(stored as {place.dtype} in {place.path.name})",
            code="weight_not_finite",
            item=name,
        )


def _fill(file: FileIO, target: Tensor, path: Path) -> None:
    """Read as many bytes as ``target`` has, from where the file stands."""
    # torch's arrays are writable buffers, which numpy's type stubs do not say.
    view = memoryview(cast("Any", target.view(torch.uint8).numpy()))
    while len(view) > 0:
        count = file.readinto(view)
        if not count:
            raise damaged(path, "became shorter while it was read")
        view = view[count:]
