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


@pytest.mark.parametrize("target", [2.0, -0.1, float("nan")])
@pytest.mark.parametrize("name", list(LOSSES))
def test_a_target_that_is_no_share_is_refused(name: str, target: float) -> None:
    scores = Scores(torch.zeros(2), torch.ones(2))
    with pytest.raises(InputError, match="target") as caught:
        build_loss(name)(scores, scores, torch.tensor([1.0, target]))
    assert (caught.value.code, caught.value.item) == ("argument_value", "target")


def test_a_loss_can_be_mapped_over_pairs() -> None:
    means, targets = torch.randn(2, 5), torch.rand(5)

    def one(a: torch.Tensor, b: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return BradleyTerry()(Scores(a), Scores(b), y)

    together = BradleyTerry()(Scores(means[0]), Scores(means[1]), targets)
    torch.testing.assert_close(torch.func.vmap(one)(*means, targets), together)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", list(LOSSES))
def test_scores_at_the_end_of_their_range_are_finite(name: str, dtype: torch.dtype) -> None:
    far = torch.tensor([3e38], dtype=dtype, requires_grad=True)
    sigma = torch.ones(1, dtype=dtype)
    # The difference overflows, and so do its multiples.
    for share in (1.0, 0.5, 0.0):
        value = build_loss(name)(
            Scores(far, sigma), Scores(-far.detach(), sigma), torch.tensor([share])
        )
        (slope,) = torch.autograd.grad(value.sum(), far)
        assert value.isfinite().all(), share
        assert slope.isfinite().all(), share
        assert (value.item() < 1e-6) == (share == 1.0)


@pytest.mark.parametrize("name", ["bradley_terry", "softmax_cross_entropy", "logistic_normal"])
def test_scores_that_are_no_numbers_are_not_made_to_look_as_if_they_were(name: str) -> None:
    sigma = torch.ones(1)
    for score in (float("inf"), float("nan")):
        first = Scores(torch.tensor([score]), sigma)
        value = build_loss(name)(first, Scores(torch.zeros(1), sigma), torch.zeros(1))
        assert not value.isfinite().any()


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].uses_sigma])
def test_a_sigma_without_end_has_a_slope_of_zero(name: str) -> None:
    sigma = torch.tensor([2e19, 3e38], requires_grad=True)
    ones = torch.ones(2)
    value = build_loss(name)(Scores(ones, sigma), Scores(0.0 * ones, sigma), ones)
    (slope,) = torch.autograd.grad(value.sum(), sigma)
    assert value.isfinite().all()
    assert slope.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("config", [None, 3, ["bradley_terry"], {"kind": None}])
def test_what_is_no_config_is_refused(config: object) -> None:
    with pytest.raises(ConfigError, match="'kind'") as caught:
        unwrap(build_loss)(config)
    assert caught.value.code == "loss_key"


def test_an_integer_without_end_is_no_number() -> None:
    with pytest.raises(ConfigError, match="finite"):
        build_loss({"kind": "constant_margin", "margin": 10**400})
