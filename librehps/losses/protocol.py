"""What a loss on pairs is: the scores it gets, the protocol, the registry, saving and rebuilding.

Every pair loss is a pure function of two scores and a target, one value per pair; how the values
become one number is the business of ``reduce``. All obey one symmetry: swapping the two items and
the target gives the same value, ``loss(a, b, y) == loss(b, a, 1 - y)``.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch

from librehps.errors import ConfigError, InputError
from librehps.registry import Registry
from librehps.typing import Bool, Float, Tensor

__all__ = [
    "LOSSES",
    "TINY_SIGMA",
    "PairLoss",
    "Scores",
    "bounded",
    "build_loss",
    "check_number",
    "check_range",
    "difference",
    "loss_config",
    "spread",
]

TINY_SIGMA = 1e-6
"""Stands beside a sigma, so that the root of the variance has a slope where it is zero."""
# Its square is finite in float32.
_WIDEST_SIGMA = 1e18


@dataclass(frozen=True)
class Scores:
    """Scores of a batch of items on one axis, in log-odds.

    Args:
        mean: Expected scores.
        sigma: Standard deviations of the scores; ``None`` where the head has none.
    """

    mean: Float[Tensor, "*batch"]
    sigma: Float[Tensor, "*batch"] | None = None


@runtime_checkable
class PairLoss(Protocol):
    """A function of two scores and a target, without state; implementations are frozen dataclasses.

    It computes in float32, or in float64 where its inputs are float64.
    """

    #: Whether scores without sigma are refused.
    uses_sigma: ClassVar[bool]

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair, in nats.

        Args:
            a: Scores of the first items.
            b: Scores of the second items.
            target: How far ``a`` is preferred, in [0, 1]: the share of votes for ``a``; 0.5 where
                people were divided or saw no difference.

        Raises:
            InputError: Shapes differ or the target is no floating tensor (code
                ``argument_shape`` or ``argument_dtype``), or the loss needs sigmas and there are
                none (``sigma_missing``); on a CPU, where that costs nothing, a target is outside
                [0, 1] (``argument_value``).
        """
        ...


LOSSES: Registry[type[PairLoss]] = Registry("loss")
"""Pair losses by the names that recipes use."""


