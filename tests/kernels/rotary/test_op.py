"""Tests of the checks of the rotary embedding."""

from __future__ import annotations

import pytest
import torch

from librehps.errors import BackendError, InputError
from librehps.kernels.rotary import rotary
from librehps.kernels.rotary.reference import rotary_reference


def test_the_op_gives_the_definition() -> None:
    x, angles = torch.randn(3, 2, 8), torch.randn(3, 4)
    torch.testing.assert_close(
        rotary(x, angles.cos(), angles.sin()), rotary_reference(x, angles.cos(), angles.sin())
    )


@pytest.mark.parametrize("width", [3, 10])
def test_an_odd_or_too_wide_rotation_is_refused(width: int) -> None:
    with pytest.raises(InputError, match=f"cos covers {width} dimensions") as caught:
        rotary(torch.ones(3, 2, 8), torch.ones(3, width), torch.ones(3, width))
    assert caught.value.code == "argument_shape"


def test_kernels_that_do_not_exist_are_refused() -> None:
    with pytest.raises(BackendError):
        rotary(torch.ones(3, 2, 8), torch.ones(3, 4), torch.ones(3, 4), impl="triton")
