"""Recipes: everything that decides how a run goes, read strictly from YAML.

A key that is not known is an error that names the nearest one; so is a value of another type. What
a recipe leaves out has the default that is written here.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from librehps.errors import ConfigError
from librehps.registry import nearest
from librehps.training.strict_yaml import read_strict_yaml

__all__ = [
    "PARTS",
    "DataRecipe",
    "LoraRecipe",
    "OptimizerRecipe",
    "Recipe",
    "RunRecipe",
    "ScheduleRecipe",
    "read_recipe",
]

#: Parts of a model that may learn at rates of their own, or not at all.
PARTS = ("patches", "vision", "merger", "backbone", "adapters", "heads")

# An update of higher rank than any layer is wide is no low-rank update.
_MAX_RANK = 2**16

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """What is learned from.

    Args:
        train: HPDv3 file with the comparisons to learn from.
        validation: The same, to measure on; ``None`` measures nothing.
        root: Folder that the images' paths start from; each file's own folder if ``None``.
        min_confidence: Comparisons that are less sure are left out.
        max_bad_share: The largest share of bad rows or unreadable images that is put up with.
        workers: Threads that read images ahead.
    """

    train: str
    validation: str | None = None
    root: str | None = None
    min_confidence: float | None = None
    max_bad_share: float = 0.01
    workers: int = 1


@dataclass(frozen=True, kw_only=True)
class LoraRecipe:
    """Low-rank updates that learn in the place of the backbone's weights.

    With them, ``adapters`` and ``heads`` learn and all else is frozen but for the parts that
    ``optimizer.scales`` names; the weights of a layer that has an adapter are frozen even there.

    Args:
        rank: Of an update.
        alpha: Updates count ``alpha / rank``.
        dropout: Share of a layer's inputs that its adapter does not see in a step.
        targets: Which linear layers have one: parts (``backbone``, ``vision``, ``merger``), or what
            a layer's name ends with, such as ``q_proj`` or ``mlp.down_proj``.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("backbone",)


@dataclass(frozen=True, kw_only=True)
class OptimizerRecipe:
    """How weights follow their gradients.

    Args:
        kind: ``adamw`` for all, or ``muon`` for the matrices of the blocks and ``adamw`` for the
            rest.
        learning_rate: Of AdamW.
        matrix_learning_rate: Of Muon, whose updates have the root mean square of AdamW's.
        weight_decay: Of matrices; norms, biases and tables have none.
        betas: Of AdamW.
        clip: Largest norm of a step's gradient; 0 does not clip.
        scales: Factors on the learning rate by part (`PARTS`); 0 freezes it. ``patches``, the first
            layer of the vision tower, has the factor of ``vision`` unless it is named. ``adapters``
            are those of LoRA, which Muon leaves to AdamW.
    """

    kind: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1e-4
    matrix_learning_rate: float = 2e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    scales: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True)
