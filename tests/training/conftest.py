"""A small world on disk and a tiny checkpoint, shared by the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from librehps.data import PairLoader, read_hpdv3
from librehps.data.loader import Position
from librehps.data.synthetic import World, write_split
from librehps.processing import load_processor
from librehps.testing.tiny import make_tiny_checkpoint
from librehps.training.recipe import Recipe


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``start/`` (one head with sigma), ``train.json`` and the like."""
    place = tmp_path_factory.mktemp("training")
    make_tiny_checkpoint(place / "start", heads=("multi_axis",), trained=False)
    world = World(seed=1, side=64)
    write_split(place, world, "train", 14)
    write_split(place, world, "validation", 6)
    return place


@pytest.fixture
def settings(place: Path) -> dict[str, Any]:
    """Return a recipe of eight steps as YAML data."""
    return {
        "start": str(place / "start"),
        "data": {
            "train": str(place / "train.json"),
            "validation": str(place / "validation.json"),
            "workers": 0,
        },
        "run": {"steps": 8, "batch_pairs": 4, "evaluate_every": 3, "save_every": 2, "seed": 5},
        "optimizer": {"learning_rate": 0.003},
    }


@pytest.fixture
def parts_of() -> Callable[[Recipe, int], list[int]]:
    """Return a function that says in how many parts one of two processes computes a batch."""

    def parts(recipe: Recipe, process: int) -> list[int]:
        root = None if recipe.data.root is None else Path(recipe.data.root)
        loader = PairLoader(
            read_hpdv3(Path(recipe.data.train), root=root).comparisons,
            load_processor(Path(recipe.start)),
            batch_pairs=recipe.run.batch_pairs,
            seed=recipe.run.seed,
            max_tokens=recipe.run.batch_tokens,
            share=(process, 2),
        )
        starts = (Position(epoch) for epoch in range(2))
        batches = chain.from_iterable(map(loader.batches, starts))
        return [len(one.parts()) for one in islice(batches, recipe.run.steps)]

    return parts
