from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from librehps.errors import ConfigError, InputError
from librehps.heads import AXES, AxisTokensHead, MultiAxisHead, Sequences
from librehps.testing.tolerances import TOLERANCES, relative_rms

WIDTH = 7


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bounds(lengths: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def made(**changes: Any) -> AxisTokensHead:
    head = AxisTokensHead(hidden_size=WIDTH, **changes)
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            parameter.copy_(random(*parameter.shape, seed=number))
    return head


def definition(
    head: AxisTokensHead, hidden: torch.Tensor, lengths: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and sigma of a linear head in float64, token by token."""
    count = len(head.axes)
    weight, bias = head.readout.weight.double(), head.readout.bias.double()
    half = len(weight) // 2
    means, sigmas = [], []
    for part in hidden.double().split(lengths):
        for axis in range(count):
            token = part[len(part) - count + axis]
            row = 0 if head.shared else axis
            means.append(weight[row] @ token + bias[row])
            raw = weight[half + row] @ token + bias[half + row]
            sigmas.append(torch.log1p(raw.exp()) + 1e-3)
    shape = (len(lengths), count)
    return torch.stack(means).view(shape), torch.stack(sigmas).view(shape)


@settings(max_examples=40)
@given(
    num_axes=st.integers(1, 5),
    shared=st.booleans(),
    extra=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
)
def test_scores_and_gradients_are_those_of_the_definition(
    num_axes: int, shared: bool, extra: list[int], seed: int
) -> None:
    lengths = tuple(num_axes + more for more in extra)
    head = made(axes=AXES[:num_axes], shared=shared).double()
    hidden = random(sum(lengths), WIDTH, seed=seed).double().requires_grad_()
    out = head(Sequences(hidden, bounds(lengths)))
    ours = torch.cat([out.mean, out.sigma])
    theirs = torch.cat(definition(head, hidden, lengths))
    limit = TOLERANCES["heads_float64"].limit
    assert relative_rms(ours, theirs) <= limit
    factor = random(*theirs.shape, seed=seed)
    inputs = [hidden, *head.parameters()]
    own = torch.autograd.grad((ours * factor).sum(), inputs)
    other = torch.autograd.grad((theirs * factor).sum(), inputs)
    assert all(relative_rms(*pair) <= limit for pair in zip(own, other, strict=True))


@pytest.mark.parametrize("shared", [False, True])
def test_float32_scores_are_near_the_definition(shared: bool) -> None:
    head, hidden = made(shared=shared), random(45, WIDTH, seed=9)
    out = head(Sequences(hidden, bounds((4, 33, 8))))
    mean, sigma = definition(head, hidden, (4, 33, 8))
    assert relative_rms(out.mean, mean) <= TOLERANCES["heads_float32"].limit
    assert relative_rms(out.sigma, sigma) <= TOLERANCES["heads_float32"].limit


def test_each_axis_reads_its_own_token_and_no_other() -> None:
    head = made()
    hidden = random(9, WIDTH).requires_grad_()
    out = head(Sequences(hidden, torch.tensor([0, 9])))
    assert out.sigma is not None
    both = out.mean + out.sigma
    for axis in range(4):
        reached = torch.autograd.grad(both[0, axis], hidden, retain_graph=True)
        assert reached[0].abs().sum(-1).nonzero().flatten().tolist() == [5 + axis]


def test_weights_are_those_of_a_multi_axis_head() -> None:
    like, head = MultiAxisHead(hidden_size=WIDTH), AxisTokensHead(hidden_size=WIDTH)
    head.readout.load_state_dict(like.state_dict())
    # Where all tokens say the same, so do both heads.
    token = random(1, WIDTH)
    ours, theirs = head(Sequences(token.repeat(4, 1), torch.tensor([0, 4]))), like(token)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.sigma, theirs.sigma)


def test_shared_weights_are_one_row_for_all_axes() -> None:
    head = made(shared=True, sigma=False)
    assert head.readout.weight.shape == (1, WIDTH)
    hidden = random(8, WIDTH)
    expected = F.linear(hidden, head.readout.weight, head.readout.bias).view(2, 4)
    torch.testing.assert_close(head(Sequences(hidden, bounds((4, 4)))).mean, expected)


def test_layers_between_are_shared_and_the_last_is_not() -> None:
    head = made(hidden_sizes=(6,), sigma=False)
    first, last = head.readout.layers()
    hidden = random(4, WIDTH)
    inner = F.silu(F.linear(hidden, *first))
    assert last[1] is not None
    expected = (inner * last[0]).sum(-1) + last[1]
    torch.testing.assert_close(head(Sequences(hidden, bounds((4,)))).mean[0], expected)


def test_a_sequence_with_fewer_tokens_than_axes_is_refused() -> None:
    with pytest.raises(InputError, match=r"sequence 1.*has 3 tokens.*the last 4") as caught:
        made()(Sequences(random(8, WIDTH), bounds((5, 3))))
    assert caught.value.code == "sequence_too_short"


def test_computes_in_float32_whatever_it_is_fed() -> None:
    head, hidden = made(), random(8, WIDTH).bfloat16()
    wide = head(Sequences(hidden.float(), bounds((5,)))).mean
    assert torch.equal(head(Sequences(hidden, bounds((5,)))).mean, wide)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(Sequences(hidden.float(), bounds((5,)))).mean, wide)
    exact = head.double()(Sequences(hidden.double(), bounds((5,))))
    assert exact.mean.dtype == torch.float64


def test_fresh_scores_are_near_even_odds_and_sigma_near_one() -> None:
    head = AxisTokensHead(hidden_size=64)
    head.reset_parameters(torch.Generator().manual_seed(0))
    out = head(Sequences(random(40, 64), bounds((10, 30))))
    assert out.mean.abs().max() < 0.3
    torch.testing.assert_close(out.sigma, torch.ones(2, 4), rtol=0, atol=0.2)


def test_config_round_trip() -> None:
    head = AxisTokensHead(
        hidden_size=4, axes=("style", "overall"), shared=True, hidden_sizes=(5,),
        activation="gelu", bias=False, sigma=False,
    )  # fmt: skip
    assert head.last_tokens == 2
    again = AxisTokensHead.from_config(head.to_config(), hidden_size=4)
    assert again.to_config() == head.to_config()
    assert again.to_config()["axes"] == ["style", "overall"]
    again.load_state_dict(head.state_dict())
    fed = Sequences(random(3, 4), torch.tensor([0, 3]))
    assert torch.equal(again(fed).mean, head(fed).mean)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shared": 1}, "head_value"),
        ({"queries": 2}, "head_key"),
        ({"axes": ["overall", "overall"]}, "axes_repeated"),
        ({"activation": "swish"}, "head_activation"),
        ({"kind": "scalar"}, "head_kind"),
    ],
)
def test_a_strange_config_is_refused(change: dict[str, object], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AxisTokensHead.from_config(change, hidden_size=4)
    assert caught.value.code == code
