"""Teaches a small model what is true of drawn pictures, before it learns from what people say.

    python scripts/teach_nano.py .nano/start .nano/seeing --steps 6000
    torchrun --nproc-per-node 2 scripts/teach_nano.py .nano/seeing .nano/judging --judge

A pair of pictures says one thing about both: which is better. Who drew them knows more. Of every
object the layout says which shape, colour, texture and size lies where, how far it is on the way to
another, how much of it can be seen, and what is broken; so a linear layer is put on the rows that
the vision tower gives to the text model, names the object whose centre a square holds, and is
thrown away in the end. That is the first lesson, and the tower's alone. With --judge there is a
second one, of the whole model: each picture has a quality on every axis, which its faults take
away, and that is what the heads shall say.

Votes are not looked at, and scenes are those of training. What votes have to say, which is how sure
a difference is, is left to librehps train.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import distributed, nn
from torch.utils.data import DataLoader, IterableDataset

from librehps.data.synthetic.finish import FINISHES, Finish
from librehps.data.synthetic.layout import Layout
from librehps.data.synthetic.scene import COLOURS, SHAPES, SIZES, TEXTURES, Split
from librehps.data.synthetic.warp import WARPS, Warp
from librehps.data.synthetic.world import SyntheticPicture, World
from librehps.inputs.batch import Batch
from librehps.inputs.processor import Processor
from librehps.model import PreferenceModel
from librehps.modeling import Qwen3_5Backbone
from librehps.processing import load_processor
from librehps.progress import progress_bar
from librehps.training.optimizers import build_optimizers, set_rates
from librehps.training.recipe import OptimizerRecipe, ScheduleRecipe
from librehps.training.schedule import rate_share

NAMES = {"shape": SHAPES, "texture": TEXTURES, "colour": COLOURS, "size": SIZES}
# Shapes and textures are what is hard to see.
NAME_WEIGHTS = {"shape": 1.0, "texture": 1.0, "colour": 0.3, "size": 0.3}
DEGREES = (*WARPS, "opacity")
DEGREES_WEIGHT = 3.0
# Of the names while the whole model learns: so that the tower does not forget them.
REMINDER = 0.3
# What the heads shall say per unit of quality: about what they say when they have learned from
# votes, where a fault of full strength costs five.
UNIT = 0.4
JUDGE_WEIGHTS = {"overall": 1.0, "alignment": 1.0, "coherence": 0.5, "style": 0.3}
# In every second pair: what votes ask for least and is learned last. --practice changes it.
PRACTICE = {
    "shape": 2.5,
    "texture": 2.5,
    "relation": 2.0,
    "colour": 1.5,
    "count": 1.0,
    "subject": 0.5,
    "melted": 1.0,
    "broken": 0.7,
    "shuffled": 0.5,
}


@dataclass(frozen=True)
class Lesson:
    """Pictures with their prompts, and what is true of them.

    Args:
        batch: A sequence for each.
        squares: Row of the tower's output that holds the centre of an object, ``[N]``.
        names: By trait, how much of an object is which, ``[N, names]``.
        degrees: How much of each of `DEGREES` an object has, ``[N, 4]``.
        finishes: How much of each of ``FINISHES`` a picture has, ``[I, 4]``.
        qualities: By axis, what the faults of each picture leave of it, ``[I]``.
    """

    batch: Batch
    squares: torch.Tensor
    names: dict[str, torch.Tensor]
    degrees: torch.Tensor
    finishes: torch.Tensor
    qualities: dict[str, torch.Tensor]


class Lessons(IterableDataset[Lesson]):
    """Lessons without end.

    Args:
        seed: Of the pictures.
        side: Of a picture, in pixels.
        split: Of whose scenes.
        pictures: In a lesson.
        processor: Of the model that learns.
        share: Which of how many processes this is: each draws pairs of its own.
        practice: How often each kind of fault comes in every second pair; none for as it comes.
    """

    def __init__(
        self,
        seed: int,
        side: int,
        split: Split,
        pictures: int,
        processor: Processor,
        *,
        share: tuple[int, int] = (0, 1),
        practice: Mapping[str, float] | None = None,
    ) -> None:
        practised = World(seed=seed + 1, side=side, fault_shares=practice)
        self.worlds = (World(seed=seed, side=side), practised)
        self.split: Split = split
        self.pictures, self.processor, self.share = pictures, processor, share

    def __iter__(self) -> Iterator[Lesson]:
        number = self.share[0]
        waiting: list[tuple[SyntheticPicture, str, NDArray[np.uint8]]] = []
        while True:
            while len(waiting) < self.pictures:
                world = self.worlds[number // self.share[1] % 2]
                pair = world.pair(self.split, number)
                number += self.share[1]
                drawn = [world.draw(one) for one in (pair.a, pair.b)]
                # The same pictures under the prompt that the wrong one fits.
                for one in (pair, world.mirror(pair)):
                    if one is not None:
                        waiting += [(one.a, one.prompt, drawn[0]), (one.b, one.prompt, drawn[1])]
            yield lesson(waiting[: self.pictures], self.processor)
            waiting = waiting[self.pictures :]


def lesson(
    shown: Sequence[tuple[SyntheticPicture, str, NDArray[np.uint8]]], processor: Processor
) -> Lesson:
    """Describe pictures, all of one size, as who drew them."""
    samples = [
        processor.prepare(Image.fromarray(pixels), prompt).sample for _, prompt, pixels in shown
    ]
    batch = Batch.pack(samples)
    side = int(batch.grid_thw[0, 1]) // 2
    layouts: list[Layout] = [picture.layout for picture, _, _ in shown]
    squares, degrees = [], []
    names: dict[str, list[NDArray[np.float32]]] = {trait: [] for trait in NAMES}
    for index, layout in enumerate(layouts):
        for placed in layout.objects:
            squares.append((index * side + int(placed.y * side)) * side + int(placed.x * side))
            for trait, known in NAMES.items():
                share = np.zeros(len(known), dtype=np.float32)
                share[known.index(getattr(placed.look, trait))] += 1.0 - placed.share
                share[known.index(getattr(placed.other or placed.look, trait))] += placed.share
                names[trait].append(share * np.float32(placed.opacity))
            degrees.append([*_strengths(placed.warp, WARPS), placed.opacity])
    return Lesson(
        batch=batch,
        squares=torch.tensor(squares),
        names={trait: torch.from_numpy(np.stack(rows)) for trait, rows in names.items()},
        degrees=torch.tensor(degrees),
        finishes=torch.tensor([_strengths(layout.finish, FINISHES) for layout in layouts]),
        qualities={
            axis: torch.tensor([picture.quality(axis) for picture, _, _ in shown])
            for axis in JUDGE_WEIGHTS
        },
    )


def _strengths(fault: Warp | Finish | None, kinds: Sequence[str]) -> list[float]:
    return [fault.strength if fault and fault.kind == kind else 0.0 for kind in kinds]


class Namer(nn.Module):
    """One linear layer that says what the rows of a tower hold.

    Args:
        width: Of a row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [len(known) for known in NAMES.values()]
        self.sizes = [*sizes, len(DEGREES), len(FINISHES)]
        self.said = nn.Linear(width, sum(self.sizes))

    def forward(self, rows: torch.Tensor, of: Lesson) -> tuple[torch.Tensor, dict[str, float]]:
        """Return the loss, and for each trait in how many objects its name is right."""
        said = self.said(rows)
        *names, degrees, _ = said[of.squares].split(self.sizes, dim=1)
        loss = DEGREES_WEIGHT * (degrees - of.degrees).square().mean(0).sum()
        pictures = said.unflatten(0, (len(of.finishes), -1)).mean(1)
        finishes = pictures[:, -len(FINISHES) :]
        loss = loss + DEGREES_WEIGHT * (finishes - of.finishes).square().mean(0).sum()
        right: dict[str, float] = {}
        for trait, logits in zip(NAMES, names, strict=True):
            truth = of.names[trait]
            loss = loss + NAME_WEIGHTS[trait] * nn.functional.cross_entropy(logits, truth)
            whole = truth.amax(1) > 0.9
            hit = logits.argmax(1) == truth.argmax(1)
            right[trait] = float(hit[whole].float().mean())
        return loss, right


