from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from librehps.errors import ConfigError
from librehps.heads import AXES, MultiAxisHead


def test_outputs_are_means_then_raw_sigmas() -> None:
    head = MultiAxisHead(hidden_size=4, axes=("overall", "style"))
    x = torch.randn(3, 4)
    raw = F.linear(x, head.weight, head.bias)
    out = head(x)
    assert out.axes == ("overall", "style")
    assert torch.equal(out.mean, raw[:, :2])
    assert out.sigma is not None
    torch.testing.assert_close(out.sigma, torch.log1p(raw[:, 2:].exp()) + 1e-3)


def test_sigma_is_positive_wherever_training_leads() -> None:
    head = MultiAxisHead(hidden_size=4)
    with torch.no_grad():
        head.bias.fill_(-1e4)
    sigma = head(torch.zeros(1, 4)).sigma
    assert sigma is not None
    assert (sigma >= 1e-3).all()


def test_untrained_sigma_is_about_one() -> None:
    for hidden_sizes in ((), (8,)):
        sigma = MultiAxisHead(hidden_size=4, hidden_sizes=hidden_sizes)(torch.zeros(1, 4)).sigma
        assert sigma is not None
        torch.testing.assert_close(sigma, torch.ones_like(sigma))


def test_config_round_trip() -> None:
    head = MultiAxisHead(
        hidden_size=4, axes=AXES, hidden_sizes=(8, 6), activation="gelu", bias=False, sigma=False
    )
    again = MultiAxisHead.from_config(head.to_config(), hidden_size=4)
    assert again.to_config() == head.to_config()
    again.load_state_dict(head.state_dict())
    assert head(torch.ones(1, 4)).sigma is None
    assert torch.equal(again(torch.ones(1, 4)).mean, head(torch.ones(1, 4)).mean)


@pytest.mark.parametrize("change", [{"axes": ["beauty"]}, {"sigma": 1}, {"layers": 2}])
def test_a_strange_config_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        MultiAxisHead.from_config(change, hidden_size=4)
