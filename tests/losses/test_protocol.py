from __future__ import annotations

from dataclasses import dataclass
from inspect import unwrap

import pytest
import torch

from librehps.errors import ConfigError, InputError
from librehps.losses import LOSSES, BradleyTerry, LogisticNormal, Scores, build_loss, loss_config
from librehps.losses.protocol import check_number, difference, spread
from librehps.testing.contracts import check_pair_loss


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_registered_loss_keeps_the_contract(name: str) -> None:
    check_pair_loss(build_loss(name))


def test_a_loss_that_breaks_the_symmetry_is_caught() -> None:
    @dataclass(frozen=True)
    class OneSided:
        uses_sigma = False

        def __call__(self, a: Scores, b: Scores, target: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.softplus(b.mean - a.mean)

    with pytest.raises(AssertionError, match="swapping"):
        check_pair_loss(OneSided())


@pytest.mark.parametrize("name", list(LOSSES))
def test_sigma_is_demanded_by_name_where_it_is_used(name: str) -> None:
    loss, plain = build_loss(name), Scores(torch.zeros(3))
    if not loss.uses_sigma:
        assert loss(plain, plain, torch.ones(3)).shape == (3,)
        return
    with pytest.raises(InputError, match="choose a head with sigma") as caught:
        loss(plain, plain, torch.ones(3))
    assert caught.value.code == "sigma_missing"


def test_differences_are_formed_after_the_cast() -> None:
    a, b = torch.tensor([30.125]).bfloat16(), torch.tensor([30.0]).bfloat16()
    d, y = difference(Scores(a), Scores(b), torch.ones(1))
    assert d.dtype == y.dtype == torch.float32
    assert d.item() == a.float().item() - b.float().item()


def test_shapes_and_dtypes_must_fit() -> None:
    three, two = torch.zeros(3), torch.zeros(2)
    for a, b, target, item in (
        (Scores(three), Scores(three), two, "target"),
        (Scores(three), Scores(two), three, "mean_b"),
    ):
        with pytest.raises(InputError, match="one of each per pair") as caught:
            # Without the shape checks that only the tests switch on, a user sees this error.
            unwrap(difference)(a, b, target)
        assert (caught.value.code, caught.value.item) == ("argument_shape", item)


def test_the_spread_of_no_noise_has_a_gradient() -> None:
    sigma = torch.zeros(2, requires_grad=True)
    s = spread(Scores(torch.zeros(2), sigma), Scores(torch.zeros(2), torch.zeros(2)))
    s.sum().backward()
    assert s.tolist() == pytest.approx([1e-6, 1e-6])
    assert torch.equal(sigma.grad, torch.zeros(2))
    values = torch.tensor([3.0]), torch.tensor([4.0])
    assert spread(*(Scores(torch.zeros(1), value) for value in values)).item() == 5.0


def test_a_loss_is_rebuilt_from_its_name_or_its_config() -> None:
    assert build_loss("bradley_terry") == BradleyTerry()
    config = {"kind": "constant_margin", "margin": 0.2}
    assert loss_config(build_loss(config)) == config
    assert build_loss({"kind": "constant_margin", "margin": 1}).margin == 1.0
    assert loss_config(LogisticNormal()) == {"kind": "logistic_normal"}


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ("bradly_terry", "name_unknown"),
        ({"margin": 1.0}, "loss_key"),
        ({"kind": "constant_margin", "gap": 1.0}, "loss_key"),
        ({"kind": "constant_margin", "margin": -1.0}, "loss_value"),
        ({"kind": "rao_kupper", "theta": 1.0}, "loss_value"),
        ({"kind": "davidson", "nu": 0}, "loss_value"),
        ({"kind": "softmax_cross_entropy", "scale": float("nan")}, "loss_value"),
        ({"kind": "likelihood_displacement", "tau": float("inf")}, "loss_value"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config: object, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss(config)
    assert caught.value.code == code


def test_a_loss_that_is_not_registered_says_how_to() -> None:
    @dataclass(frozen=True)
    class Own(BradleyTerry):
        pass

    with pytest.raises(ConfigError, match=r"LOSSES\.register"):
        loss_config(Own())


def test_numbers_are_numbers() -> None:
    check_number("x", 0, low=0.0)
    for value in (True, None, "1", -0.1, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="x must be a finite number from"):
            check_number("x", value, low=0.0)