def difference(
    a: Scores, b: Scores, target: Float[Tensor, "*batch"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Return ``mean_a - mean_b`` and the target, in float32 or wider, after checking them.

    Raises:
        InputError: See ``PairLoss.__call__``.
    """
    for name, tensor in (("mean_b", b.mean), ("target", target)):
        if tensor.shape != a.mean.shape:
            raise InputError(
                f"{name} has shape {list(tensor.shape)}, mean_a {list(a.mean.shape)}: "
                "a pair loss takes one of each per pair",
                code="argument_shape",
                item=name,
            )
    if not target.is_floating_point():
        raise InputError(
            f"target is {target.dtype}; expected a floating dtype with values in [0, 1]",
            code="argument_dtype",
            item="target",
        )
    wide = torch.promote_types(torch.promote_types(a.mean.dtype, b.mean.dtype), torch.float32)
    check_range("target", target, high=1.0)
    # Cast first: in bfloat16 two scores near 30 differ by a multiple of 1/8.
    first, second = a.mean.to(wide), b.mean.to(wide)
    finite = first.isfinite() & second.isfinite()
    return bounded(first - second, finite), target.to(wide)


def bounded(x: Float[Tensor, "*batch"], finite: Bool[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return ``x``, with the largest number of its dtype where it has overflowed: 0 times it is 0.

    Args:
        x: What was made of scores.
        finite: Whether those were finite. Those that were not are not to look as if they had been.
    """
    largest = torch.finfo(x.dtype).max
    return torch.where(finite, x.clamp(min=-largest, max=largest), x)


def spread(a: Scores, b: Scores) -> Float[Tensor, "*batch"]:
    """Return ``sqrt(sigma_a² + sigma_b²)``: the standard deviation of the difference.

    ``1e-6`` is added in the same way, which changes a sigma of 1e-3 by half a millionth of itself;
    more than 1e18 counts as that.

    Raises:
        InputError: A score has no sigma (code ``sigma_missing``), or one of another shape
            (``argument_shape``).
    """
    if a.sigma is None or b.sigma is None:
        raise InputError(
            "this loss needs a sigma for every score and the head gives none: choose a head with "
            "sigma, or a loss without (bradley_terry)",
            code="sigma_missing",
        )
    for name, sigma in (("sigma_a", a.sigma), ("sigma_b", b.sigma)):
        if sigma.shape != a.mean.shape:
            raise InputError(
                f"{name} has shape {list(sigma.shape)}, mean_a {list(a.mean.shape)}",
                code="argument_shape",
                item=name,
            )
    wide = torch.promote_types(torch.promote_types(a.sigma.dtype, b.sigma.dtype), torch.float32)
    # hypot() and not a root of squares, which overflow in float32 from 2e19.
    tiny = torch.full((), TINY_SIGMA, dtype=wide, device=a.sigma.device)
    total = torch.hypot(a.sigma.to(wide), torch.hypot(b.sigma.to(wide), tiny))
    return total.clamp(max=_WIDEST_SIGMA)


def check_range(name: str, values: Tensor, *, high: float = math.inf) -> None:
    """Raise unless all values are in [0, ``high``], where looking at them costs nothing: on a CPU.

    Raises:
        InputError: Some are not (code ``argument_value``).
    """
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return
    inside = ((values >= 0) & (values <= high)).all()
    try:
        valid = bool(inside)
    except RuntimeError:  # Under torch.func.vmap there is no one answer.
        return
    if not valid:
        limits = "not negative" if high == math.inf else f"in [0, {high:g}]"
        raise InputError(
            f"{name} has values from {values.min().item():g} to {values.max().item():g}; "
            f"they must be {limits}, and numbers",
            code="argument_value",
            item=name,
        )


def check_number(name: str, value: Any, *, low: float, open_low: bool = False) -> None:
    """Raise unless a setting of a loss is a finite number from ``low``.

    Raises:
        ConfigError: It is not (code ``loss_value``).
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # An integer has no bound: beyond the largest float it is none of the numbers meant here.
    if not (number and low <= value <= sys.float_info.max) or (open_low and value == low):
        above = "above" if open_low else "from"
        raise ConfigError(
            f"{name} must be a finite number {above} {low}, not {value!r}", code="loss_value"
        )


def loss_config(loss: PairLoss) -> dict[str, Any]:
    """Return a registered loss as JSON data: its name as ``kind``, and its settings.

    Raises:
        ConfigError: Its class is not registered (code ``name_unknown``).
    """
    for name in LOSSES:
        if LOSSES[name] is type(loss):
            return {"kind": name} | dataclasses.asdict(loss)  # pyright: ignore[reportArgumentType]
    raise ConfigError(
        f"{type(loss).__name__} is not registered: LOSSES.register(name)({type(loss).__name__})",
        code="name_unknown",
    )


def build_loss(config: str | Mapping[str, Any]) -> PairLoss:
    """Build a loss from its name, or from what `loss_config` returned.

    Raises:
        ConfigError: An unknown name (code ``name_unknown``), a missing ``kind`` or an unknown
            setting (``loss_key``), a value out of range (``loss_value``).
    """
    mapping = config if isinstance(config, Mapping) else {"kind": config}
    settings: dict[str, Any] = dict(mapping)
    if not isinstance(settings.get("kind"), str):
        raise ConfigError("a loss needs a 'kind', the name of a loss", code="loss_key")
    constructor: Any = LOSSES[settings.pop("kind")]
    known = [field.name for field in dataclasses.fields(constructor)]
    for key in settings:
        if key not in known:
            raise ConfigError(
                f"{constructor.__name__} has no setting {key!r}; it has "
                f"{', '.join(known) or 'none'}",
                code="loss_key",
            )
    return constructor(**{key: _as_float(value) for key, value in settings.items()})


def _as_float(value: Any) -> Any:
    """Return 1.0 for 1, which a recipe may write; true is no number."""
    if type(value) is not int:
        return value
    if abs(value) > sys.float_info.max:
        return math.inf if value > 0 else -math.inf
    return float(value)
