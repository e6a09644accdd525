from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from librehps.errors import InputError
from librehps.heads import (
    HEADS,
    AttentionPoolingHead,
    AxisTokensHead,
    Head,
    HeadOutput,
    Reading,
    ScalarHead,
    Sequences,
    pool,
    pooled_tokens,
    scores_of_nothing,
)
from librehps.inputs.batch import Batch, Sample
from librehps.model import PreferenceModel
from librehps.testing.tiny import tiny_model, tiny_processor
from librehps.testing.tolerances import TOLERANCES, relative_rms

PACKED = TOLERANCES["packed_alone_float32"].limit

LENGTHS = (5, 3, 9)
BOUNDS = torch.tensor([0, *LENGTHS]).cumsum(0).to(torch.int32)
MARKED = torch.tensor([2, 5, 8])
HIDDEN = torch.randn(17, 4, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """A head of one's own; it keeps what it was given."""

    axes = ("overall",)
    given: Any

    def to_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, hidden_size: int) -> Own:
        return cls()


class Pooled(Own):
    """It has never heard of sequences."""

    def forward(self, pooled: torch.Tensor) -> HeadOutput:
        self.given = pooled
        return HeadOutput(mean=pooled[:, :1], sigma=None, axes=self.axes)


class Reads(Own):
    """It reads some of the last tokens, or all."""

    def __init__(self, last_tokens: int | None) -> None:
        super().__init__()
        self.last_tokens: Any = last_tokens

    def forward(self, sequences: Sequences) -> HeadOutput:
        self.given = sequences
        ends = sequences.cu_seqlens[1:].long() - 1
        return HeadOutput(mean=sequences.hidden[ends, :1], sigma=None, axes=self.axes)


def reading(heads: Mapping[str, Any], pooling: str = "last") -> Reading:
    return Reading(heads, pooling=pooling, cu_seqlens=BOUNDS, pooled_index=MARKED)


def tokens(heads: Mapping[str, Any], pooling: str = "last") -> torch.Tensor:
    asked = reading(heads, pooling).tokens
    assert asked is not None
    return asked


