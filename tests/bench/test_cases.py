"""Every op is measured with tensors that it takes, of the sizes that a model has."""

from __future__ import annotations

import pytest
import torch

from librehps.bench.cases import OPS, Shape
from librehps.kernels import backend
from librehps.modeling.presets import PRESETS


@pytest.mark.parametrize("name", list(OPS))
def test_the_op_and_its_definition_take_the_tensors(name: str) -> None:
    shape = Shape("nano", (3, 1, 5), torch.float32)
    case = OPS[name].make(shape)
    for function in (OPS[name].call, OPS[name].reference):
        made = function(**case.tensors, **case.bounds, **case.options)
        first = made[0] if isinstance(made, tuple) else made
        assert first.shape[0] == shape.tokens == 9
    assert min(case.operations) > 0
    again = OPS[name].make(shape)
    assert all(torch.equal(tensor, again.tensors[key]) for key, tensor in case.tensors.items())


def test_every_op_with_a_kernel_is_measured() -> None:
    assert set(OPS) - {"attention", "vision_attention"} == set(backend.TRITON_OPS)


def test_widths_are_the_model_s() -> None:
    shape = Shape("4b", (2,), torch.bfloat16)
    text = PRESETS["4b"].text
    assert OPS["attention"].make(shape).tensors["q"].shape == (2, 16, 256)
    assert OPS["attention"].make(shape).tensors["k"].shape == (2, 4, 256)
    assert OPS["vision_attention"].make(shape).tensors["v"].shape == (2, 16, 64)
    delta = OPS["gated_delta_rule"].make(shape).tensors
    assert (delta["q"].shape, delta["v"].shape) == ((2, 16, 128), (2, 32, 128))
    assert (delta["q"].dtype, delta["g"].dtype) == (torch.bfloat16, torch.float32)
    assert OPS["causal_conv1d"].make(shape).tensors["x"].shape == (2, 2 * 16 * 128 + 32 * 128)
    assert OPS["swiglu"].make(shape).tensors["up"].shape == (2, text.intermediate_size)
    assert OPS["selective_scan"].make(shape).tensors["x"].shape == (2, 80, 64)
