from __future__ import annotations

from inspect import unwrap

import pytest
import torch

from librehps.errors import InputError
from librehps.losses import weighted_mean


def test_weights_weigh() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    assert weighted_mean(values).item() == 3.0
    assert weighted_mean(values, torch.tensor([1.0, 0.0, 3.0])).item() == 4.75
    assert weighted_mean(values, torch.tensor([2.0, 0.0, 6.0])).item() == 4.75


def test_no_weight_is_zero_with_a_gradient_of_zero() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    result = weighted_mean(values, torch.zeros(2))
    result.backward()
    assert result.item() == 0.0
    assert values.grad.tolist() == [0.0, 0.0]
    assert weighted_mean(torch.zeros(0)).item() == 0.0
    assert weighted_mean(torch.zeros(0), torch.zeros(0)).item() == 0.0


def test_sums_are_formed_in_float32() -> None:
    ones = torch.ones(1000, dtype=torch.bfloat16)
    assert weighted_mean(ones, ones).item() == 1.0
    assert weighted_mean(ones).dtype == torch.float32


def test_shapes_must_be_equal() -> None:
    with pytest.raises(InputError, match="weights have shape"):
        unwrap(weighted_mean)(torch.zeros(2), torch.zeros(3))


def test_what_has_no_weight_is_not_looked_at() -> None:
    values = torch.tensor([1.0, float("nan")], requires_grad=True)
    result = weighted_mean(values, torch.tensor([2.0, 0.0]))
    result.backward()
    assert result.item() == 1.0
    assert values.grad.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("weight", [-3.0, float("nan")])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(InputError, match="weights") as caught:
        weighted_mean(torch.ones(2), torch.tensor([1.0, weight]))
    assert caught.value.code == "argument_value"
