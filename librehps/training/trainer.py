"""A training run from a recipe: begun, stopped, taken up again, ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from librehps.data.hpdv3 import HPDv3, read_hpdv3
from librehps.data.loader import BadPair, PairBatch, PairLoader, Position
from librehps.errors import CheckpointError, InputError, LibreHPSError
from librehps.hub import find_checkpoint
from librehps.inputs.processor import Processor
from librehps.processing import load_processor
from librehps.progress import progress_bar
from librehps.training.folder import held_folder
from librehps.training.journal import Journal, draw_curves
from librehps.training.keeping import save_checkpoint
from librehps.training.learner import Learner
from librehps.training.measure import Measure, measure
from librehps.training.processes import gather, mean, open_processes
from librehps.training.recipe import Recipe
from librehps.training.snapshot import (
    Progress,
    check_recipe,
    comparisons_digest,
    inputs_digest,
    read_snapshot,
    write_snapshot,
)
from librehps.writing import write_lines

__all__ = ["TrainingResult", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Args:
        folder: The run's folder: ``best/`` and ``last/`` are checkpoints to score with.
        steps: Updates that were done.
        stopped_early: Whether patience ran out before the steps did.
        last: What the last weights measure; ``None`` without a validation set.
        best_step: Step of the weights in ``best/``; ``None`` without a validation set.
        bad_pairs: Comparisons that were left out, of training and validation, each counted once.
        bad_rows: Rows of both files that could not be read.
        below_confidence: Rows of both that were left out for ``data.min_confidence``.
    """

    folder: Path
    steps: int
    stopped_early: bool
    last: Measure | None
    best_step: int | None
    bad_pairs: int
    bad_rows: int = 0
    below_confidence: int = 0


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> TrainingResult:
    """Train a model as a recipe says.

    ``out`` gets ``recipe.json``, ``log.jsonl``, ``curves.png``, ``tensorboard/``, ``snapshots/``,
    lists of bad rows and bad pairs, and two checkpoints: ``best/`` by validation loss, if there is
    a validation set, and ``last/``. With LoRA the updates are merged into these, and lie beside
    them in ``best-adapter/`` and ``last-adapter/`` in peft's format.

    Under ``torchrun`` or ``accelerate launch`` each process learns from its share of every batch
    and the gradients are averaged; the first one writes. The process group is left to the caller,
    who destroys it at the end of the program, as the command line does.

    Args:
        recipe: All that decides how it goes.
        out: A new or empty folder, or with ``resume`` one of a run that was stopped.
        resume: Go on from the last snapshot, or from the beginning where there is none yet. On a
            CPU, with as many threads, the weights at the end are then, bit for bit, those of a run
            that was never stopped.
        device: Where to train; accelerate's choice if ``None``.
        progress: Show a bar on stderr.

    Raises:
        ConfigError: The folder is not empty, holds no run to resume, or another process trains in
            it (code ``run_folder``); the recipe asks for what cannot be (other codes).
        CheckpointError: The start or a snapshot is damaged, or the run is of another recipe, of
            other data, of another start, or of another number of processes.
        InputError: Too many comparisons cannot be used (``data_bad_rows``), a loss or its gradient
            is not finite (``loss_not_finite``), or the folder cannot be written
            (``out_unwritable``).
    """
    with held_folder(out, resume=resume) as found:
        if resume and found is None:
            _check_recipe(out / "recipe.json", recipe)
        run = _Run(recipe, out, device=device)
        if found is not None:
            run.restore(found)
        elif run.writes:
            write_lines(out / "recipe.json", [json.dumps(recipe.to_dict(), indent=2) + "\n"])
        return run.go(shown=progress)


def _check_recipe(path: Path, recipe: Recipe) -> None:
    """Refuse to go on with a run that has no snapshot yet by another recipe."""
    try:
        then = dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"cannot be read: {error}", code="snapshot_damaged", item=str(path)
        ) from error
    check_recipe(then, recipe.to_dict(), item=str(path))


def _distinct(bad: Sequence[BadPair]) -> int:
    """Count comparisons, each once in however many epochs it was met."""
    # A snapshot of an earlier version knew them by their keys alone.
    return len({one.key if one.index is None else one.index for one in bad})