class ScheduleRecipe:
    """How the learning rate changes: linear warm-up, constant, then a decay.

    Args:
        warmup_steps: Steps until it is whole.
        decay: Form of the decay.
        decay_share: Share of all steps, at the end, over which it falls.
        final_share: What is left of it at the end.
    """

    warmup_steps: int = 0
    decay: Literal["linear", "cosine", "none"] = "cosine"
    decay_share: float = 1.0
    final_share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    """How long, how much at a time, and what is kept.

    Args:
        steps: Updates of the weights.
        batch_pairs: Comparisons in a batch, on each process.
        batch_tokens: Most tokens that go through the model at once, on each process: a batch that
            has more is computed in parts, and gives the gradient that it gives as a whole. A pair
            that has more by itself is a bad pair. ``None`` is no limit.
        accumulate: Batches to an update.
        seed: Of the order, the swaps and dropout.
        precision: ``float32``, or ``bfloat16`` for autocast over float32 weights.
        gradient_checkpointing: Compute blocks again in the backward pass to save memory.
        evaluate_every: Steps between measurements on the validation set; 0 measures at the end.
        save_every: Steps between checkpoints; 0 keeps the last only.
        patience: Measurements without a better one after which the run stops; 0 never stops early.
    """

    steps: int
    batch_pairs: int = 32
    batch_tokens: int | None = None
    accumulate: int = 1
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    evaluate_every: int = 0
    save_every: int = 0
    patience: int = 0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole recipe.

    Args:
        start: Checkpoint to start from: a folder such as ``librehps init`` makes, ``nano``, or a
            Hugging Face id.
        data: What is learned from.
        run: How long and how much.
        loss: Name of a loss, or its settings with the name as ``kind``.
        axis_weights: Weights of axes in the loss; 1 for those not named.
        lora: Learn low-rank updates; ``None`` learns the weights themselves.
        optimizer: How weights follow their gradients.
        schedule: How the learning rate changes.
    """

    start: str
    data: DataRecipe
    run: RunRecipe
    loss: str | Mapping[str, Any] = "logistic_normal"
    axis_weights: Mapping[str, float] = field(default_factory=dict[str, float])
    lora: LoraRecipe | None = None
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)

    def __post_init__(self) -> None:
        run, schedule, optimizer = self.run, self.schedule, self.optimizer
        least: tuple[tuple[str, float, float], ...] = (
            ("run.steps", run.steps, 1),
            ("run.batch_pairs", run.batch_pairs, 1),
            ("run.batch_tokens", 1 if run.batch_tokens is None else run.batch_tokens, 1),
            ("run.accumulate", run.accumulate, 1),
            ("run.seed", run.seed, 0),
            ("run.evaluate_every", run.evaluate_every, 0),
            ("run.save_every", run.save_every, 0),
            ("run.patience", run.patience, 0),
            ("data.workers", self.data.workers, 0),
            ("schedule.warmup_steps", schedule.warmup_steps, 0),
            ("optimizer.learning_rate", optimizer.learning_rate, 0),
            ("optimizer.matrix_learning_rate", optimizer.matrix_learning_rate, 0),
            ("optimizer.weight_decay", optimizer.weight_decay, 0),
            ("optimizer.clip", optimizer.clip, 0),
            *((f"optimizer.scales.{part}", scale, 0) for part, scale in optimizer.scales.items()),
            *((f"axis_weights.{axis}", weight, 0) for axis, weight in self.axis_weights.items()),
        )
        for name, value, low in least:
            if not low <= value < math.inf:
                raise ConfigError(f"{name} is {value}; at least {low}", code="recipe_value")
            # An integer has no end of its own, but where it is used there is one.
            if isinstance(value, int) and value >= 2**63:
                raise ConfigError(f"{name} is above {2**63 - 1}", code="recipe_value")
        if run.patience and (self.data.validation is None or not run.evaluate_every):
            raise ConfigError(
                "run.patience counts measurements, and there are none on the way without "
                "data.validation and run.evaluate_every",
                code="recipe_value",
            )
        shares = {"decay_share": schedule.decay_share, "final_share": schedule.final_share}
        for name, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"schedule.{name} is {share}; 0 to 1", code="recipe_value")
        for beta in optimizer.betas:
            if not 0.0 <= beta < 1.0:
                raise ConfigError(f"optimizer.betas has {beta}; 0 to below 1", code="recipe_value")
        if self.lora is not None:
            self._check_lora(self.lora)
        elif "adapters" in optimizer.scales:
            raise ConfigError(
                "optimizer.scales names 'adapters', and there are none without lora",
                code="recipe_value",
            )
        for part in optimizer.scales:
            if part not in PARTS:
                raise ConfigError(
                    f"optimizer.scales names {part!r}{_unknown(part, PARTS)}", code="recipe_key"
                )

    def _check_lora(self, lora: LoraRecipe) -> None:
        faults = {
            f"lora.rank is {lora.rank}; at least 1": lora.rank < 1,
            f"lora.rank is above {_MAX_RANK}": lora.rank > _MAX_RANK,
            f"lora.alpha is {lora.alpha}; above 0": not 0.0 < lora.alpha < math.inf,
            f"lora.dropout is {lora.dropout}; 0 to below 1": not 0.0 <= lora.dropout < 1.0,
            "lora.targets is empty": not lora.targets,
        }
        for fault, found in faults.items():
            if found:
                raise ConfigError(fault, code="recipe_value")

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON data, every default written out."""
        return dataclasses.asdict(self)


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: A YAML file. Paths in it that are not absolute start from the current folder.
        overrides: ``key=value`` with dots for what is inside, such as ``run.steps=100``; the value
            is YAML.

    Raises:
        ConfigError: No such file or no YAML (code ``recipe_file``), an unknown or missing key
            (``recipe_key``), or a value of another type or out of range (``recipe_value``).
    """
    import yaml

    try:
        document = read_strict_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # Errors of YAML have several lines, with a picture of the place.
        what = " ".join(str(error).split())
        raise ConfigError(f"{path} is no recipe: {what}", code="recipe_file") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must hold keys and values", code="recipe_file")
    data = cast("dict[str, Any]", document)
    for override in overrides:
        name, sign, text = override.partition("=")
        if not sign:
            raise ConfigError(
                f"{override!r} is no key=value, such as run.steps=100", code="recipe_key"
            )
        try:
            value = read_strict_yaml(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{override!r}: {error}", code="recipe_value") from error
        _put(data, name.split("."), value, name)
    return _build(Recipe, data, "")


def _put(data: dict[str, Any], keys: Sequence[str], value: Any, name: str) -> None:
    for key in keys[:-1]:
        inner: Any = data.get(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{name}: {key!r} holds no keys", code="recipe_key")
        # A copy: an anchor may have put the same mapping in two places.
        data[key] = dict(cast("dict[str, Any]", inner))
        data = data[key]
    data[keys[-1]] = value


def _build(kind: type[T], data: Any, place: str) -> T:
    """Make a dataclass of a mapping, checking the names and types of its values."""
    if not isinstance(data, dict):
        raise ConfigError(f"{place or 'the recipe'} must hold keys and values", code="recipe_value")
    given = cast("dict[Any, Any]", data)
    hints = get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(cast("Any", kind))}
    for key in given:
        if key not in fields:
            where = f" in {place}" if place else ""
            raise ConfigError(f"{key!r}{where}{_unknown(str(key), fields)}", code="recipe_key")
    for name, item in fields.items():
        needed = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if needed and name not in given:
            raise ConfigError(f"{_inside(place, name)} is missing", code="recipe_key")
    values = {key: _value(hints[key], value, _inside(place, key)) for key, value in given.items()}
    return kind(**values)


def _value(hint: Any, value: Any, place: str) -> Any:
    """Return a value as the type that a field has, or raise."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _first_that_fits(inner, value, place)
    if origin is Literal and value not in inner:
        choices = ", ".join(map(str, inner))
        raise ConfigError(f"{place} is {value!r}; one of {choices}", code="recipe_value")
    if dataclasses.is_dataclass(hint):
        value = _build(cast("type[Any]", hint), value, place)
    elif origin is tuple and isinstance(value, list):
        items = cast("list[Any]", value)
        if inner[-1] is Ellipsis:
            inner = (inner[0],) * len(items)
        if len(items) != len(inner):
            raise ConfigError(f"{place} holds {len(inner)} values", code="recipe_value")
        value = tuple(_value(i, v, place) for i, v in zip(inner, items, strict=True))
    elif origin is Mapping and isinstance(value, dict):
        named = cast("dict[Any, Any]", value)
        value = {str(key): _value(inner[1], v, f"{place}.{key}") for key, v in named.items()}
    elif hint is float and type(value) in (int, float):
        if abs(cast("float", value)) > sys.float_info.max and type(value) is int:
            raise ConfigError(
                f"{place} is no number that can be computed with", code="recipe_value"
            )
        value = float(cast("float", value))
    elif origin is not Literal and hint is not Any and type(value) is not hint:
        # Not isinstance(): true is no number of steps.
        raise ConfigError(f"{place} cannot be {value!r}", code="recipe_value")
    return value


def _first_that_fits(choices: Sequence[Any], value: Any, place: str) -> Any:
    others = [choice for choice in choices if choice is not types.NoneType]
    if len(others) == 1 and value is not None:
        # What is wrong inside it is worth more than that it does not fit.
        return _value(others[0], value, place)
    for choice in choices:
        try:
            return _value(choice, value, place)
        except ConfigError:
            continue
    raise ConfigError(f"{place} cannot be {value!r}", code="recipe_value")


def _inside(place: str, name: Any) -> str:
    return f"{place}.{name}" if place else str(name)


def _unknown(name: str, known: Iterable[str]) -> str:
    return f" is no key of a recipe{nearest(name, known)}"
