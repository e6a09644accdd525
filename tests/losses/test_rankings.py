from __future__ import annotations

from inspect import unwrap
from itertools import permutations

import pytest
import torch

from librehps.errors import InputError
from librehps.losses import RANKING_LOSSES, BradleyTerry, ListSoftmax, PlackettLuce, Scores

NAN = float("nan")


def test_probabilities_of_all_orders_add_up_to_one() -> None:
    mean = torch.tensor([0.3, -1.0, 2.0, 0.5], dtype=torch.float64)
    orders = torch.tensor(list(permutations(range(4))), dtype=torch.float64)
    total = (-PlackettLuce()(mean.expand(24, 4), orders)).exp().sum()
    assert total.item() == pytest.approx(1.0)


def test_two_items_are_bradley_terry_and_a_tie_is_both_orders() -> None:
    mean = torch.tensor([[0.3, 1.4]] * 3, dtype=torch.float64)
    ranks = torch.tensor([[0.0, 1.0], [5.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
    first, second = Scores(mean[:2, 0]), Scores(mean[:2, 1])
    target = torch.tensor([1.0, 0.0], dtype=torch.float64)
    expected = BradleyTerry()(first, second, target)
    actual = PlackettLuce()(mean, ranks)
    torch.testing.assert_close(actual[:2], expected)
    torch.testing.assert_close(actual[2], expected.sum())


@pytest.mark.parametrize("name", list(RANKING_LOSSES))
def test_places_without_an_item_change_nothing(name: str) -> None:
    loss = RANKING_LOSSES[name]()
    mean = torch.tensor([[0.3, 1.4, -2.0, 7.0]], requires_grad=True)
    labels = torch.tensor([[1.0, 0.0, 2.0, NAN]])
    filled = loss(mean, labels)
    torch.testing.assert_close(filled, loss(mean[:, :3], labels[:, :3]))
    (slope,) = torch.autograd.grad(filled.sum(), mean)
    assert slope.isfinite().all()
    assert slope[0, 3] == 0
    nothing = loss(mean, torch.full((1, 4), NAN))
    assert nothing.tolist() == [0.0]
    assert loss(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0,)


def test_shares_of_votes() -> None:
    mean = torch.tensor([[0.01, 0.02, 0.05]], dtype=torch.float64)
    votes = torch.tensor([[1.0, 0.0, 3.0]], dtype=torch.float64)
    log_p = (10 * mean).log_softmax(dim=-1)[0]
    expected = -(0.25 * log_p[0] + 0.75 * log_p[2])
    torch.testing.assert_close(ListSoftmax(10.0)(mean, votes)[0], expected)
    assert ListSoftmax()(mean, torch.zeros_like(mean)).item() == 0.0


def test_far_scores_stay_finite_in_bfloat16() -> None:
    mean = torch.tensor([[1e4, -1e4, 0.0]]).bfloat16().requires_grad_()
    for name in RANKING_LOSSES:
        value = RANKING_LOSSES[name]()(mean, torch.tensor([[2.0, 0.0, 1.0]]))
        (slope,) = torch.autograd.grad(value.sum(), mean)
        assert value.dtype == torch.float32
        assert value.isfinite().all()
        assert slope.isfinite().all()


def test_shapes_must_be_equal() -> None:
    with pytest.raises(InputError, match="one label for each item") as caught:
        unwrap(PlackettLuce.__call__)(PlackettLuce(), torch.zeros(2, 3), torch.zeros(2, 2))
    assert caught.value.code == "argument_shape"


def test_scores_at_the_end_of_their_range_are_finite() -> None:
    mean = torch.tensor([[1e37, -1e37, 0.0, 5.0]], requires_grad=True)
    value = ListSoftmax()(mean, torch.tensor([[1.0, 0.0, 0.0, float("nan")]]))
    (slope,) = torch.autograd.grad(value.sum(), mean)
    assert value.item() == 0.0
    assert slope.isfinite().all()


def test_votes_below_zero_are_refused() -> None:
    with pytest.raises(InputError, match="labels") as caught:
        ListSoftmax()(torch.zeros(1, 3), torch.tensor([[1.0, -1.0, 0.0]]))
    assert caught.value.code == "argument_value"