class Teacher:
    """A model that learns, and what it learns from.

    Args:
        model: Of which the tower learns, or all of it.
        judge: Whether all of it.
        rate: Learning rate of the matrices.
        keep: Weight on what the tower gave before; only without ``judge``.
    """

    def __init__(self, model: PreferenceModel, *, judge: bool, rate: float, keep: float) -> None:
        self.model, self.judge, self.keep = model, judge, keep
        self.tower = cast("Qwen3_5Backbone", model.model).visual
        self.before = copy.deepcopy(self.tower).requires_grad_(False)
        self.namer = Namer(self.tower.config.out_hidden_size)
        scales = {"vision": 0.5} if judge else {"backbone": 0.0, "heads": 0.0}
        recipe = OptimizerRecipe(
            kind="muon",
            learning_rate=rate / 2,
            matrix_learning_rate=rate,
            weight_decay=0.05,
            scales={**scales, "patches": 0.2},
        )
        self.optimizers = build_optimizers(model, recipe)
        self.optimizers["namer"] = torch.optim.AdamW(
            [{"params": self.namer.parameters(), "lr": 3e-3, "full_rate": 3e-3}], weight_decay=0.0
        )
        self.parameters = [
            parameter
            for parameter in (*model.parameters(), *self.namer.parameters())
            if parameter.requires_grad
        ]

    def look(self, of: Lesson) -> tuple[torch.Tensor, dict[str, float]]:
        """Return the loss of a lesson, and how much of it is known."""
        rows: list[torch.Tensor] = []
        with torch.autocast("cpu", dtype=torch.bfloat16), ExitStack() as stack:
            if not self.judge:
                rows.append(self._see(self.tower, of))
                loss, known = self.namer(rows[0].float(), of)
                if self.keep and rows[0].requires_grad:
                    old = self._see(self.before, of).float()
                    off = (rows[0].float() - old).square().mean() / old.var()
                    loss = loss + self.keep * off
                return loss, known

            def keep(tower: nn.Module, given: object, made: torch.Tensor) -> None:
                rows.append(made)

            hook = self.tower.register_forward_hook(keep)
            stack.callback(hook.remove)
            (output,) = self.model(of.batch).values()
        named, known = self.namer(rows[0].float(), of)
        loss = REMINDER * named
        for column, axis in enumerate(output.axes):
            truth = UNIT * of.qualities[axis]
            off = nn.functional.smooth_l1_loss(output.mean[:, column].float(), truth, beta=0.5)
            loss = loss + JUDGE_WEIGHTS[axis] * off
            known[f"off on {axis}"] = float(off.detach())
        return loss, known

    def learn(self, of: Lesson, *, share: float) -> None:
        """Do one update, together with the other processes."""
        loss, _ = self.look(of)
        loss.backward()
        if distributed.is_initialized():
            flat = torch.cat([_gradient(one).flatten() for one in self.parameters])
            distributed.all_reduce(flat)
            flat /= distributed.get_world_size()
            sizes = [parameter.numel() for parameter in self.parameters]
            for parameter, part in zip(self.parameters, flat.split(sizes), strict=True):
                parameter.grad = part.view_as(parameter)
        nn.utils.clip_grad_norm_(self.parameters, 2.0)
        for optimizer in self.optimizers.values():
            set_rates(optimizer, share)
            optimizer.step()
            optimizer.zero_grad()

    def _see(self, tower: nn.Module, of: Lesson) -> torch.Tensor:
        return tower(of.batch.patches, of.batch.grid_thw)