class _Run:
    """The parts of a run, and its loop."""

    def __init__(self, recipe: Recipe, out: Path, *, device: torch.device | str | None) -> None:
        self.recipe = recipe
        self.out = out
        self.accelerator = open_processes(recipe.run, device)
        self.writes = self.accelerator.is_main_process
        # Nobody begins to write before all have looked at what is in the folder.
        self.accelerator.wait_for_everyone()
        torch.manual_seed(recipe.run.seed)
        self.processor: Processor = load_processor(find_checkpoint(recipe.start))
        self.learner = Learner(recipe, self.accelerator)
        self.model = self.learner.model
        self.objective = self.learner.objective
        self.files: list[HPDv3] = []
        self.loader = self._loader(recipe.data.train, shuffle=True)
        self.validation = (
            None
            if recipe.data.validation is None
            else self._loader(recipe.data.validation, shuffle=False)
        )
        self.data = comparisons_digest(file.comparisons for file in self.files)
        self.inputs = inputs_digest(self.processor, self.model)
        self.progress = Progress()
        self.journal: Journal | None = None

    def restore(self, snapshot: Path) -> None:
        """Go back to where a snapshot was made."""
        self.progress = read_snapshot(
            snapshot,
            model=self.model,
            optimizers=self.learner.distribution.optimizers,
            recipe=self.recipe.to_dict(),
            frozen=self.learner.frozen,
            inputs=self.inputs,
            processes=self.accelerator.num_processes,
            data=self.data,
        )
        # Each process counts its share of them; together they are all of them again.
        own, count = self.loader.share
        self.loader.bad = list(self.progress.bad[own::count])

    def go(self, *, shown: bool) -> TrainingResult:
        """Run what is left of the steps."""
        run, last = self.recipe.run, None
        batches = self._batches()
        left = run.steps - self.progress.step
        with ExitStack() as stack:
            advance = stack.enter_context(
                progress_bar(
                    "training",
                    left,
                    shown=shown and self.writes,
                    unit="pairs",
                    each=float(run.batch_pairs * run.accumulate * self.accelerator.num_processes),
                )
            )
            # Where a run stops because of them, the list is what helps.
            stack.callback(lambda: self._list_bad(self._own_bad()))
            if self.writes:
                self.journal = stack.enter_context(Journal(self.out, step=self.progress.step))
            if self._owes_measurement():
                # The run had stopped in it.
                last = self._measure()
                self._save()
            stopped = left > 0 and self._out_of_patience()
            if last is None and (left <= 0 or stopped):
                # The run had ended before; what its weights measure is asked for again.
                last = self._found()
            while self.progress.step < run.steps and not stopped:
                self._step(batches)
                step = self.progress.step
                ends = step == run.steps
                if self._owes_measurement():
                    last = self._measured_or_saved()
                    stopped = not ends and self._out_of_patience()
                # After the measurement, so that a run that is resumed knows of it.
                if ends or stopped or (run.save_every and step % run.save_every == 0):
                    self._save()
                advance(1)
        self._finish()
        return TrainingResult(
            folder=self.out,
            steps=self.progress.step,
            stopped_early=stopped,
            last=last,
            best_step=None if last is None else self.progress.best_step,
            bad_pairs=_distinct(self._bad()) + _distinct(self._bad_to_measure()),
            bad_rows=sum(len(file.bad) for file in self.files),
            below_confidence=sum(file.below_confidence for file in self.files),
        )

    def _step(self, batches: Iterator[PairBatch]) -> None:
        """Do one update of the weights."""
        began = time.perf_counter()
        update = self.learner.update(
            islice(batches, self.recipe.run.accumulate), step=self.progress.step
        )
        self.progress = replace(
            self.progress, step=self.progress.step + 1, position=update.position
        )
        seconds = time.perf_counter() - began
        self._note(
            "train",
            {
                "loss": mean(self.accelerator, update.loss),
                "rate_share": update.rate_share,
                "gradient_norm": update.gradient_norm,
                "epoch": update.position.epoch,
                "pairs_per_second": update.pairs * self.accelerator.num_processes / seconds,
            },
        )

    def _note(self, kind: str, values: Mapping[str, Any]) -> None:
        """Write a line of the log; a process that does not write keeps it to itself."""
        if self.journal is not None:
            self.journal.write(kind, self.progress.step, values)

    def _batches(self) -> Iterator[PairBatch]:
        """Yield batches without end, from where the run stands."""
        position = self.progress.position
        while True:
            yielded = False
            for pairs in self.loader.batches(position):
                yielded = True
                yield pairs
            if not yielded and position.index == 0:
                raise InputError("no comparison can be used", code="loader_empty")
            position = Position(position.epoch + 1)

    def _owes_measurement(self) -> bool:
        """Whether the weights as they are are still to be measured."""
        run, step = self.recipe.run, self.progress.step
        due = step == run.steps or (run.evaluate_every > 0 and step % run.evaluate_every == 0)
        return self.validation is not None and due and self.progress.measured < step

    def _measured_or_saved(self) -> Measure | None:
        """Measure; where that fails, keep what was learned before saying so."""
        try:
            return self._measure()
        except (LibreHPSError, OSError, RuntimeError):
            # Several processes would have to come here together to save.
            if self.accelerator.num_processes == 1:
                self._save()
            raise

    def _measure(self) -> Measure | None:
        """Measure on the validation set, write it down, and keep the weights if they are best."""
        found = self._found()
        if found is None:
            return None
        best, step = self.progress.best_value, self.progress.step
        if best is None or found.loss < best:
            self._save_model("best")
            self.progress = replace(
                self.progress, best_value=found.loss, best_step=step, since_best=0, measured=step
            )
        else:
            since = self.progress.since_best + 1
            self.progress = replace(self.progress, since_best=since, measured=step)
        self._note("validation", found.to_dict())
        if self.writes:
            draw_curves(self.out)
        return found

    def _found(self) -> Measure | None:
        if self.validation is None:
            return None
        with self.learner.autocast():
            return measure(
                self.model,
                self.validation,
                self.objective,
                gather=partial(gather, self.accelerator),
                in_step=self.learner.distribution.in_step,
            )

    def _out_of_patience(self) -> bool:
        patience = self.recipe.run.patience
        return patience > 0 and self.progress.since_best >= patience

    def _save(self) -> None:
        write_snapshot(
            self.out / "snapshots",
            replace(self.progress, bad=self._bad()),
            model=self.model,
            optimizers=self.learner.distribution.optimizers,
            recipe=self.recipe.to_dict(),
            frozen=self.learner.frozen,
            inputs=self.inputs,
            processes=self.accelerator.num_processes,
            data=self.data,
            writes=self.writes,
        )

    def _finish(self) -> None:
        self._save_model("last")
        bad = self._bad() + self._bad_to_measure()
        if self.writes:
            draw_curves(self.out)
        self._list_bad(bad)
        self.accelerator.wait_for_everyone()

    def _list_bad(self, bad: Sequence[BadPair]) -> None:
        if self.writes:
            write_lines(self.out / "bad-pairs.jsonl", (json.dumps(vars(one)) + "\n" for one in bad))

    def _save_model(self, name: str) -> None:
        state = self.learner.state(keep=self.writes)
        if self.writes:
            save_checkpoint(
                self.out / name,
                self.model,
                state,
                plain=self.learner.plain,
                processor=self.processor,
            )

    def _bad(self) -> tuple[BadPair, ...]:
        """Return the comparisons to learn from that any of the processes left out."""
        return tuple(
            one for found in gather(self.accelerator, tuple(self.loader.bad)) for one in found
        )

    def _bad_to_measure(self) -> tuple[BadPair, ...]:
        """Return the same of the validation set."""
        own = () if self.validation is None else tuple(self.validation.bad)
        return tuple(one for found in gather(self.accelerator, own) for one in found)

    def _own_bad(self) -> tuple[BadPair, ...]:
        """Return both as far as this process knows them: when a run stops, it asks nobody."""
        return (*self.loader.bad, *(() if self.validation is None else self.validation.bad))

    def _loader(self, file: str, *, shuffle: bool) -> PairLoader:
        data, run = self.recipe.data, self.recipe.run
        kind = "train" if shuffle else "validation"
        found = read_hpdv3(
            Path(file),
            root=None if data.root is None else Path(data.root),
            min_confidence=data.min_confidence,
            max_bad_share=data.max_bad_share,
            bad_rows=self.out / f"bad-rows-{kind}.jsonl" if self.writes else None,
        )
        self.files.append(found)
        return PairLoader(
            found.comparisons,
            self.processor,
            batch_pairs=run.batch_pairs,
            axes=self.model.axes,
            seed=run.seed,
            shuffle=shuffle,
            swap=shuffle,
            workers=data.workers,
            max_bad_share=data.max_bad_share,
            max_tokens=run.batch_tokens,
            share=(self.accelerator.process_index, self.accelerator.num_processes),
        )
