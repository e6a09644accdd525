from __future__ import annotations

import pytest
import torch
from torch import nn

from librehps.errors import ConfigError
from librehps.heads import RankNetHead


def published(hidden_size: int) -> nn.Sequential:
    """The module whose weights are published, by its own layout."""
    return nn.Sequential(
        nn.Linear(hidden_size, 1024),
        nn.ReLU(),
        nn.Dropout(0.05),
        nn.Linear(1024, 16),
        nn.ReLU(),
        nn.Linear(16, 2),
    )


def test_published_weights_load_as_they_are() -> None:
    theirs = published(12).eval()
    head = RankNetHead(hidden_size=12).eval()
    head.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 12)
    mean, log_sigma = theirs(x).split(1, dim=-1)
    out = head(x)
    torch.testing.assert_close(out.mean, mean)
    torch.testing.assert_close(out.sigma, log_sigma.exp())


def test_some_outputs_are_dropped_in_training_only() -> None:
    head = RankNetHead(hidden_size=4, dropout=0.5)
    x = torch.randn(3, 4)
    assert not torch.equal(head(x).mean, head(x).mean)
    head.eval()
    assert torch.equal(head(x).mean, head(x).mean)


@pytest.mark.parametrize("bias", [1e4, -1e4])
def test_sigma_stays_finite_and_positive_wherever_training_leads(bias: float) -> None:
    head = RankNetHead(hidden_size=4).eval()
    with torch.no_grad():
        head.get_parameter("5.bias").fill_(bias)
    sigma = head(torch.zeros(1, 4)).sigma
    assert sigma.isfinite().all()
    assert (sigma > 0).all()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"hidden_sizes": (8,)}, "head_size"),
        ({"hidden_sizes": (8, 0)}, "head_size"),
        ({"hidden_sizes": (2**60, 16)}, "head_size"),
        ({"dropout": 1.0}, "head_value"),
        ({"dropout": -0.1}, "head_value"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RankNetHead(hidden_size=4, **settings)
    assert caught.value.code == code


def test_a_config_of_the_wrong_type_is_refused() -> None:
    for value in ("0.1", True, None):
        with pytest.raises(ConfigError) as caught:
            RankNetHead.from_config({"dropout": value}, hidden_size=4)
        assert caught.value.code == "head_value"
