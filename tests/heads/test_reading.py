from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import nn

from librehps.errors import InputError
from librehps.heads import HeadOutput, Reading, Sequences, pool, pooled_tokens, scores_of_nothing

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
