from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from librehps.errors import CheckpointError
from librehps.modeling.checkpoint import (
    INDEX_NAME,
    SINGLE_NAME,
    CheckpointReader,
    inside,
    read_json,
)
from librehps.modeling.checkpoint_writer import write_checkpoint

TENSORS = {
    "a.weight": torch.arange(12.0).reshape(3, 4),
    "b.bias": torch.tensor([1.5, -2.5], dtype=torch.bfloat16),
    "c.scale": torch.tensor(7.0, dtype=torch.float16),
    "d.empty": torch.zeros(0, 4),
    "e.wide": torch.tensor([0.1, 3e38], dtype=torch.float64),
}


@pytest.fixture
def single(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "single", TENSORS, config={"x": 1})
    return tmp_path / "single"


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "sharded", TENSORS, config={}, max_shard_bytes=40)
    return tmp_path / "sharded"


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def edit_index(folder: Path, edit: Callable[[dict[str, str]], None]) -> None:
    path = folder / INDEX_NAME
    index = json.loads(path.read_text())
    edit(index["weight_map"])
    path.write_text(json.dumps(index))


def read_all(reader: CheckpointReader) -> None:
    for name, shape in reader.shapes.items():
        reader.read_into(name, torch.empty(shape))


def error_of(folder: Path) -> CheckpointError:
    """Open the folder and read every tensor, expecting an error."""
    with pytest.raises(CheckpointError) as caught:
        read_all(CheckpointReader(folder))
    return caught.value


@pytest.mark.parametrize("kind", ["single", "sharded"])
def test_what_was_written_is_read(kind: str, request: pytest.FixtureRequest) -> None:
    reader = CheckpointReader(request.getfixturevalue(kind))
    assert reader.shapes == {name: tuple(t.shape) for name, t in TENSORS.items()}
    for name, tensor in TENSORS.items():
        assert reader.dtype(name) == tensor.dtype
        same = torch.empty_like(tensor)
        reader.read_into(name, same)
        assert torch.equal(same, tensor), name
        cast = torch.empty(tensor.shape, dtype=torch.float32)
        reader.read_into(name, cast)
        assert torch.equal(cast, tensor.float()), name
        for dtype in (tensor.dtype, torch.float32):
            loaded = reader.load(name, dtype=dtype)
            assert loaded.dtype == dtype
            assert torch.equal(loaded, tensor.to(dtype)), name
    assert len(shards(request.getfixturevalue("sharded"))) > 1


def test_files_of_the_safetensors_package_are_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file(TENSORS, tmp_path / SINGLE_NAME)
    reader = CheckpointReader(tmp_path)
    for name, tensor in TENSORS.items():
        same = torch.empty_like(tensor)
        reader.read_into(name, same)
        assert torch.equal(same, tensor), name
    # And the other way round.
    write_checkpoint(tmp_path / "ours", TENSORS, config={})
    theirs = load_file(tmp_path / "ours" / SINGLE_NAME)
    assert all(torch.equal(theirs[name], tensor) for name, tensor in TENSORS.items())


def test_writing_to_a_loaded_tensor_leaves_the_file_alone(single: Path) -> None:
    before = (single / SINGLE_NAME).read_bytes()
    tensor = CheckpointReader(single).load("a.weight", dtype=torch.float32)
    tensor.mul_(2).add_(1)
    assert torch.equal(tensor, 2 * TENSORS["a.weight"] + 1)
    assert (single / SINGLE_NAME).read_bytes() == before


def test_a_loaded_tensor_outlives_the_reader_and_the_folder(single: Path) -> None:
    tensor = CheckpointReader(single).load("a.weight", dtype=torch.float32)
    shutil.rmtree(single)
    assert torch.equal(tensor, TENSORS["a.weight"])


def test_a_checkpoint_can_be_replaced_by_what_was_loaded_from_it(single: Path) -> None:
    reader = CheckpointReader(single)
    tensors = {name: reader.load(name, dtype=t.dtype) for name, t in TENSORS.items()}
    before = (single / SINGLE_NAME).read_bytes()
    write_checkpoint(single, tensors, config={"x": 1})
    assert (single / SINGLE_NAME).read_bytes() == before
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize("shift", range(1, 5))
def test_tensors_at_odd_places_are_read(tmp_path: Path, shift: int) -> None:
    # The format does not ask for alignment: a header of any length may stand before the data.
    entry = {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}
    header = json.dumps({"w": entry}).encode()
    header += b" " * (-len(header) % 8 + shift)
    data = torch.tensor([1.0, 2.0, 3.0])
    raw = struct.pack("<Q", len(header)) + header + data.numpy().tobytes()
    (tmp_path / SINGLE_NAME).write_bytes(raw)
    assert torch.equal(CheckpointReader(tmp_path).load("w", dtype=torch.float32), data)


