"""Train a head and a loss of one's own: ``python own_head_and_loss.py START WORLD OUT``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from librehps.heads import HEADS, ScalarHead
from librehps.losses import LOSSES, Scores
from librehps.losses.protocol import difference
from librehps.model import PreferenceModel
from librehps.processing import load_processor
from librehps.training import DataRecipe, Recipe, RunRecipe, train


@HEADS.register("bounded")
class BoundedHead(ScalarHead):
    """A scalar head whose scores stay between -5 and 5."""

    def forward(self, pooled):
        out = super().forward(pooled)
        return type(out)(mean=5 * torch.tanh(out.mean / 5), sigma=None, axes=out.axes)

    def to_config(self):
        return super().to_config() | {"kind": "bounded"}

    @classmethod
    def from_config(cls, config, *, hidden_size):
        return super().from_config(dict(config) | {"kind": "scalar"}, hidden_size=hidden_size)


@LOSSES.register("brier")
@dataclass(frozen=True)
class Brier:
    """(sigmoid(d) - y)^2: the squared error of the probability."""

    uses_sigma: ClassVar[bool] = False

    def __call__(self, a: Scores, b: Scores, target):
        d, y = difference(a, b, target)
        return (torch.sigmoid(d) - y).square()


start, world, out = map(Path, sys.argv[1:4])
head = BoundedHead(hidden_size=PreferenceModel.from_pretrained(start).model.hidden_size)
model = PreferenceModel.from_pretrained(start, heads={"bounded": head})
model.save_pretrained(out / "start", processor=load_processor(start))
recipe = Recipe(
    start=str(out / "start"),
    data=DataRecipe(train=str(world / "train.json"), validation=str(world / "validation.json")),
    run=RunRecipe(steps=20, batch_pairs=8),
    loss="brier",
)
print(train(recipe, out / "run", device="cpu").last)
