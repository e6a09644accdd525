from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import nn

from librehps.errors import InputError
from librehps.heads import HeadOutput, Reading, Sequences, pool, pooled_tokens, scores_of_nothing

LENGTHS = (5, 3, 9)
BOUNDS = torch.tensor([0, *LENGTHS]).cumsum(0).to(torch.int32)
MARKED = torch.tensor([2, 5, 8])
HIDDEN = torch.randn(17, 4, generator=torch.Generator().manual_seed(0))


class Pooled(nn.Module):
    """A head of one's own: it has never heard of sequences. It keeps what it was given."""

    axes = ("overall",)

    def forward(self, pooled: torch.Tensor) -> HeadOutput:
        self.given = pooled
        return HeadOutput(mean=pooled[:, :1], sigma=None, axes=self.axes)

    def to_config(self) -> dict[str, object]:
        return {}

    @classmethod
    def from_config(cls, config: object, *, hidden_size: int) -> Pooled:
        return cls()


class Reads(Pooled):
    """A head of one's own that reads some of the last tokens, or all."""

    def __init__(self, last_tokens: int | None) -> None:
        super().__init__()
        self.last_tokens = last_tokens

    def forward(self, sequences: Sequences) -> HeadOutput:
        self.given = sequences
        ends = sequences.cu_seqlens[1:].long() - 1
        return HeadOutput(mean=sequences.hidden[ends, :1], sigma=None, axes=self.axes)


def reading(heads: dict[str, nn.Module], pooling: str = "last") -> Reading:
    return Reading(heads, pooling=pooling, cu_seqlens=BOUNDS, pooled_index=MARKED)


@pytest.mark.parametrize("pooling", ["last", "marked", "mean"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_head_gets_its_own_tokens_whatever_stands_beside_it(pooling: str, size: int) -> None:
    kinds = {"pooled": Pooled, "all": lambda: Reads(None)}
    kinds |= {f"last_{count}": lambda count=count: Reads(count) for count in (1, 2, 3)}
    for names in combinations(kinds, size):
        heads = {name: kinds[name]() for name in names}
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
    alone = reading({"a": Pooled(), "b": Pooled()}, "marked").tokens
    known = pooled_tokens(cu_seqlens=BOUNDS, pooled_index=MARKED, pooling="marked")
    assert torch.equal(alone, known)
    # The widest window serves the narrower ones.
    assert reading({"a": Reads(1), "b": Reads(3)}).tokens.tolist() == [2, 3, 4, 5, 6, 7, 14, 15, 16]
    assert reading({"a": Reads(1), "b": Pooled()}).tokens.tolist() == [4, 7, 16, 4, 7, 16]


def test_gradients_of_a_token_that_two_heads_read_add_up() -> None:
    heads = {"a": Reads(2), "b": Pooled()}
    hidden = HIDDEN.clone().requires_grad_()
    read = reading(heads)
    outputs = read.score(hidden[read.tokens])
    sum(output.mean.sum() for output in outputs.values()).backward()
    expected = torch.zeros(17, 4)
    expected[[4, 7, 16], 0] = 2.0
    assert torch.equal(hidden.grad, expected)


def test_a_sequence_shorter_than_what_is_read_is_refused() -> None:
    with pytest.raises(InputError, match="the last 4") as caught:
        reading({"a": Reads(4)})
    assert caught.value.code == "sequence_too_short"
    reading({"a": Reads(3)})


@pytest.mark.parametrize("heads", [{}, {"wide": Reads(3)}, {"wide": Reads(3), "all": Reads(None)}])
def test_heads_say_something_of_nothing(heads: dict[str, nn.Module]) -> None:
    outputs = scores_of_nothing({"own": Pooled(), **heads}, hidden_size=4)
    assert list(outputs) == ["own", *heads]
    assert all(torch.equal(output.mean, torch.zeros(1, 1)) for output in outputs.values())
