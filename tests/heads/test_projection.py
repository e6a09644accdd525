from __future__ import annotations

import pytest
import torch
from torch import nn

from librehps.errors import ConfigError
from librehps.heads.projection import Projection


def test_names_are_those_of_linear_and_sequential() -> None:
    assert list(Projection(hidden_size=4, out_features=2).state_dict()) == ["weight", "bias"]
    mlp = Projection(hidden_size=4, out_features=2, hidden_sizes=(5, 3))
    like = nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 3), nn.SiLU(), nn.Linear(3, 2))
    assert {k: v.shape for k, v in mlp.state_dict().items()} == {
        k: v.shape for k, v in like.state_dict().items()
    }
    like.load_state_dict(mlp.state_dict())
    x = torch.randn(7, 4)
    torch.testing.assert_close(mlp.project(x), like(x))


def test_computes_in_float32_under_autocast_and_from_bfloat16() -> None:
    head = Projection(hidden_size=64, out_features=2, hidden_sizes=(16,))
    x = torch.randn(3, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = head.project(x)
    assert torch.equal(inside, head.project(x))
    assert head.project(x.bfloat16()).dtype == torch.float32
    # A careless model.to(bfloat16) rounds the weights, but not the arithmetic.
    rounded = Projection(hidden_size=64, out_features=2, hidden_sizes=(16,)).bfloat16()
    assert rounded.project(x).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"hidden_sizes": (0,)}, "head_size"),
        ({"hidden_size": -1}, "head_size"),
        # Refused before anything is asked of the allocator.
        ({"hidden_sizes": (2**40,)}, "head_size"),
        ({"hidden_sizes": (10**400, 8)}, "head_size"),
        ({"hidden_sizes": (2**20, 2**20)}, "head_size"),
        ({"hidden_size": 2**40}, "head_size"),
        ({"activation": "swish"}, "head_activation"),
    ],
)
def test_nonsense_is_refused(change: dict[str, object], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Projection(**({"hidden_size": 4, "out_features": 1} | change))
    assert caught.value.code == code


def test_fresh_scores_are_near_even_odds() -> None:
    head = Projection(hidden_size=64, out_features=3, hidden_sizes=(256,), activation="relu")
    head.reset_parameters(torch.Generator().manual_seed(0))
    first, last = (weight.detach() for weight, _ in head.layers())
    assert first.std() == pytest.approx(64**-0.5, rel=0.05)
    assert last.std() == pytest.approx(0.05 * 256**-0.5, rel=0.1)
    assert head.project(torch.randn(50, 64)).abs().max() < 0.3


def test_fresh_weights_depend_on_the_generator_alone() -> None:
    first, second = (Projection(hidden_size=8, out_features=2, bias=False) for _ in range(2))
    for head in (first, second):
        head.reset_parameters(torch.Generator().manual_seed(3))
    assert torch.equal(first.weight, second.weight)
    assert list(first.state_dict()) == ["weight"]
