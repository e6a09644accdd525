from __future__ import annotations

import math

import pytest
import torch

from librehps.losses import Davidson, RaoKupper, Scores

D = torch.linspace(-30, 30, 61, dtype=torch.float64)
ZERO = Scores(torch.zeros_like(D))


@pytest.mark.parametrize("loss", [RaoKupper(1.5), RaoKupper(), Davidson(0.2), Davidson(3.0)])
def test_three_probabilities_add_up_to_one(loss: RaoKupper | Davidson) -> None:
    win, tie, lost = (log.exp() for log in loss.log_probabilities(D))
    torch.testing.assert_close(win + tie + lost, torch.ones_like(D))
    torch.testing.assert_close(win, lost.flip(0))
    torch.testing.assert_close(tie, tie.flip(0))
    assert tie.argmax() == 30


def test_rao_and_kupper_by_their_own_equation() -> None:
    theta, strength = 2.0, D.exp()
    win, tie, _ = (log.exp() for log in RaoKupper(theta).log_probabilities(D))
    torch.testing.assert_close(win, strength / (strength + theta))
    torch.testing.assert_close(
        tie, strength * (theta**2 - 1) / ((strength + theta) * (1 + theta * strength))
    )


def test_davidson_by_his_own_equation() -> None:
    nu, strength = 0.7, D.exp()
    win, tie, _ = (log.exp() for log in Davidson(nu).log_probabilities(D))
    total = strength + 1 + nu * strength.sqrt()
    torch.testing.assert_close(win, strength / total)
    torch.testing.assert_close(tie, nu * strength.sqrt() / total)


@pytest.mark.parametrize("loss", [RaoKupper(), Davidson()])
def test_targets_are_shared_out_among_the_outcomes(loss: RaoKupper | Davidson) -> None:
    win, tie, lost = loss.log_probabilities(D)
    for y, expected in (
        (1.0, -win),
        (0.5, -tie),
        (0.0, -lost),
        (0.75, -(win + tie) / 2),
        (0.1, -(0.8 * lost + 0.2 * tie)),
    ):
        torch.testing.assert_close(loss(Scores(D), ZERO, torch.full_like(D, y)), expected)


def test_a_tie_is_best_met_by_equal_scores() -> None:
    for loss in (RaoKupper(), Davidson()):
        values = loss(Scores(D), ZERO, torch.full_like(D, 0.5))
        assert values.argmin() == 30
    assert Davidson(1.0).log_probabilities(torch.zeros(()))[1].item() == pytest.approx(
        math.log(1 / 3)
    )


def test_a_threshold_without_end_makes_every_pair_a_tie() -> None:
    win, tie, lost = RaoKupper(1e200).log_probabilities(D)
    assert tie.abs().max() == 0.0
    assert win.isfinite().all()
    assert lost.isfinite().all()
