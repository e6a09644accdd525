"""A calibration: one fit for each benchmark and one for all, with what they were fitted from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from librehps.calibration.fitted import FittedCalibrator
from librehps.calibration.pairs import ScorePairs
from librehps.calibration.protocol import CALIBRATORS
from librehps.errors import ConfigError, InputError
from librehps.registry import nearest
from librehps.results import AXIS_FIELDS, AxisScore

__all__ = [
    "GLOBAL",
    "TIE_RULES",
    "Calibration",
    "Fit",
    "TieRule",
    "demand_axis",
    "demand_tie_rule",
    "fit_calibration",
    "fitted_type",
]

#: The name of the fit on the pairs of all benchmarks.
GLOBAL = "<global>"

#: What became of targets of 0.5: they counted as half a vote for each, or were left out.
TieRule: TypeAlias = Literal["half", "dropped"]
TIE_RULES: tuple[TieRule, ...] = ("half", "dropped")

_MAX_NAME = 200


@dataclass(frozen=True)
class Fit:
    """A calibrator and the evidence for it.

    Args:
        calibrator: What was fitted.
        num_pairs: How many pairs it was fitted from; ``None`` where an old file does not say.
        num_ties: How many of them were ties.

    Raises:
        ConfigError: A count that is negative, or more ties than pairs (code
            ``calibration_number``).
    """

    calibrator: FittedCalibrator
    num_pairs: int | None = None
    num_ties: int | None = None

    def __post_init__(self) -> None:
        pairs, ties = self.num_pairs or 0, self.num_ties or 0
        too_many = self.num_pairs is not None and ties > pairs
        if pairs < 0 or ties < 0 or too_many:
            raise ConfigError(
                f"num_pairs is {self.num_pairs} and num_ties {self.num_ties}; neither is negative, "
                "and no more pairs tie than there are",
                code="calibration_number",
            )


@dataclass(frozen=True)
class Calibration:
    """Fits of one kind on one axis of one model, by benchmark.

    It is a calibrator itself: handed to ``compare_images`` it answers with :attr:`default`.

    Args:
        kind: A name in ``CALIBRATORS``.
        fits: The fits by the name of their benchmark; ``"<global>"`` is the one on all pairs.
        axis: The axis they are for; ``None`` where an old file does not say.
        ties: What became of ties; ``None`` where an old file does not say.
        model: Fingerprint of the model whose scores were fitted; ``None`` where it is not known.
        benchmark: The fit that is the default.

    Raises:
        ConfigError: No fit for ``benchmark`` (code ``calibration_benchmark``; lists those that
            there are), a fit of another kind (``calibration_kind``), an unknown axis
            (``calibration_axis``) or tie rule (``calibration_ties``), a name of a benchmark that
            is empty or too long (``calibration_benchmark``).
    """

    kind: str
    fits: Mapping[str, Fit]
    axis: str | None = None
    ties: TieRule | None = None
    model: str | None = None
    benchmark: str = GLOBAL

    def __post_init__(self) -> None:
        for name, fit in self.fits.items():
            if not 0 < len(name) <= _MAX_NAME:
                raise ConfigError(
                    f"the name of a benchmark has {len(name)} characters; 1 to {_MAX_NAME} are "
                    "allowed",
                    code="calibration_benchmark",
                )
            if fit.calibrator.kind != self.kind:
                raise ConfigError(
                    f"the fit for {name!r} is a {fit.calibrator.kind!r}, not a {self.kind!r}",
                    code="calibration_kind",
                )
        demand_axis(self.axis)
        demand_tie_rule(self.ties)
        _ = self[self.benchmark]

    @property
    def default(self) -> FittedCalibrator:
        """The calibrator of the default benchmark: that on all pairs unless one was asked for."""
        return self[self.benchmark]

    @property
    def benchmarks(self) -> list[str]:
        """The benchmarks with a fit of their own."""
        return [name for name in self.fits if name != GLOBAL]

    def __getitem__(self, benchmark: str) -> FittedCalibrator:
        """Return the calibrator of a benchmark.

        Raises:
            ConfigError: There is none (code ``calibration_benchmark``); lists those that there are.
        """
        if benchmark not in self.fits:
            raise ConfigError(
                f"no fit for the benchmark {benchmark!r}{nearest(benchmark, self.fits)}",
                code="calibration_benchmark",
            )
        return self.fits[benchmark].calibrator

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        """Return the probability by :attr:`default` that ``a`` is preferred to ``b``."""
        return self.default.probability(score_a, score_b)

    def demand(self, *, axis: str | None = None, model: str | None = None) -> None:
        """Refuse a use for which the fits were not made.

        Args:
            axis: The axis that will be compared; ``None`` to not ask.
            model: Fingerprint of the model that will score; ``None`` to not ask.

        Raises:
            ConfigError: They are for another axis (code ``calibration_axis``) or for another model
                (``calibration_other_model``), or it is not known for which.
        """
        if axis is not None and axis != self.axis:
            raise ConfigError(
                f"fitted on the axis {self.axis or '(not known)'}, not on {axis}: scores on "
                "different axes are in different units; fit one for this axis",
                code="calibration_axis",
            )
        if model is not None and model != self.model:
            raise ConfigError(
                f"fitted to the scores of the model {self.model or '(not known)'}, not of {model}: "
                "fit again on the scores of this model",
                code="calibration_other_model",
            )


def fit_calibration(
    kind: str,
    pairs: Mapping[str, ScorePairs],
    *,
    axis: str = "overall",
    ties: TieRule = "half",
    model: str | None = None,
) -> Calibration:
    """Fit one calibrator for each benchmark and one for the pairs of all.

    In the one for all every pair counts by its weight, so large benchmarks count for more.

    Args:
        kind: A name in ``CALIBRATORS``.
        pairs: Scored pairs by the name of their benchmark.
        axis: The axis that was scored.
        ties: Whether targets of 0.5 count as half a vote for each or are left out.
        model: Fingerprint of the model; see :func:`~librehps.calibration.fingerprint`.

    Raises:
        ConfigError: The kind is not known (code ``name_unknown``) or is not fitted
            (``calibration_kind``), an unknown axis or tie rule, or no benchmark
            (``calibration_benchmark``).
        InputError: Pairs that cannot be fitted; ``item`` names the benchmark.
    """
    calibrator_type = fitted_type(kind)
    demand_axis(axis)
    demand_tie_rule(ties)
    if not pairs or GLOBAL in pairs:
        raise ConfigError(
            f"give the pairs of at least one benchmark, and none called {GLOBAL!r}: that is the "
            "fit of all",
            code="calibration_benchmark",
        )
    kept = {
        name: some.take(some.target != 0.5) if ties == "dropped" else some
        for name, some in pairs.items()
    }
    fits: dict[str, Fit] = {}
    for name, some in {GLOBAL: ScorePairs.joined(list(kept.values())), **kept}.items():
        try:
            calibrator = calibrator_type.fit(some)
        except InputError as error:
            raise error.at(f"benchmark {name!r}") from error
        fits[name] = Fit(calibrator, num_pairs=len(some), num_ties=some.num_ties)
    return Calibration(kind, fits, axis=axis, ties=ties, model=model)


def fitted_type(kind: str) -> type[FittedCalibrator]:
    """Return the class of a kind of calibrator that is fitted.

    Raises:
        ConfigError: The kind is not known (code ``name_unknown``), or it needs no fit
            (``calibration_kind``).
    """
    found = CALIBRATORS[kind]
    if not issubclass(found, FittedCalibrator):
        fitted = [name for name in CALIBRATORS if issubclass(CALIBRATORS[name], FittedCalibrator)]
        raise ConfigError(
            f"the calibrator {kind!r} is not fitted; those that are: {', '.join(fitted)}",
            code="calibration_kind",
        )
    return found


def demand_axis(axis: str | None) -> None:
    """Refuse an axis that does not exist; ``None`` is one that is not known.

    Raises:
        ConfigError: Code ``calibration_axis``.
    """
    if axis is not None and axis not in AXIS_FIELDS:
        raise ConfigError(
            f"no axis is called {axis!r}; known: {', '.join(AXIS_FIELDS)}", code="calibration_axis"
        )


def demand_tie_rule(ties: str | None) -> None:
    """Refuse a tie rule that does not exist; ``None`` is one that is not known.

    Raises:
        ConfigError: Code ``calibration_ties``.
    """
    if ties is not None and ties not in TIE_RULES:
        raise ConfigError(
            f"no tie rule is called {ties!r}; known: {', '.join(TIE_RULES)}",
            code="calibration_ties",
        )
