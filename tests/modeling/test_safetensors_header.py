from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from librehps.errors import CheckpointError
from librehps.modeling.safetensors_header import ITEM_BYTES, Place, lfs_hint, read_header


def error_of(folder: Path, raw: bytes) -> CheckpointError:
    path = folder / "w.safetensors"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    return caught.value


def test_places_are_where_the_safetensors_package_puts_them(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor([[3.0], [4.0]], dtype=torch.half)}
    save_file(tensors, path, metadata={"format": "pt"})
    found = read_header(path)
    raw = path.read_bytes()
    assert set(found) == {"a", "b"}
    for name, tensor in tensors.items():
        place = found[name]
        assert place.path == path
        assert place.shape == tuple(tensor.shape)
        content = raw[place.start : place.start + tensor.numel() * ITEM_BYTES[place.dtype]]
        assert content == tensor.numpy().tobytes()
    assert list(found) == sorted(found, key=lambda name: found[name].start)
    assert all(isinstance(place, Place) for place in found.values())


@pytest.mark.parametrize(
    "header",
    [
        "[]",
        "{",
        '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
        '{"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
        '{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},'
        ' "v": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
        '{"w": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}',
        '{"w": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}',
        '{"w": {"dtype": "F32", "shape": [1]}}',
        '{"w": {"dtype": "F32", "shape": [1e3], "data_offsets": [0, 4]}}',
        '{"w": 3}',
        "[" * 100_000,
    ],
)
def test_a_damaged_header_is_an_error(tmp_path: Path, header: str) -> None:
    raw = header.encode()
    error = error_of(tmp_path, struct.pack("<Q", len(raw)) + raw + bytes(4))
    assert error.code == "ckpt_truncated"
    assert error.item == str(tmp_path / "w.safetensors")


def test_a_huge_header_length_takes_no_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    assert error_of(tmp_path, struct.pack("<Q", 1 << 60) + bytes(100)).code == "ckpt_truncated"
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(max_size=200), length=st.integers(0, 300))
def test_noise_is_an_error_and_nothing_else(tmp_path: Path, raw: bytes, length: int) -> None:
    assert (
        error_of(tmp_path, struct.pack("<Q", length) + b"{" + raw + b"x").code == "ckpt_truncated"
    )


def test_a_pointer_is_told_from_a_file() -> None:
    assert "git lfs pull" in lfs_hint(b"version https://git-lfs.github.com/spec/v1\n")
    assert lfs_hint(b"{}") == ""