def _shares(text: str) -> dict[str, float]:
    return {kind: float(share) for kind, share in (part.split("=") for part in text.split(","))}


def _gradient(parameter: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def main() -> None:
    """Teach, and write the model that has learned."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="checkpoint that learns")
    parser.add_argument("out", type=Path, help="folder of the checkpoint to write")
    parser.add_argument("--judge", action="store_true", help="teach the whole model, not its tower")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--pictures", type=int, default=64, help="in a step of each process")
    parser.add_argument("--rate", type=float, default=0.001, help="learning rate of matrices")
    parser.add_argument("--side", type=int, default=128, help="of a picture, in pixels")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument(
        "--keep",
        type=float,
        default=0.0,
        help="weight on what the tower gave before: where the text model has learned to read it",
    )
    parser.add_argument(
        "--practice",
        type=_shares,
        default={},
        metavar="KIND=SHARE,...",
        help="faults to practise more, or less, than the rest: colour=3,shuffled=2",
    )
    parser.add_argument("--test-every", type=int, default=500)
    options = parser.parse_args()

    share = (int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    if share[1] > 1:
        distributed.init_process_group("gloo")
    torch.manual_seed(options.seed)
    model = PreferenceModel.from_pretrained(options.model, dtype=torch.float32)
    # What is mapped from the checkpoint's file must not be written to.
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    processor = load_processor(options.model)
    teacher = Teacher(model, judge=options.judge, rate=options.rate, keep=options.keep)
    schedule = ScheduleRecipe(warmup_steps=100, decay="linear", decay_share=0.6, final_share=0.02)
    # One process draws while this one learns.
    practice = PRACTICE | options.practice
    drawn = Lessons(
        options.seed,
        options.side,
        "train",
        options.pictures,
        processor,
        share=share,
        practice=practice,
    )
    lessons = iter(DataLoader(drawn, batch_size=None, num_workers=1, prefetch_factor=4))
    unseen = Lessons(options.seed, options.side, "validation", 600, processor, practice=practice)
    test = next(iter(unseen))
    with ExitStack() as stack:
        shown = share[0] == 0 and sys.stderr.isatty()
        advance = stack.enter_context(progress_bar("teaching", options.steps, shown=shown))
        for step in range(options.steps):
            teacher.learn(next(lessons), share=rate_share(schedule, step=step, steps=options.steps))
            advance(1)
            if (step + 1) % options.test_every == 0 or step + 1 == options.steps:
                with torch.no_grad():
                    _, known = teacher.look(test)
                if share[0] == 0:
                    said = ", ".join(f"{name} {value:.3f}" for name, value in known.items())
                    print(f"step {step + 1}: {said}", flush=True)
    if share[0] == 0:
        model.requires_grad_(True)
        model.save_pretrained(options.out, processor=processor)
    if share[1] > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
