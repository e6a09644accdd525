"""Train a head and a loss of one's own: ``python own_head_and_loss.py START WORLD OUT``."""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from librehps.heads import HEADS, HeadOutput, ScalarHead
from librehps.losses import LOSSES
from librehps.model import PreferenceModel
from librehps.processing import load_processor
from librehps.training import DataRecipe, Recipe, RunRecipe, train


@HEADS.register("bounded")
class BoundedHead(ScalarHead):
    kind = "bounded"

    def forward(self, pooled):
        return HeadOutput(mean=5 * torch.tanh(self.project(pooled) / 5), sigma=None, axes=self.axes)


@LOSSES.register("brier")
@dataclass(frozen=True)
class Brier:
    uses_sigma = False

    def __call__(self, a, b, target):
        return (torch.sigmoid(a.mean - b.mean) - target).square()


start, world, out = map(Path, sys.argv[1:])
width = PreferenceModel.from_pretrained(start).model.hidden_size
model = PreferenceModel.from_pretrained(start, heads={"own": BoundedHead(hidden_size=width)})
model.save_pretrained(out / "start", processor=load_processor(start))
data = DataRecipe(train=f"{world}/train.json", validation=f"{world}/validation.json")
run = RunRecipe(steps=20, batch_pairs=8)
print(train(Recipe(start=f"{out}/start", data=data, run=run, loss="brier"), out / "run").last)
