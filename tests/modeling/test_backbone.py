from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.errors import InputError
from librehps.modeling import PRESETS, Qwen3_5Backbone
from librehps.modeling.precision import keeps_float32
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["backbone_packed_float32"].limit
NANO = PRESETS["nano"]
IMAGE = NANO.image_token_id


@pytest.fixture
def model() -> Qwen3_5Backbone:
    backbone = Qwen3_5Backbone(NANO).eval()
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    return backbone


def sample(seed: int, grid: tuple[int, int] | None, before: int = 3) -> dict[str, Any]:
    """One sequence: text, a picture of ``grid`` blocks, and two more tokens."""
    generator = torch.Generator().manual_seed(seed)
    blocks = 0 if grid is None else grid[0] * grid[1]
    ids = torch.randint(0, 400, (before + blocks + 2,), generator=generator)
    ids[before : before + blocks] = IMAGE
    return {
        "input_ids": ids,
        "positions": torch.randint(0, 50, (3, len(ids)), generator=generator),
        "cu_seqlens": torch.tensor([0, len(ids)], dtype=torch.int32),
        "patches": torch.rand(4 * blocks, 1536, generator=generator) * 2 - 1 if grid else None,
        "grid_thw": torch.tensor([[1, 2 * grid[0], 2 * grid[1]]]) if grid else None,
    }


def pack(samples: list[dict[str, Any]]) -> dict[str, Any]:
    lengths = [len(one["input_ids"]) for one in samples]
    pictures = [one for one in samples if one["patches"] is not None]
    return {
        "input_ids": torch.cat([one["input_ids"] for one in samples]),
        "positions": torch.cat([one["positions"] for one in samples], dim=1),
        "cu_seqlens": torch.tensor([0, *lengths]).cumsum(0).int(),
        "patches": torch.cat([one["patches"] for one in pictures]),
        "grid_thw": torch.cat([one["grid_thw"] for one in pictures]),
    }


@torch.no_grad()
def test_packed_pictures_equal_pictures_alone(model: Qwen3_5Backbone) -> None:
    grids = [(2, 3), None, (1, 7), (4, 4), None, (1, 1)]
    samples = [sample(seed, grid, before=1 + seed) for seed, grid in enumerate(grids)]
    packed = model(**pack(samples)).hidden.split([len(one["input_ids"]) for one in samples])
    for alone, together in zip(samples, packed, strict=True):
        assert relative_rms(together, model(**alone).hidden) <= LIMIT


@torch.no_grad()
def test_a_cut_inside_a_picture_changes_nothing(model: Qwen3_5Backbone) -> None:
    one = sample(3, (2, 4))
    whole = model(**one)
    assert whole.state is None
    embeddings = model.embed(one["input_ids"], patches=one["patches"], grid_thw=one["grid_thw"])
    positions, length = one["positions"], len(embeddings)
    for cut in range(4, 11):
        first, state = model.language_model(
            embeddings[:cut],
            positions=positions[:, :cut],
            cu_seqlens=torch.tensor([0, cut]),
            return_state=True,
        )
        second, _ = model.language_model(
            embeddings[cut:],
            positions=positions[:, cut:],
            cu_seqlens=torch.tensor([0, length - cut]),
            state=state,
        )
        assert relative_rms(torch.cat((first, second)), whole.hidden) <= LIMIT


@torch.no_grad()
def test_a_prefix_hands_its_state_to_the_rest(model: Qwen3_5Backbone) -> None:
    one = sample(4, (3, 2), before=5)
    whole = model(**one).hidden
    prefix = model(
        one["input_ids"][:4],
        positions=one["positions"][:, :4],
        cu_seqlens=torch.tensor([0, 4]),
        return_state=True,
    )
    rest = model(
        one["input_ids"][4:],
        positions=one["positions"][:, 4:],
        cu_seqlens=torch.tensor([0, len(whole) - 4]),
        patches=one["patches"],
        grid_thw=one["grid_thw"],
        state=prefix.state,
    )
    assert relative_rms(torch.cat((prefix.hidden, rest.hidden)), whole) <= LIMIT


def test_recomputing_gives_the_same_gradients(model: Qwen3_5Backbone) -> None:
    batch = pack([sample(0, (2, 2)), sample(1, None), sample(2, (1, 3))])
    weighting = torch.randn(len(batch["input_ids"]), model.hidden_size)
    found: list[list[torch.Tensor]] = []
    for recompute in (False, True):
        model.gradient_checkpointing = recompute
        assert model.gradient_checkpointing is recompute
        assert model.visual.gradient_checkpointing is recompute
        model.zero_grad()
        (model(**batch).hidden * weighting).sum().backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(found[0]) == len(list(model.parameters()))
    assert all(torch.equal(once, again) for once, again in zip(*found, strict=True))


def test_recomputing_keeps_fewer_tensors(model: Qwen3_5Backbone) -> None:
    batch, kept = sample(0, (2, 2)), []
    for recompute in (False, True):
        model.gradient_checkpointing = recompute
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.numel()) or tensor,
            lambda tensor: tensor,
        ):
            model(**batch)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_casting_leaves_the_decay_in_float32(model: Qwen3_5Backbone) -> None:
    assert model.cast_(torch.bfloat16) is model
    for name, parameter in model.named_parameters():
        expected = torch.float32 if keeps_float32(name) else torch.bfloat16
        assert parameter.dtype == expected, name
    hidden = model(**sample(0, (1, 2))).hidden
    assert hidden.dtype == torch.bfloat16
    assert torch.isfinite(hidden).all()


@pytest.mark.parametrize("change", ["no picture", "too many places", "too few places"])
def test_places_and_rows_must_match(model: Qwen3_5Backbone, change: str) -> None:
    one = sample(0, (2, 2))
    if change == "no picture":
        one["patches"] = one["grid_thw"] = None
    else:
        one["input_ids"][0 if change == "too many places" else 4] = (
            IMAGE - 400 + 400 * (change == "too many places")
        )
    with pytest.raises(InputError) as caught:
        model(**one)
    assert caught.value.code == "vision_token_mismatch"


def test_frames_of_a_video_take_places_too(model: Qwen3_5Backbone) -> None:
    one = sample(0, (2, 2))
    picture = model(**one).hidden
    one["input_ids"][one["input_ids"] == IMAGE] = NANO.video_token_id
    assert torch.equal(model(**one).hidden, picture)


def test_nothing_but_parameters_is_stored() -> None:
    """So that a model built on the meta device is complete once its parameters are."""
    with torch.device("meta"):
        model = Qwen3_5Backbone(NANO)
    assert list(model.buffers()) == []
