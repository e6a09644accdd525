"""Strengths of players from who won against whom, after Bradley and Terry.

The likelihood alone has no greatest point where somebody has won everything, or where two sets of
players never met. So every player has also drawn one game against a player of strength 0: then it
has exactly one, always, and whoever has met nobody gets 0. What the likelihood alone would say is
told by :func:`connected_groups` and :func:`tiers`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from librehps.calibration.newton import minimise
from librehps.calibration.pairs import Numbers
from librehps.errors import InputError

__all__ = ["PRIOR_GAMES", "connected_groups", "fit_bradley_terry", "tiers"]

#: Games that every player has drawn against one of strength 0: half of each is won.
PRIOR_GAMES = 1.0

# Less than this share of the games of two players is what rounding leaves of a probability of 0.
_NOTHING = 1e-9


def fit_bradley_terry(wins: Numbers) -> Numbers:
    """Return the strength of each player: ``P(i beats j) = sigmoid(strength_i - strength_j)``.

    Maximises, by damped Newton with a test of convergence,

        ``sum_ij wins_ij log P(i beats j) + PRIOR_GAMES / 2 sum_i log P(i draws with 0)``

    with ``log P(i draws with 0) = log sigmoid(strength_i) + log sigmoid(-strength_i)``. Wins may be
    shares, and a tie is half a win for each.

    Args:
        wins: How often ``i`` has won against ``j``, not negative, with a diagonal of zeros,
            ``[G, G]``.

    Returns:
        Log-odds, with a mean of 0 over each of the :func:`connected_groups`, ``[G]``.

    Raises:
        InputError: No such matrix (code ``bradley_terry_wins``).

    References:
        R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs", 1952; for the
        drawn games F. Caron and A. Doucet, "Efficient Bayesian inference for generalized
        Bradley-Terry models", 2012, of whose kind of prior this is one.
    """
    games = _games(wins)
    total = float(wins.sum()) + PRIOR_GAMES * len(wins)

    def objective(strength: Numbers) -> tuple[float, Numbers, Numbers]:
        lead = strength[:, None] - strength[None, :]
        # -log sigmoid(x) is log(1 + e^-x), without overflow.
        loss = float((wins * np.logaddexp(0.0, -lead)).sum())
        loss += 0.5 * PRIOR_GAMES * float(np.logaddexp(0.0, strength).sum())
        loss += 0.5 * PRIOR_GAMES * float(np.logaddexp(0.0, -strength).sum())
        chance = np.exp(-np.logaddexp(0.0, -lead))
        curvature = games * chance * chance.T
        own = np.exp(-np.logaddexp(0.0, -strength))
        # Expected less won games, without the difference of two large numbers.
        gradient = (wins.T * chance - wins * chance.T).sum(axis=1) + PRIOR_GAMES * (own - 0.5)
        bend = PRIOR_GAMES * own * np.exp(-np.logaddexp(0.0, strength))
        hessian = np.diag(curvature.sum(axis=1) + bend) - curvature
        return loss / total, gradient / total, hessian / total

    # Always from zeros: where two are far apart the wrong way round, the curvature vanishes, and
    # Newton's next step from there leads out of all numbers.
    found = minimise(objective, np.zeros(len(wins)))
    # Near enough for millions of games may be far for the one that was drawn: one step more.
    _, gradient, hessian = objective(found)
    found = found - np.linalg.solve(hessian, gradient)
    group = connected_groups(wins)
    means = np.bincount(group, weights=found) / np.bincount(group)
    return found - means[group]


def connected_groups(wins: Numbers) -> NDArray[np.int64]:
    """Return which players are linked by games, however indirectly: a number for each, ``[G]``.

    Strengths of two groups are on scales of their own: nothing compares them.

    Args:
        wins: See :func:`fit_bradley_terry`.

    Raises:
        InputError: No such matrix (code ``bradley_terry_wins``).
    """
    return _numbered(_reached(_games(wins) > 0.0))


def tiers(wins: Numbers) -> NDArray[np.int64]:
    """Return who is linked by wins in both directions, however indirectly: a number for each.

    Within a tier the likelihood alone holds the strengths. Between tiers of one group it does not:
    nobody of the one has ever won against anybody of the other, so that any larger distance would
    be as likely or more, and what :func:`fit_bradley_terry` returns hangs on the drawn games.

    Args:
        wins: See :func:`fit_bradley_terry`. Less than a billionth of the games of two players is
            no win.

    Returns:
        Numbers from 0, in no order that means anything, ``[G]``.

    Raises:
        InputError: No such matrix (code ``bradley_terry_wins``).

    References:
        L. R. Ford, "Solution of a ranking problem from binary comparisons", 1957.
    """
    reached = _reached(wins > _NOTHING * _games(wins))
    return _numbered(reached & reached.T)


def _games(wins: Numbers) -> Numbers:
    """Return how often each two have met, ``[G, G]``."""
    square = wins.ndim == 2 and wins.shape[0] == wins.shape[1] > 0
    if not square or not np.isfinite(wins).all() or (wins < 0.0).any() or wins.diagonal().any():
        raise InputError(
            "wins must be a square table of finite numbers that are not negative, with a diagonal "
            "of zeros: nobody plays against themselves",
            code="bradley_terry_wins",
        )
    return wins + wins.T


def _reached(linked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return who is reached from whom in any number of steps, none included, ``[G, G]``."""
    reached = linked | np.eye(len(linked), dtype=bool)
    for _ in range(len(linked).bit_length()):
        # Counts, as float32, are exact up to 2^24 and multiplied far faster than integers.
        steps = reached.astype(np.float32)
        reached = steps @ steps > 0.0
    return reached


def _numbered(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return a number for each class of an equivalence, in the order of their first members."""
    first = same.argmax(axis=1)
    return np.unique(first, return_inverse=True)[1].astype(np.int64)