def test_tensors_larger_than_a_slice_are_read_whole(tmp_path: Path) -> None:
    # 2.5 slices of 4 MiB, and a last slice that is not full.
    tensor = torch.randn(655, 4001, generator=torch.Generator().manual_seed(0))
    write_checkpoint(tmp_path / "big", {"t": tensor}, config={})
    for dtype in (torch.float32, torch.bfloat16):
        out = torch.full_like(tensor, float("nan"), dtype=dtype)
        CheckpointReader(tmp_path / "big").read_into("t", out)
        assert torch.equal(out, tensor.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("position", [0, 17, 4098, -1])
def test_a_single_non_finite_number_is_found(
    tmp_path: Path, dtype: torch.dtype, bad: float, position: int
) -> None:
    from safetensors.torch import save_file

    tensor = torch.randn(4099, generator=torch.Generator().manual_seed(0)).to(dtype)
    tensor[position] = bad
    save_file({"fine": torch.ones(2), "layer.weight": tensor}, tmp_path / SINGLE_NAME)
    reader = CheckpointReader(tmp_path)
    for target in (dtype, torch.float32):
        out = torch.empty(4099, dtype=target)
        for read in (
            lambda out=out: reader.read_into("layer.weight", out),
            lambda target=target: reader.load("layer.weight", dtype=target),
        ):
            with pytest.raises(CheckpointError) as caught:
                read()
            assert caught.value.code == "weight_not_finite"
            assert caught.value.item == "layer.weight"


def test_a_number_too_large_for_the_destination_is_an_error(single: Path) -> None:
    with pytest.raises(CheckpointError, match="as float16") as caught:
        CheckpointReader(single).read_into("e.wide", torch.empty(2, dtype=torch.float16))
    assert caught.value.code == "weight_not_finite"


def test_wrong_shape_and_unknown_name(single: Path) -> None:
    reader = CheckpointReader(single)
    with pytest.raises(CheckpointError, match=r"\[3, 4\].*\[4, 3\]") as caught:
        reader.read_into("a.weight", torch.empty(4, 3))
    assert (caught.value.code, caught.value.item) == ("ckpt_shape", "a.weight")
    with pytest.raises(CheckpointError) as caught:
        reader.read_into("z", torch.empty(4, 3))
    assert (caught.value.code, caught.value.item) == ("ckpt_missing_tensor", "z")


def test_integer_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"w": torch.ones(4, dtype=torch.int8)}, tmp_path / SINGLE_NAME)
    error = error_of(tmp_path)
    assert (error.code, error.item) == ("ckpt_dtype", "w")
    assert "I8" in str(error)


