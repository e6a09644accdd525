"""Annotators whose habits are known, so that the probability of every vote is known too.

An annotator looks at two pictures whose qualities differ by ``d``. What they see of it has logistic
noise, and the more there is to look at, the more: each object beyond the first makes it `CLUTTER`
times as wide. Now and then they do not look and vote at random::

    P(a) = lapse / 2 + (1 - lapse) sigmoid(reliability d / noise),  noise = clutter^(objects - 1)

So some pairs are harder to judge than others that differ as much, and it can be seen which: that is
what a sigma of a picture can be about, as in Thurstone's law with unequal dispersions.
The annotator of a vote is drawn from a panel, so the probability of a vote for ``a`` is the mean
over the panel. It is exact, and so is the distribution of a number of votes: binomial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from librehps.errors import ConfigError

__all__ = ["CLUTTER", "PANEL", "Annotator", "majority_probability", "noise_of", "vote_probability"]

CLUTTER = 3.0
"""How many times as noisy each object beyond the first makes what an annotator sees."""


@dataclass(frozen=True)
class Annotator:
    """One annotator.

    Args:
        reliability: Log-odds per unit of quality where there is one object, not negative.
        lapse: Share of votes that are cast at random, in [0, 1].

    Raises:
        ConfigError: A number out of range (code ``annotator_value``).
    """

    reliability: float
    lapse: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.reliability < math.inf and 0.0 <= self.lapse <= 1.0):
            raise ConfigError(
                f"an annotator's reliability is at least 0 and the lapse in [0, 1]: {self}",
                code="annotator_value",
            )

    def probability(self, difference: float, *, noise: float = 1.0) -> float:
        """Return the probability of a vote for ``a``, whose quality is ``difference`` higher.

        Args:
            difference: Quality of ``a`` less that of ``b``.
            noise: See `noise_of`.

        Raises:
            ConfigError: A difference that is NaN, or noise that is not above 0 (code
                ``annotator_value``).
        """
        if math.isnan(difference) or not 0.0 < noise < math.inf:
            raise ConfigError(
                f"a difference is a number and noise above 0 and finite: {difference}, {noise}",
                code="annotator_value",
            )
        if self.reliability == 0.0:
            # Whoever sees nothing sees no endless difference either.
            return 0.5
        sigmoid = 0.5 * (1.0 + math.tanh(0.5 * self.reliability * difference / noise))
        return 0.5 * self.lapse + (1.0 - self.lapse) * sigmoid


PANEL = (
    Annotator(reliability=3.2, lapse=0.01),
    Annotator(reliability=2.4, lapse=0.02),
    Annotator(reliability=2.0, lapse=0.04),
    Annotator(reliability=1.4, lapse=0.08),
)
"""Four kinds of annotators, each as frequent as the others; from careful to careless."""


def noise_of(num_objects: int, *, clutter: float = CLUTTER) -> float:
    """Return how many times as noisy as a single object a picture is to look at.

    Args:
        num_objects: Objects that a prompt asks for, at least 1.
        clutter: How many times as noisy each one beyond the first makes it, at least 1.

    Raises:
        ConfigError: A number out of range, or noise that is too large for a float (code
            ``annotator_value``).
    """
    if num_objects < 1 or not 1.0 <= clutter < math.inf:
        raise ConfigError(
            f"there is at least 1 object and clutter is at least 1: {num_objects}, {clutter}",
            code="annotator_value",
        )
    try:
        return float(clutter) ** (num_objects - 1)
    except OverflowError as error:
        raise ConfigError(
            f"{num_objects} objects with a clutter of {clutter} are noisier than a float can say",
            code="annotator_value",
        ) from error


def vote_probability(
    difference: float,
    *,
    num_objects: int = 1,
    panel: Sequence[Annotator] = PANEL,
    clutter: float = CLUTTER,
) -> float:
    """Return the probability that a vote of someone on the panel is for ``a``.

    Args:
        difference: Quality of ``a`` less that of ``b``.
        num_objects: How much there is to look at.
        panel: The annotators, each as likely as the others; at least one.
        clutter: See `noise_of`.

    Raises:
        ConfigError: Nobody is on the panel, or a number is out of range (code
            ``annotator_value``).
    """
    if not panel:
        raise ConfigError("a panel has at least one annotator", code="annotator_value")
    noise = noise_of(num_objects, clutter=clutter)
    votes = [one.probability(difference, noise=noise) for one in panel]
    return math.fsum(votes) / len(votes)


def majority_probability(probability: float, votes: int) -> tuple[float, float]:
    """Return how likely the majority of some votes is for ``a``, and how likely there is none.

    Args:
        probability: Of a single vote for ``a``.
        votes: How many votes are cast, at least 1.

    Raises:
        ConfigError: A number out of range (code ``annotator_value``).
    """
    if votes < 1 or not 0.0 <= probability <= 1.0:
        raise ConfigError(
            f"at least 1 vote with a probability in [0, 1], not {votes} with {probability}",
            code="annotator_value",
        )
    if probability in (0.0, 1.0):
        return float(probability), 0.0
    counts = np.arange(votes + 1)
    # In logarithms, as the ways to cast a thousand votes are more than a float can count.
    factorials = np.array([math.lgamma(count + 1.0) for count in range(votes + 1)])
    ways = factorials[-1] - factorials - factorials[::-1]
    chances = counts * math.log(probability) + counts[::-1] * math.log1p(-probability)
    masses = np.exp(ways + chances)
    return float(masses[2 * counts > votes].sum()), float(masses[2 * counts == votes].sum())
