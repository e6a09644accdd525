"""How right a pair is where people, or the scores, tie: an accuracy means nothing without its rule.

The same scores give other numbers under other rules, and every published accuracy has one, often
unsaid. Each rule here reproduces the definition of its origin, so that a number can stand beside
the number that it is compared with. Votes decide: more than half of them for ``a`` is a preference
for ``a``, and exactly half a tie.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from librehps.calibration.pairs import Numbers
from librehps.errors import ConfigError, InputError
from librehps.evaluate.judged import JudgedPairs
from librehps.registry import Registry

__all__ = ["TIE_RULES", "Credit", "TieRule", "Unsettled", "make_tie_rule"]


@dataclass(frozen=True, eq=False)
class Credit:
    """How right each pair is, and how much it counts.

    Args:
        value: In [0, 1], ``[N]``.
        weight: 0 for a pair that the rule leaves out, ``[N]``.
    """

    value: Numbers
    weight: Numbers

    @property
    def num_counted(self) -> int:
        """How many pairs count."""
        return int((self.weight > 0.0).sum())

    def accuracy(self) -> float:
        """Return the weighted mean.

        Raises:
            InputError: No pair counts (code ``tie_rule_no_pairs``).
        """
        total = float(self.weight.sum())
        if total == 0.0:
            raise InputError(
                "the tie rule leaves out every pair, so there is no accuracy",
                code="tie_rule_no_pairs",
            )
        return float(self.value @ self.weight) / total


class TieRule(ABC):
    """Says how right each pair is. To add one, subclass it and register it under its ``name``."""

    name: ClassVar[str]
    #: One line that stands beside every number.
    definition: ClassVar[str]
    #: Whether there is something to choose.
    needs_validation: ClassVar[bool] = False

    def settled(self, validation: JudgedPairs) -> TieRule:
        """Return the rule with what it has to choose chosen on ``validation``.

        Args:
            validation: Pairs that the accuracy is not counted on.

        Raises:
            InputError: There is something to choose and no pair to choose it on (code
                ``tie_rule_validation``).
        """
        return self

    @abstractmethod
    def credit(self, pairs: JudgedPairs) -> Credit:
        """Return how right each pair is.

        Raises:
            ConfigError: What has to be chosen is not (code ``tie_rule_unsettled``).
        """


class Unsettled(TieRule):
    """A rule that had nothing to choose its threshold on: it counts no pair.

    Args:
        rule: Which.
        why: The error that choosing gave.
    """

    def __init__(self, rule: TieRule, why: InputError) -> None:
        self.rule, self.why = rule, why

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the rule."""
        return self.rule.name

    @property
    def definition(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the rule, and why there is no accuracy under it."""
        return f"{self.rule.definition}; no accuracy here: {self.why.message}"

    def credit(self, pairs: JudgedPairs) -> Credit:
        """Leave out every pair."""
        return Credit(np.zeros(len(pairs)), np.zeros(len(pairs)))


TIE_RULES: Registry[type[TieRule]] = Registry("tie rule")


def make_tie_rule(name: str) -> TieRule:
    """Return the rule called ``name``, before anything is chosen.

    Raises:
        ConfigError: There is none of that name (code ``name_unknown``).
    """
    return TIE_RULES[name]()


class Strict(TieRule):
    """Pairs on which people tie are left out; equal scores are wrong.

    References:
        ``hpsv3/evaluate.py`` of HPSv3, mode "pair"; ``calc_accuracy_without_ties`` of VideoAlign,
        whose threshold of -1 makes equal scores wrong; the accuracy of TRL's RewardTrainer.
    """

    name = "strict"
    definition = "votes that tie left out; equal scores wrong"

    def credit(self, pairs: JudgedPairs) -> Credit:
        """See the base class."""
        return Credit(_agrees(pairs), _decided(pairs))


class HalfCredit(TieRule):
    """Pairs on which people tie are left out; equal scores are half right, as a coin would be.

    It is the area under the curve of the pairs, and what this project's training reports.

    References:
        Hanley and McNeil, "The meaning and use of the area under a receiver operating
        characteristic (ROC) curve", 1982.
    """

    name = "half_credit"
    definition = "votes that tie left out; equal scores half right"

    def credit(self, pairs: JudgedPairs) -> Credit:
        """See the base class."""
        return Credit(_agrees(pairs) + 0.5 * _share(pairs.scored == 0), _decided(pairs))


class ExactTie(TieRule):
    """A tie is a third answer, which scores give only where they are equal to the last bit.

    References:
        Deutsch, Foster and Freitag, "Ties matter: meta-evaluating modern metrics with pairwise
        accuracy and tie calibration", 2023, ``acc_eq`` (without their tie calibration).
    """

    name = "exact_tie"
    definition = "a tie is a third answer; only equal scores are one"

    def credit(self, pairs: JudgedPairs) -> Credit:
        """See the base class."""
        return Credit(_share(pairs.preferred == pairs.scored), np.ones(len(pairs)))


@dataclass(frozen=True)
class ThreeClass(TieRule):
    """A tie is a third answer, given where scores differ by no more than a threshold.

    The threshold is the smallest that is best on other pairs. VideoAlign and the paper choose it
    on the pairs that they then report, which can only flatter.

    Args:
        threshold: In log-odds; ``None`` before it is chosen.

    References:
        ``calc_accuracy_with_ties`` of VideoAlign; Deutsch, Foster and Freitag, 2023 (tie
        calibration).
    """

    name = "three_class"
    needs_validation = True
    definition = (
        "a tie is a third answer; scores within a threshold are one, chosen on the validation part"
    )

    threshold: float | None = None

    def settled(self, validation: JudgedPairs) -> ThreeClass:
        """See the base class."""
        _demand_validation(self.name, validation)
        gap = np.abs(validation.difference)
        # Raising the threshold past a pair takes what its order earned, and gives what a tie earns.
        tried, place = np.unique(np.concatenate([[0.0], gap]), return_inverse=True)
        change = _share(validation.preferred == 0) - _agrees(validation)
        earned = np.bincount(place[1:], weights=change, minlength=len(tried)).cumsum()
        # Sums of whole numbers are exact, so the first greatest is the smallest threshold.
        return replace(self, threshold=float(tried[int(np.argmax(earned))]))

    def credit(self, pairs: JudgedPairs) -> Credit:
        """See the base class."""
        threshold = _demand_settled(self.name, self.threshold)
        says = np.where(np.abs(pairs.difference) <= threshold, 0, pairs.scored)
        return Credit(_share(pairs.preferred == says), np.ones(len(pairs)))


@dataclass(frozen=True)
class PickScore(TieRule):
    """A tie is a third answer, and half right where the other side is none.

    The answer is a tie where the two probabilities differ by no more than a threshold, the first of
    0, 0.1, … 1 that is best on other pairs.

    Args:
        threshold: On the difference of the two probabilities; ``None`` before it is chosen.

    References:
        ``trainer/scripts/eval_preference_predictor.py`` of PickScore, which chooses on
        validation_unique and reports test_unique.
    """

    name = "pickscore"
    needs_validation = True
    definition = (
        "a tie is a third answer, half right where only one side ties; probabilities within a "
        "threshold are one, chosen on the validation part from 0, 0.1, … 1"
    )

    threshold: float | None = None

    def settled(self, validation: JudgedPairs) -> PickScore:
        """See the base class."""
        _demand_validation(self.name, validation)
        tried = [replace(self, threshold=step / 10) for step in range(11)]
        return max(tried, key=lambda rule: float(rule.credit(validation).value.sum()))

    def credit(self, pairs: JudgedPairs) -> Credit:
        """See the base class."""
        threshold = _demand_settled(self.name, self.threshold)
        for_b = 1.0 - pairs.probability
        tie = np.abs(for_b - pairs.probability) <= threshold
        says = np.where(tie, 0, np.where(pairs.probability > for_b, 1, -1))
        one_ties = (says == 0) != (pairs.preferred == 0)
        value = np.where(one_ties, 0.5, _share(says == pairs.preferred))
        return Credit(value, np.ones(len(pairs)))


class PickScoreTraining(TieRule):
    """Pairs on which people tie are half right whatever is said; equal scores are wrong otherwise.

    Where both tie it is wrong too: each side gives its half only if its score is above.

    References:
        ``trainer/tasks/clip_task.py`` of PickScore, the accuracy that its training logs.
    """

    name = "pickscore_training"
    definition = "votes that tie half right whatever is said; equal scores wrong"

    def credit(self, pairs: JudgedPairs) -> Credit:
        """See the base class."""
        half = np.where(pairs.preferred == 0, 0.5, _agrees(pairs))
        return Credit(np.where(pairs.scored == 0, 0.0, half), np.ones(len(pairs)))


class ImageReward(Strict):
    """The pairs of all prompts pooled; votes that tie are left out, and equal scores are wrong.

    On pairs it is the number that ``strict`` gives. It has a name of its own because HPSv2 gives
    another one for the same scores: see ``hpsv2_imagereward``.

    References:
        ``acc`` in ``test.py`` of ImageReward.
    """

    name = "imagereward"
    definition = "pairs of all prompts pooled; votes that tie left out; equal scores wrong"


class HPSv2ImageReward(TieRule):
    """As ``imagereward``, but the mean over prompts of the accuracy on each.

    A prompt of which every pair is left out does not count. In the origin it would divide by zero.

    References:
        ``calc_ImageReward`` and ``evaluate_IR`` of HPSv2.
    """

    name = "hpsv2_imagereward"
    definition = "mean over prompts; votes that tie left out; equal scores wrong"

    def credit(self, pairs: JudgedPairs) -> Credit:
        """See the base class."""
        return Credit(_agrees(pairs), _by_prompt(pairs, _decided(pairs)))


class HPSv2(TieRule):
    """The mean over prompts of the share of pairs that are not the wrong way round.

    A tie on either side is right. The origin ranks scores first, so that there equal scores never
    tie: it puts them in an order that their places decide.

    References:
        ``inversion_score`` and ``evaluate_rank`` of HPSv2, used for HPDv2 by HPSv2 and MPS.
    """

    name = "hpsv2"
    definition = "mean over prompts; only pairs the wrong way round are wrong, a tie never is"

    def credit(self, pairs: JudgedPairs) -> Credit:
        """See the base class."""
        wrong = pairs.preferred * pairs.scored == -1
        return Credit(1.0 - _share(wrong), _by_prompt(pairs, np.ones(len(pairs))))


def _agrees(pairs: JudgedPairs) -> Numbers:
    """Return 1 where people and scores prefer the same one, and 0 where either ties, ``[N]``."""
    return _share(pairs.preferred * pairs.scored == 1)


def _decided(pairs: JudgedPairs) -> Numbers:
    return _share(pairs.preferred != 0)


def _by_prompt(pairs: JudgedPairs, weight: Numbers) -> Numbers:
    """Return weights of which those of each prompt add up to 1, ``[N]``."""
    sums = np.bincount(pairs.prompt, weights=weight)[pairs.prompt] if len(pairs) else weight
    return np.divide(weight, sums, out=np.zeros(len(weight)), where=sums > 0.0)


def _share(mask: NDArray[np.bool_]) -> Numbers:
    return mask.astype(np.float64)


def _demand_validation(name: str, validation: JudgedPairs) -> None:
    if len(validation) == 0:
        raise InputError(
            f"the tie rule {name!r} chooses a threshold on pairs that are not reported, and there "
            "are none: give more pairs, or a suite that keeps some back",
            code="tie_rule_validation",
        )


def _demand_settled(name: str, threshold: float | None) -> float:
    if threshold is None:
        raise ConfigError(
            f"the tie rule {name!r} needs a threshold: choose it with settled(validation)",
            code="tie_rule_unsettled",
        )
    return threshold


# Called, not written above each class: as a decorator it would hide the class's own type.
for _rule in (
    Strict,
    HalfCredit,
    ExactTie,
    ThreeClass,
    PickScore,
    PickScoreTraining,
    ImageReward,
    HPSv2ImageReward,
    HPSv2,
):
    TIE_RULES.register(_rule.name)(_rule)