def test_no_folder_no_weights_and_only_pickles(tmp_path: Path) -> None:
    assert error_of(tmp_path / "nowhere").code == "ckpt_missing"
    (tmp_path / "file").write_text("x")
    assert error_of(tmp_path / "file").code == "ckpt_missing"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert error_of(empty).code == "ckpt_missing"
    # A pickle that would leave a mark if it were opened.
    (empty / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    error = error_of(empty)
    assert error.code == "ckpt_pickle"
    assert "pytorch_model.bin" in str(error)
    assert not Path("opened").exists()


def test_all_missing_shards_are_listed(sharded: Path) -> None:
    first, second, *_ = shards(sharded)
    first.unlink()
    second.unlink()
    error = error_of(sharded)
    assert error.code == "ckpt_missing_shard"
    assert first.name in str(error)
    assert second.name in str(error)


@pytest.mark.parametrize("keep", [0, 3, 8, 60, -1])
def test_a_truncated_shard_says_how_much_is_there(sharded: Path, keep: int) -> None:
    path = shards(sharded)[0]
    raw = path.read_bytes()
    path.write_bytes(raw[:keep])
    error = error_of(sharded)
    assert error.code == "ckpt_truncated"
    assert error.item == str(path)
    assert f"{len(raw[:keep])} bytes" in str(error)
    if keep == -1:
        assert f"need {len(raw)}" in str(error)


def test_a_git_lfs_pointer_is_recognised(single: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9000000000\n"
    (single / SINGLE_NAME).write_text(pointer)
    error = error_of(single)
    assert error.code == "ckpt_truncated"
    assert "git lfs pull" in str(error)
    (single / "config.json").write_text(pointer)
    with pytest.raises(CheckpointError, match="git lfs pull") as caught:
        read_json(single, "config.json")
    assert caught.value.code == "ckpt_config"


@pytest.mark.parametrize(
    "outside",
    [
        "../secret.safetensors",
        "/etc/secret.safetensors",
        "sub/x.safetensors",
        "..",
        "a\\b.safetensors",
    ],
)
def test_an_index_cannot_name_a_file_outside(sharded: Path, outside: str) -> None:
    shutil.copy(shards(sharded)[0], sharded.parent / "secret.safetensors")
    edit_index(sharded, lambda places: places.update({"a.weight": outside}))
    assert error_of(sharded).code == "ckpt_index_outside"


@pytest.mark.parametrize("kind", ["single", "sharded"])
def test_a_link_that_leads_outside_is_refused(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    path = next(folder.glob("model*.safetensors"))
    away = tmp_path / "away.safetensors"
    path.rename(away)
    path.symlink_to(away)
    assert error_of(folder).code == "ckpt_index_outside"


def test_links_inside_and_in_the_hub_cache_are_followed(single: Path, tmp_path: Path) -> None:
    (single / SINGLE_NAME).rename(single / "real.safetensors")
    (single / SINGLE_NAME).symlink_to("real.safetensors")
    assert CheckpointReader(single).shapes.keys() == TENSORS.keys()

    revision = tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs = tmp_path / "models--a--b" / "blobs"
    revision.mkdir(parents=True)
    blobs.mkdir()
    shutil.copy(single / "real.safetensors", blobs / "abc")
    (revision / SINGLE_NAME).symlink_to(Path("../../blobs/abc"))
    assert CheckpointReader(revision).shapes.keys() == TENSORS.keys()
    (revision / "config.json").symlink_to(Path("../../../secret.json"))
    with pytest.raises(CheckpointError) as caught:
        inside(revision, "config.json")
    assert caught.value.code == "ckpt_index_outside"


def test_index_and_shards_must_agree(sharded: Path) -> None:
    edit_index(sharded, lambda places: places.pop("b.bias"))
    error = error_of(sharded)
    assert error.code == "ckpt_index_mismatch"
    assert "b.bias" in str(error)
    edit_index(sharded, lambda places: places.update({"ghost": shards(sharded)[0].name}))
    assert error_of(sharded).code == "ckpt_index_mismatch"


def test_two_sets_of_weights_are_ambiguous(sharded: Path, single: Path) -> None:
    shutil.copy(single / SINGLE_NAME, sharded)
    assert error_of(sharded).code == "ckpt_index_mismatch"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}'])
def test_a_damaged_index_is_an_error(sharded: Path, text: str) -> None:
    (sharded / INDEX_NAME).write_text(text)
    assert error_of(sharded).code in ("ckpt_config", "ckpt_index_outside")


def test_a_pipe_in_place_of_a_file_does_not_hang(single: Path) -> None:
    (single / SINGLE_NAME).unlink()
    os.mkfifo(single / SINGLE_NAME)
    assert error_of(single).code == "ckpt_missing"


def test_a_file_that_shrinks_after_opening_is_an_error(single: Path) -> None:
    reader = CheckpointReader(single)
    path = single / SINGLE_NAME
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(CheckpointError, match="became shorter") as caught:
        read_all(reader)
    assert caught.value.code == "ckpt_truncated"
    last = list(reader.shapes)[-1]
    with pytest.raises(CheckpointError, match="became shorter"):
        reader.load(last, dtype=reader.dtype(last))


def test_json_must_be_an_object_of_sensible_size(single: Path) -> None:
    assert read_json(single, "config.json") == {"x": 1}
    for text in ("", '{"x": ', "3", "[1]"):
        (single / "config.json").write_text(text)
        with pytest.raises(CheckpointError) as caught:
            read_json(single, "config.json")
        assert caught.value.code == "ckpt_config"
    with (single / "config.json").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(CheckpointError, match="at most"):
        read_json(single, "config.json")
    (single / "config.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        read_json(single, "config.json")
    assert caught.value.code == "ckpt_missing"


MEASURE = """
import sys
from pathlib import Path
import torch
from librehps.modeling.checkpoint import CheckpointReader

def peak():
    status = Path("/proc/self/status")
    if not status.exists():
        # Elsewhere: bytes; on Linux this would count the parent's memory too.
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = status.read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

# What torch needs for its first cast and check is not the weights' doing.
torch.stack(torch.aminmax(torch.ones(1 << 21).bfloat16())).isfinite().all()
before = peak()
reader = CheckpointReader(Path(sys.argv[1]))
tensors = []
for name, shape in reader.shapes.items():
    tensors.append(reader.load(name, dtype=getattr(torch, sys.argv[2])))
print(peak() - before - sum(tensor.nbytes for tensor in tensors))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 MB of float32, most of it one tensor."""
    folder = tmp_path_factory.mktemp("large") / "ckpt"
    shapes = {"small.0": (512, 1024), "large": (64_000, 1024), "small.1": (8_000, 1024)}
    write_checkpoint(
        folder,
        {name: torch.empty(shape, device="meta") for name, shape in shapes.items()},
        config={},
        materialize=lambda name: torch.ones(shapes[name]),
    )
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_peak_is_the_resident_weights_and_a_slice(large: Path, dtype: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(large), dtype],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    above = int(run.stdout) / 2**20
    # One slice is 4 MiB; the rest is the allocator's and the interpreter's.
    assert -16 < above < 24, f"{above:.1f} MiB above the resident weights"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_what_the_system_does_not_let_be_read_is_a_typed_error(
    single: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    def read() -> object:
        return read_json(single, name) if name.endswith("json") else CheckpointReader(single)

    (single / "config.json").write_text("{}")
    read()
    # Of root nothing can be kept from reading by its mode.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match="Permission denied") as caught:
        read()
    assert (caught.value.code, caught.value.item) == ("ckpt_unreadable", str(single / name))
