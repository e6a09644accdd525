"""Settles what a small model says of a picture: how good it is, and how sure people are of that.

    python scripts/settle_nano.py .nano/bent .nano/settled --pairs 200000

Votes on two pictures of one prompt say how far their scores lie apart in units of their sigma, and
nothing of that unit: scores that are half as far apart, with half the sigma, are the same
probability. So a head that learns from votes alone may take what is hard to judge for what differs
little, prompt by prompt, and its sigma means nothing. What settles it is a mark for each picture
beside the votes. Here that is its quality, to which the scores are held by a light hand; elsewhere
it is a mean opinion score.

The rest of the model is at rest. What it gives to the head is computed once, for pairs that no
lesson has shown, and kept in OUT.states: a run that was stopped goes on from there, and one with
another model, seed or side is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from librehps.calibration import area_under_roc, expected_calibration_error
from librehps.data.synthetic import Split, SyntheticPair, World
from librehps.heads import Head
from librehps.inputs.batch import Batch
from librehps.inputs.processor import Processor
from librehps.losses import AxisLoss, Scores, Thurstone
from librehps.model import PreferenceModel
from librehps.processing import load_processor
from librehps.progress import progress_bar
from librehps.training.recipe import ScheduleRecipe
from librehps.training.schedule import rate_share
from librehps.writing import write_lines

# What a score says per unit of quality; teach_nano.py has the same.
UNIT = 0.4
CHUNK_PAIRS, BATCH_PAIRS = 2000, 512
PICTURES = 64


@dataclass(frozen=True)
class States:
    """What a head is given for pairs of pictures, and what it should make of them.

    Args:
        pooled: Hidden state of each picture, ``[2 P, D]``: a, b, a, b, and so on.
        quality: What is left of each axis, ``[2 P, A]``.
        share: Of the votes for a, ``[P, A]``.
        probability: That a vote is for a, ``[P, A]``.
    """

    pooled: NDArray[np.float32]
    quality: NDArray[np.float32]
    share: NDArray[np.float32]
    probability: NDArray[np.float64]

    @classmethod
    def read(cls, files: Sequence[Path]) -> States:
        """Read what `compute` wrote, in the order of the files."""
        found = [np.load(file) for file in files]
        names = ("pooled", "quality", "share", "probability")
        return cls(**{name: np.concatenate([one[name] for one in found]) for name in names})


@dataclass(frozen=True)
class Chunk:
    """Some pairs of a split, and the file for what a head is given for them."""

    split: Split
    start: int
    count: int
    file: Path


def claim(folder: Path, model: Path, *, seed: int, side: int) -> None:
    """Note what the states in a folder are of, or leave one alone that has others."""
    weights = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    own = json.dumps({"weights_sha256": weights, "seed": seed, "side": side}) + "\n"
    mark = folder / "states.json"
    if not mark.exists():
        write_lines(mark, [own])
    if mark.read_text("utf-8") != own:
        raise SystemExit(f"{folder} has states of another model, seed or side: name another OUT")


def compute(model: Path, world: World, chunk: Chunk) -> int:
    """Draw pairs, look at them with all of a model but its head, and write what that is given."""
    if chunk.file.exists():
        return chunk.count
    torch.set_num_threads(1)
    looker = PreferenceModel.from_pretrained(model, dtype=torch.float32)
    processor = load_processor(model)
    (head,) = looker.heads.values()
    axes = head.axes
    pooled: list[torch.Tensor] = []

    def keep(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        pooled.append(given[0].float())

    cast("nn.Module", head).register_forward_pre_hook(keep)
    pairs = list(world.pairs(chunk.split, chunk.count, start=chunk.start))
    with torch.inference_mode():
        for first in range(0, chunk.count, PICTURES // 2):
            looker(_batch(world, pairs[first : first + PICTURES // 2], processor))
    part = chunk.file.with_suffix(".part.npz")
    np.savez(
        part,
        pooled=torch.cat(pooled).numpy(),
        quality=np.array(
            [[one.quality(axis) for axis in axes] for pair in pairs for one in (pair.a, pair.b)],
            dtype=np.float32,
        ),
        share=np.array(
            [[pair.votes[axis] / pair.num_votes for axis in axes] for pair in pairs],
            dtype=np.float32,
        ),
        probability=np.array([[pair.probabilities[axis] for axis in axes] for pair in pairs]),
    )
    part.replace(chunk.file)
    return chunk.count


def _batch(world: World, pairs: Sequence[SyntheticPair], processor: Processor) -> Batch:
    return Batch.pack(
        [
            processor.prepare(Image.fromarray(world.draw(one)), pair.prompt).sample
            for pair in pairs
            for one in (pair.a, pair.b)
        ]
    )


def settle(
    head: Head, states: States, *, hold: float, steps: int, rate: float, decay: float, seed: int
) -> None:
    """Train a head on votes, its scores held to the marks; all axes count the same."""
    loss = AxisLoss(Thurstone())
    parameters = list(cast("nn.Module", head).parameters())
    for parameter in parameters:  # what is mapped from a file must not be written to
        parameter.data = parameter.data.clone()
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    schedule = ScheduleRecipe(warmup_steps=100, decay="linear", decay_share=0.85, final_share=0.02)
    pooled, share = torch.from_numpy(states.pooled), torch.from_numpy(states.share)
    marks = UNIT * torch.from_numpy(states.quality)
    chosen = torch.Generator().manual_seed(seed)
    for step in range(steps):
        rows = torch.randint(len(share), (BATCH_PAIRS,), generator=chosen)
        a, b = head(pooled[2 * rows]), head(pooled[2 * rows + 1])
        values = loss(Scores(a.mean, a.sigma), Scores(b.mean, b.sigma), share[rows], axes=head.axes)
        off = torch.cat([a.mean - marks[2 * rows], b.mean - marks[2 * rows + 1]])
        total = values.mean() + hold * off.square().mean()
        optimizer.zero_grad()
        total.backward()
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_share(schedule, step=step, steps=steps)
        optimizer.step()


def report(head: Head, states: States) -> str:
    """Return how well a head does on pairs, overall."""
    column = head.axes.index("overall")
    with torch.inference_mode():
        said = head(torch.from_numpy(states.pooled))
    assert said.sigma is not None
    mean, sigma = said.mean[:, column].double(), said.sigma[:, column].double()
    difference, spread = mean[0::2] - mean[1::2], torch.hypot(sigma[0::2], sigma[1::2])
    stated = torch.special.ndtr(difference / spread).numpy()
    truth, share = states.probability[:, column], states.share[:, column]
    decided = (share != 0.5) & (difference.numpy() != 0.0)
    wrong = ((difference.numpy() > 0) != (share > 0.5))[decided]
    return (
        f"agreement {1 - wrong.mean():.4f}, "
        f"calibration error {expected_calibration_error(stated, truth).value:.4f}, "
        f"AUROC of sigma {area_under_roc(spread.numpy()[decided], wrong):.4f}"
    )


def main() -> None:
    """Compute the hidden states, train the head, and write the model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="checkpoint with the head to train")
    parser.add_argument("out", type=Path, help="folder of the checkpoint to write")
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--test", type=int, default=4000, help="pairs of the validation split")
    parser.add_argument(
        "--hold",
        type=float,
        default=0.03,
        help="weight of a score's squared distance from its mark, beside a pair's loss in nats; "
        "0 for votes alone",
    )
    parser.add_argument("--steps", type=int, default=20_000, help="of 512 pairs")
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--decay", type=float, default=0.001, help="of the weights")
    parser.add_argument("--side", type=int, default=128, help="of a picture, in pixels")
    parser.add_argument("--seed", type=int, default=81)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()

    folder = options.out.with_name(f"{options.out.name}.states")
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, options.model, seed=options.seed, side=options.side)
    world = World(seed=options.seed, side=options.side)
    splits: tuple[tuple[Split, int], ...] = (
        ("validation", options.test),
        ("train", options.pairs),
    )
    plan = [
        Chunk(split, start, count, folder / f"{split}-{start}-{count}.npz")
        for split, total in splits
        for start in range(0, total, CHUNK_PAIRS)
        for count in [min(CHUNK_PAIRS, total - start)]
    ]
    with ExitStack() as stack:
        # Forked, a process would inherit threads that no longer run.
        pool = ProcessPoolExecutor(options.processes, mp_context=get_context("spawn"))
        stack.enter_context(pool)
        shown = sys.stderr.isatty()
        advance = stack.enter_context(
            progress_bar("looking", options.pairs + options.test, shown=shown)
        )
        for done in [pool.submit(compute, options.model, world, chunk) for chunk in plan]:
            advance(done.result())
    test, train = (
        States.read([chunk.file for chunk in plan if chunk.split == split]) for split, _ in splits
    )
    model = PreferenceModel.from_pretrained(options.model, dtype=torch.float32)
    (head,) = model.heads.values()
    settle(
        head,
        train,
        hold=options.hold,
        steps=options.steps,
        rate=options.rate,
        decay=options.decay,
        seed=options.seed,
    )
    print(report(head, test), flush=True)
    model.trained = True
    model.save_pretrained(options.out, processor=load_processor(options.model))


if __name__ == "__main__":
    main()
