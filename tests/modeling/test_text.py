from __future__ import annotations

import pytest
import torch
from torch import Tensor

from librehps.errors import InputError
from librehps.modeling import PRESETS, BackboneState, Qwen3_5Backbone
from librehps.modeling.text import Qwen3_5TextModel
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["backbone_packed_float32"].limit
TEXT = PRESETS["nano"].text


@pytest.fixture(scope="module")
def model() -> Qwen3_5TextModel:
    backbone = Qwen3_5Backbone(PRESETS["nano"]).eval()
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    return backbone.language_model


def inputs(lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(len(lengths))
    total = sum(lengths)
    embeddings = torch.randn(total, TEXT.hidden_size)
    positions = torch.randint(0, 90, (3, total))
    return embeddings, positions, torch.tensor([0, *lengths]).cumsum(0).int()


@torch.no_grad()
def test_packed_equals_alone(model: Qwen3_5TextModel) -> None:
    lengths = [3, 1, 70, 1, 64, 2]
    embeddings, positions, bounds = inputs(lengths)
    packed, state = model(embeddings, positions=positions, cu_seqlens=bounds)
    assert state is None
    for start, length in zip(bounds.tolist(), lengths, strict=False):
        part = slice(start, start + length)
        alone, _ = model(
            embeddings[part], positions=positions[:, part], cu_seqlens=torch.tensor([0, length])
        )
        assert relative_rms(packed[part], alone) <= LIMIT


def test_tokens_asked_for_are_those_of_the_whole(model: Qwen3_5TextModel) -> None:
    embeddings, positions, bounds = inputs([3, 1, 40])
    index = torch.tensor([43, 2, 3])
    found: list[tuple[Tensor, Tensor]] = []
    for options in ({}, {"output_index": index}):
        own = embeddings.clone().requires_grad_()
        hidden, state = model(
            own, positions=positions, cu_seqlens=bounds, return_state=True, **options
        )
        assert state is not None
        hidden = hidden if options else hidden[index]
        (grad,) = torch.autograd.grad((hidden * torch.linspace(-1, 1, hidden.shape[-1])).sum(), own)
        found.append((hidden.detach(), grad))
    for expected, actual in zip(*found, strict=True):
        assert expected.shape == actual.shape
        assert relative_rms(actual, expected) <= LIMIT


@torch.no_grad()
def test_a_cut_at_any_token_changes_nothing(model: Qwen3_5TextModel) -> None:
    embeddings, positions, bounds = inputs([11])
    whole, _ = model(embeddings, positions=positions, cu_seqlens=bounds)
    for cut in range(1, 11):
        before, after = torch.tensor([0, cut]), torch.tensor([0, 11 - cut])
        first, state = model(
            embeddings[:cut], positions=positions[:, :cut], cu_seqlens=before, return_state=True
        )
        second, _ = model(
            embeddings[cut:], positions=positions[:, cut:], cu_seqlens=after, state=state
        )
        assert relative_rms(torch.cat((first, second)), whole) <= LIMIT, f"cut at {cut}"


@torch.no_grad()
def test_packed_sequences_are_cut_each_at_its_own_place(model: Qwen3_5TextModel) -> None:
    lengths, cuts = [80, 5, 9], [66, 1, 8]
    embeddings, positions, bounds = inputs(lengths)
    whole, _ = model(embeddings, positions=positions, cu_seqlens=bounds)
    starts = bounds.tolist()[:-1]
    head = torch.cat([torch.arange(s, s + c) for s, c in zip(starts, cuts, strict=True)])
    ends = bounds.tolist()[1:]
    tail = torch.cat([torch.arange(s + c, e) for s, c, e in zip(starts, cuts, ends, strict=True)])
    tails = [length - cut for length, cut in zip(lengths, cuts, strict=True)]
    first, state = model(
        embeddings[head],
        positions=positions[:, head],
        cu_seqlens=torch.tensor([0, *cuts]).cumsum(0).int(),
        return_state=True,
    )
    second, end = model(
        embeddings[tail],
        positions=positions[:, tail],
        cu_seqlens=torch.tensor([0, *tails]).cumsum(0).int(),
        state=state,
        return_state=True,
    )
    assert relative_rms(first, whole[head]) <= LIMIT
    assert relative_rms(second, whole[tail]) <= LIMIT
    assert end is not None
    assert end.layers[1].cu_seqlens.tolist() == bounds.tolist()


def test_a_state_of_another_model_is_refused(model: Qwen3_5TextModel) -> None:
    embeddings, positions, bounds = inputs([2])
    with pytest.raises(InputError) as caught:
        model(embeddings, positions=positions, cu_seqlens=bounds, state=BackboneState((None,)))
    assert caught.value.code == "state_mismatch"