@pytest.mark.parametrize("pooling", ["last", "marked", "mean"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_head_gets_its_own_tokens_whatever_stands_beside_it(pooling: str, size: int) -> None:
    kinds: dict[str, Any] = {"pooled": Pooled, "all": partial(Reads, None)}
    kinds |= {f"last_{count}": partial(Reads, count) for count in (1, 2, 3)}
    for names in combinations(kinds, size):
        heads: dict[str, Any] = {name: kinds[name]() for name in names}
        read = reading(heads, pooling)
        whole = "all" in heads or ("pooled" in heads and pooling == "mean")
        assert (read.tokens is None) == whole
        outputs = read.score(HIDDEN if read.tokens is None else HIDDEN[read.tokens])
        assert list(outputs) == list(heads)
        for name, head in heads.items():
            if name == "pooled":
                expected = pool(HIDDEN, cu_seqlens=BOUNDS, pooled_index=MARKED, pooling=pooling)
                assert torch.equal(head.given, expected)
            elif name == "all":
                assert torch.equal(head.given.hidden, HIDDEN)
                assert torch.equal(head.given.cu_seqlens, BOUNDS)
            else:
                count = head.last_tokens
                ends = torch.cat([part[-count:] for part in HIDDEN.split(LENGTHS)])
                assert torch.equal(head.given.hidden, ends)
                assert head.given.cu_seqlens.tolist() == [0, count, 2 * count, 3 * count]
                assert head.given.width == count


def test_no_more_tokens_are_asked_for_than_are_read() -> None:
    known = pooled_tokens(cu_seqlens=BOUNDS, pooled_index=MARKED, pooling="marked")
    assert known is not None
    assert torch.equal(tokens({"a": Pooled(), "b": Pooled()}, "marked"), known)
    # The widest window serves the narrower ones.
    assert tokens({"a": Reads(1), "b": Reads(3)}).tolist() == [2, 3, 4, 5, 6, 7, 14, 15, 16]
    assert tokens({"a": Reads(1), "b": Pooled()}).tolist() == [4, 7, 16, 4, 7, 16]


def test_gradients_of_a_token_that_two_heads_read_add_up() -> None:
    heads = {"a": Reads(2), "b": Pooled()}
    hidden = HIDDEN.clone().requires_grad_()
    outputs = reading(heads).score(hidden[tokens(heads)])
    torch.cat([output.mean for output in outputs.values()]).sum().backward()
    expected = torch.zeros(17, 4)
    expected[[4, 7, 16], 0] = 2.0
    assert hidden.grad is not None
    assert torch.equal(hidden.grad, expected)


def test_a_sequence_shorter_than_what_is_read_is_refused() -> None:
    with pytest.raises(InputError, match="the last 4") as caught:
        reading({"a": Reads(4)})
    assert caught.value.code == "sequence_too_short"
    reading({"a": Reads(3)})


@pytest.mark.parametrize("heads", [{}, {"wide": Reads(3)}, {"wide": Reads(3), "all": Reads(None)}])
def test_heads_say_something_of_nothing(heads: dict[str, Any]) -> None:
    both: dict[str, Any] = {"own": Pooled(), **heads}
    outputs = scores_of_nothing(both, hidden_size=4)
    assert list(outputs) == list(both)
    assert all(torch.equal(output.mean, torch.zeros(1, 1)) for output in outputs.values())


@pytest.mark.parametrize("pooling", ["last", "marked", "mean"])
def test_a_batch_without_sequences_has_no_scores(pooling: str) -> None:
    heads: dict[str, Any] = {kind: HEADS[kind].from_config({}, hidden_size=4) for kind in HEADS}
    none = torch.zeros(0, dtype=torch.int64)
    for chosen in (heads, *({name: head} for name, head in heads.items())):
        empty = Reading(chosen, pooling=pooling, cu_seqlens=torch.tensor([0]), pooled_index=none)
        for output in empty.score(torch.zeros(0, 4)).values():
            assert output.mean.shape == (0, len(output.axes))


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Six prompts of 2 to 72 words with images of other sizes."""
    processor = tiny_processor()
    rng = np.random.default_rng(0)
    sides = rng.integers(20, 400, (6, 2)).tolist()
    return [
        processor.prepare(
            rng.integers(0, 256, (height, width, 3), dtype=np.uint8), "red fox " * (1 + 7 * n)
        ).sample
        for n, (height, width) in enumerate(sides)
    ]


def several_tokens(*names: str) -> dict[str, Head]:
    heads = {
        "attention": AttentionPoolingHead(hidden_size=48),
        "tokens": AxisTokensHead(hidden_size=48),
        "shared": AxisTokensHead(hidden_size=48, axes=("style", "overall"), shared=True),
        "scalar": ScalarHead(hidden_size=48),
    }
    return {name: heads[name] for name in names}


@pytest.mark.parametrize(
    "names",
    [
        ("attention",),
        ("tokens",),
        ("scalar", "shared", "tokens"),
        ("tokens", "attention", "scalar"),
    ],
    ids="-".join,
)
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_heads_of_several_tokens_score_as_the_finished_pack_says(
    samples: list[Sample], names: tuple[str, ...], pooling: str
) -> None:
    model = tiny_model(heads=several_tokens(*names), pooling=pooling)
    batch = Batch.pack(samples)
    with torch.inference_mode():
        packed, exact = model(batch), model(batch, deterministic=True)
        alone = [model(Batch.pack([sample])) for sample in samples]
        whole = model.model(
            batch.input_ids,
            positions=batch.positions,
            cu_seqlens=batch.cu_seqlens,
            patches=batch.patches,
            grid_thw=batch.grid_thw,
        ).hidden
        everything = Sequences(whole, batch.cu_seqlens)
        for name in set(names) - {"scalar"}:
            expected: HeadOutput = model.heads[name](everything)
            assert relative_rms(packed[name].mean, expected.mean) <= PACKED
            assert relative_rms(packed[name].sigma, expected.sigma) <= PACKED
            means = torch.cat([out[name].mean for out in alone])
            assert torch.equal(exact[name].mean, means)
            assert relative_rms(packed[name].mean, means) <= PACKED
            assert means.std(dim=0).min() > 1e-4
        if "scalar" in names:
            only = PreferenceModel(model.model, {"scalar": model.heads["scalar"]}, pooling=pooling)
            assert relative_rms(packed["scalar"].mean, only(batch)["scalar"].mean) <= PACKED


@pytest.mark.parametrize(
    ("names", "per_sequence"),
    [(("scalar",), 1), (("tokens",), 4), (("shared", "tokens"), 4), (("scalar", "tokens"), 5)],
)
def test_only_the_tokens_that_are_read_are_finished(
    samples: list[Sample], names: tuple[str, ...], per_sequence: int
) -> None:
    model = tiny_model(heads=several_tokens(*names))
    finished: list[int] = []
    last = model.get_submodule("model.language_model.layers.3.mlp")
    last.register_forward_pre_hook(lambda _, inputs: finished.append(len(inputs[0])))
    model(Batch.pack(samples))
    assert finished == [6 * per_sequence]


def test_a_sequence_shorter_than_what_a_head_reads_is_named(samples: list[Sample]) -> None:
    model = tiny_model(heads=several_tokens("tokens"))
    ids = torch.tensor([7])
    places = torch.zeros(3, 1, dtype=torch.int64)
    none = torch.zeros(0, 3, dtype=torch.int64)
    single = Sample(input_ids=ids, positions=places, patches=None, grid_thw=none, pooled=0)
    with pytest.raises(InputError, match="sequence 1: has 1 tokens") as caught:
        model(Batch.pack([samples[0], single]))
    assert caught.value.code == "sequence_too_short"
