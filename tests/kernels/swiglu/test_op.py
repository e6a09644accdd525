"""Tests of the checks of the gated activation."""

from __future__ import annotations

import pytest
import torch

from librehps.errors import BackendError, InputError
from librehps.kernels.swiglu import swiglu
from librehps.kernels.swiglu.reference import swiglu_reference


def test_the_op_gives_the_definition() -> None:
    gate, up = torch.randn(3, 8), torch.randn(3, 8)
    torch.testing.assert_close(swiglu(gate, up), swiglu_reference(gate, up))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="expected one dtype"):
        swiglu(torch.ones(3, 8), torch.ones(3, 8, dtype=torch.bfloat16))
    with pytest.raises(BackendError):
        swiglu(torch.ones(3, 8), torch.ones(3, 8), impl="triton")
