from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from librehps.training.distribution import Whole, clip_and_step
from librehps.training.optimizers import build_optimizers
from librehps.training.processes import Turn
from librehps.training.recipe import DataRecipe, OptimizerRecipe, Recipe, RunRecipe


def test_a_process_goes_through_its_own_and_knows_the_last() -> None:
    recipe = Recipe(start="start", data=DataRecipe(train="rows"), run=RunRecipe(steps=1))
    whole = Whole(Accelerator(cpu=True), recipe)
    assert list(whole.in_step("ab")) == [Turn("a"), Turn("b", last=True)]
    assert list(whole.in_step("")) == []


@pytest.mark.parametrize(("limit", "share"), [(0.0, 1.0), (0.5, 1.0), (0.0, 0.25)])
def test_a_step_goes_along_the_clipped_gradient_at_its_share_of_the_rate(
    limit: float, share: float
) -> None:
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    optimizer = torch.optim.SGD([{"params": [model.weight], "full_rate": 0.1}], lr=0.1)
    assert clip_and_step(model, {"sgd": optimizer}, limit=limit, share=share) == 5.0
    clipped = torch.tensor([[3.0, 4.0]]) * (limit / 5.0 if limit else 1.0)
    torch.testing.assert_close(model.weight.detach(), before - 0.1 * share * clipped)
    assert model.weight.grad is None


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_gradient_that_is_not_finite_changes_nothing(value: float) -> None:
    model = nn.Linear(2, 1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, value)
    optimizers = build_optimizers(model, OptimizerRecipe())
    norm = clip_and_step(model, optimizers, limit=1.0, share=1.0)
    assert not norm < float("inf")
    assert all(
        torch.equal(parameter, old)
        for parameter, old in zip(model.parameters(), before, strict=True)
    )
