from __future__ import annotations

import pytest
import torch

from librehps.errors import ConfigError
from librehps.heads import AXES, HEADS, HeadOutput
from librehps.heads.protocol import check_axes, read_settings
from librehps.testing.contracts import check_head

KNOWN = {"axes": "names", "hidden_sizes": "widths", "activation": "name", "bias": "flag"}


@pytest.mark.parametrize("name", list(HEADS))
def test_every_registered_head_keeps_the_contract(name: str) -> None:
    check_head(HEADS[name], kind=name)


def test_output_by_axis() -> None:
    out = HeadOutput(
        mean=torch.tensor([[1.0, 2.0]]), sigma=torch.tensor([[3.0, 4.0]]), axes=("overall", "style")
    )
    mean, sigma = out.axis("style")
    assert mean.tolist() == [2.0]
    assert sigma is not None
    assert sigma.tolist() == [4.0]
    with pytest.raises(ConfigError, match="overall, style") as caught:
        out.axis("temporal")
    assert caught.value.code == "axis_unknown"


@pytest.mark.parametrize(
    ("axes", "code"),
    [
        (["overall", "beauty"], "axis_unknown"),
        (["overall", "overall"], "axes_repeated"),
        ([], "axes_repeated"),
    ],
)
def test_axes_are_known_and_distinct(axes: list[str], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_axes(axes)
    assert caught.value.code == code
    assert check_axes(list(AXES)) == AXES


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"kind": "other"}, "head_kind"),
        ({"hidden_size": [3]}, "head_key"),
        ({"hidden_sizes": "64"}, "head_value"),
        ({"hidden_sizes": [64, 1.5]}, "head_value"),
        ({"hidden_sizes": [True]}, "head_value"),
        ({"bias": "no"}, "head_value"),
        ({"activation": None}, "head_value"),
        ({"axes": "overall"}, "head_value"),
    ],
)
def test_settings_are_checked(config: dict[str, object], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(config, kind="mine", known=KNOWN)
    assert caught.value.code == code


def test_settings_come_back_without_the_kind() -> None:
    config = {"kind": "mine", "bias": False, "hidden_sizes": [3]}
    assert read_settings(config, kind="mine", known=KNOWN) == {"bias": False, "hidden_sizes": [3]}
