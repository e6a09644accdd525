from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from librehps.errors import ConfigError
from librehps.heads import ScalarHead


def test_scores_the_overall_axis_without_sigma() -> None:
    head = ScalarHead(hidden_size=4)
    x = torch.randn(3, 4)
    out = head(x)
    assert out.axes == ("overall",)
    assert out.sigma is None
    assert torch.equal(out.mean, F.linear(x, head.weight, head.bias))


def test_config_round_trip() -> None:
    head = ScalarHead(hidden_size=4, hidden_sizes=(5,), activation="relu", bias=False)
    again = ScalarHead.from_config(head.to_config(), hidden_size=4)
    assert again.to_config() == head.to_config()
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(torch.ones(2, 4)).mean, head(torch.ones(2, 4)).mean)


def test_axes_are_no_setting_of_it() -> None:
    with pytest.raises(ConfigError) as caught:
        ScalarHead.from_config({"axes": ["style"]}, hidden_size=4)
    assert caught.value.code == "head_key"


def test_a_subclass_is_saved_under_its_own_kind() -> None:
    class Own(ScalarHead):
        kind = "own"

    config = Own(hidden_size=4).to_config()
    assert config["kind"] == "own"
    assert type(Own.from_config(config, hidden_size=4)) is Own
