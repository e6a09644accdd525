"""Losses: functions from scores and what people preferred to one value per pair.

Adding one: write a frozen dataclass that satisfies `PairLoss`, register it in `LOSSES`, and run
``librehps.testing.contracts.check_pair_loss`` over it.
"""

from librehps.losses.axes import AxisLoss, AxisValues
from librehps.losses.bradley_terry import (
    BradleyTerry,
    ConstantMargin,
    LikelihoodDisplacement,
    SoftmaxCrossEntropy,
)
from librehps.losses.normal import ExpectedLogistic, LogisticNormal, Thurstone
from librehps.losses.panel import PanelThurstone
from librehps.losses.protocol import LOSSES, PairLoss, Scores, build_loss, loss_config
from librehps.losses.rankings import RANKING_LOSSES, ListSoftmax, PlackettLuce, RankingLoss
from librehps.losses.ratings import RATING_LOSSES, GaussianRating, RatingLoss, SquaredError
from librehps.losses.reduce import weighted_mean
from librehps.losses.ties import Davidson, RaoKupper

__all__ = [
    "LOSSES",
    "RANKING_LOSSES",
    "RATING_LOSSES",
    "AxisLoss",
    "AxisValues",
    "BradleyTerry",
    "ConstantMargin",
    "Davidson",
    "ExpectedLogistic",
    "GaussianRating",
    "LikelihoodDisplacement",
    "ListSoftmax",
    "LogisticNormal",
    "PairLoss",
    "PanelThurstone",
    "PlackettLuce",
    "RankingLoss",
    "RaoKupper",
    "RatingLoss",
    "Scores",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "Thurstone",
    "build_loss",
    "loss_config",
    "weighted_mean",
]
