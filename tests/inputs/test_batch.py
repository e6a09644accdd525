"""Packing loses nothing, and a sequence that is split off again is as if it had been alone."""

from __future__ import annotations

import jaxtyping
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from librehps.errors import InputError
from librehps.inputs.batch import Batch, Sample

TENSORS = ("input_ids", "positions", "cu_seqlens", "patches", "grid_thw", "pooled_index")


def make_sample(*, text: int = 3, grids: tuple[tuple[int, int], ...] = (), seed: int = 0) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    tokens = text + sum(height * width // 4 for height, width in grids)
    grid_thw = torch.tensor([(1, *grid) for grid in grids], dtype=torch.int64).reshape(-1, 3)
    num_patches = int(grid_thw.prod(dim=1).sum())
    return Sample(
        input_ids=torch.randint(0, 500, (tokens,), generator=generator),
        positions=torch.randint(0, 500, (3, tokens), generator=generator),
        patches=torch.randn(num_patches, 1536, generator=generator) if grids else None,
        grid_thw=grid_thw,
        pooled=seed % tokens,
    )


samples = st.builds(
    make_sample,
    text=st.integers(1, 5),
    grids=st.lists(st.sampled_from([(2, 2), (2, 4), (6, 2)]), max_size=3).map(tuple),
    seed=st.integers(0, 10_000),
)


def assert_same(actual: Batch, expected: Batch) -> None:
    assert actual.images_per_sequence == expected.images_per_sequence
    for name in TENSORS:
        mine, other = getattr(actual, name), getattr(expected, name)
        if other is None:
            assert mine is None, name
            continue
        assert (mine.dtype, mine.stride()) == (other.dtype, other.stride()), name
        assert torch.equal(mine, other), name


@given(st.lists(samples, min_size=1, max_size=5))
def test_split_gives_what_each_sequence_packs_to_alone(sequence):
    parts = Batch.pack(sequence).split()
    assert len(parts) == len(sequence)
    for part, sample in zip(parts, sequence, strict=True):
        assert_same(part, Batch.pack([sample]))


@given(st.lists(samples, min_size=1, max_size=5), st.data())
def test_what_is_taken_out_is_what_these_sequences_pack_to(sequence, data):
    places = st.lists(st.integers(0, len(sequence) - 1), min_size=1, max_size=4)
    chosen = data.draw(places)
    taken = Batch.pack(sequence).take(chosen)
    assert_same(taken, Batch.pack([sequence[n] for n in chosen]))


@given(st.lists(samples, min_size=1, max_size=5))
def test_packing_keeps_every_part_in_order(sequence):
    batch = Batch.pack(sequence)
    assert batch.num_sequences == len(sequence)
    assert batch.num_tokens == sum(sample.num_tokens for sample in sequence)
    assert batch.cu_seqlens[0] == 0
    assert batch.cu_seqlens.diff().tolist() == [sample.num_tokens for sample in sequence]
    for n, sample in enumerate(sequence):
        start, end = batch.cu_seqlens[n : n + 2].tolist()
        assert torch.equal(batch.input_ids[start:end], sample.input_ids)
        assert torch.equal(batch.positions[:, start:end], sample.positions)
        assert batch.pooled_index[n] == start + sample.pooled
    patches = [sample.patches for sample in sequence if sample.patches is not None]
    assert (batch.patches is None) == (not patches)
    if patches:
        assert torch.equal(batch.patches, torch.cat(patches))


def test_types_of_a_packed_batch():
    batch = Batch.pack([make_sample(grids=((2, 2),))])
    types = {name: getattr(batch, name).dtype for name in TENSORS}
    assert types.pop("cu_seqlens") == torch.int32
    assert types.pop("patches") == torch.float32
    assert set(types.values()) == {torch.int64}


def test_split_parts_share_no_memory_with_the_batch_or_each_other():
    batch = Batch.pack([make_sample(grids=((2, 2),), seed=seed) for seed in range(3)])
    parts = [*batch.split(), batch]
    for name in TENSORS:
        addresses = {getattr(part, name).untyped_storage().data_ptr() for part in parts}
        assert len(addresses) == len(parts), name
    alone = Batch.pack([make_sample()])
    assert alone.split()[0].positions.data_ptr() != alone.positions.data_ptr()


def test_splitting_a_single_sequence_again_changes_nothing():
    batch = Batch.pack([make_sample(grids=((2, 4), (2, 2)))])
    assert_same(batch.split()[0], batch)


def test_to_changes_the_type_of_the_patches_only():
    batch = Batch.pack([make_sample(grids=((2, 2),)), make_sample()])
    half = batch.to(dtype=torch.bfloat16)
    assert half.patches.dtype == torch.bfloat16
    for name in TENSORS:
        if name != "patches":
            assert getattr(half, name).dtype == getattr(batch, name).dtype
    assert_same(batch.to(), batch)
    moved = batch.to(device="meta")
    assert {getattr(moved, name).device.type for name in TENSORS} == {"meta"}


def test_an_empty_batch_is_refused():
    with pytest.raises(InputError) as caught:
        Batch.pack([])
    assert caught.value.code == "batch_empty"
    with pytest.raises(InputError) as caught:
        Batch.pack([make_sample()]).take([])
    assert caught.value.code == "batch_empty"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"input_ids": torch.zeros(0, dtype=torch.int64), "positions": None}, "no tokens"),
        ({"pooled": 4}, "token 4"),
        ({"pooled": -1}, "token -1"),
        ({"patches": torch.zeros(3, 1536)}, "3"),
        ({"patches": None}, "4 patches"),
    ],
)
def test_a_sample_that_contradicts_itself_is_refused(change, found):
    good = make_sample(grids=((2, 2),))
    parts = {name: getattr(good, name) for name in ("input_ids", "positions", "patches")}
    parts |= {"grid_thw": good.grid_thw, "pooled": 0} | change
    if parts["positions"] is None:
        parts["positions"] = torch.zeros(3, 0, dtype=torch.int64)
    with pytest.raises(InputError, match=found) as caught:
        Sample(**parts)
    assert caught.value.code == "sample_inconsistent"


def test_shapes_are_checked_at_run_time_here():
    good = make_sample()
    with pytest.raises(jaxtyping.TypeCheckError):
        Sample(good.input_ids, good.positions[:2], None, good.grid_thw, 0)
    with pytest.raises(jaxtyping.TypeCheckError):
        Sample(good.input_ids.float(), good.positions, None, good.grid_thw, 0)
