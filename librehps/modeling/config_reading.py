"""Strict reading of a parsed JSON mapping into a frozen dataclass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from librehps.errors import ConfigError

C = TypeVar("C")

# By the annotation of a field; exact types, since a bool must not pass for an int.
_PLAIN_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float,),
    "int | None": (int, type(None)),
}


def require(condition: bool, message: str, *, item: str) -> None:
    """Refuse a config unless ``condition`` holds.

    Raises:
        ConfigError: It does not hold (code ``config_value``); ``item`` names the setting.
    """
    if not condition:
        raise ConfigError(message, code="config_value", item=item)


def require_counts(config: Any, section: str, *, but: tuple[str, ...] = ()) -> None:
    """Require that every field annotated ``int`` is a positive integer.

    Args:
        config: A dataclass instance.
        section: What the fields belong to, for the message.
        but: Fields that may also be zero.

    Raises:
        ConfigError: One is not (code ``config_value``).
    """
    for field in dataclasses.fields(config):
        if field.type == "int":
            value = getattr(config, field.name)
            is_integer = isinstance(value, int) and not isinstance(value, bool)
            least = 0 if field.name in but else 1
            require(
                is_integer and value >= least,
                f"must be an integer of at least {least}, found {value!r}",
                item=f"{section}.{field.name}",
            )


def require_measures(config: Any, section: str, *, but: tuple[str, ...] = ()) -> None:
    """Require that every field annotated ``float`` is finite and greater than zero.

    Args:
        config: A dataclass instance.
        section: What the fields belong to, for the message.
        but: Fields that may also be zero.

    Raises:
        ConfigError: One is not (code ``config_value``).
    """
    for field in dataclasses.fields(config):
        if field.type == "float":
            value = getattr(config, field.name)
            require(
                math.isfinite(value) and (value > 0 or (value == 0 and field.name in but)),
                f"must be a finite number above zero, found {value!r}",
                item=f"{section}.{field.name}",
            )


def honour(
    mapping: Mapping[str, Any], section: str, allowed: Mapping[str, tuple[Any, ...]]
) -> None:
    """Refuse values that change the computation in a way that is not implemented.

    Args:
        mapping: The settings; one that is absent is not looked at.
        section: What they belong to, for the message.
        allowed: The values of each setting that mean what is implemented.

    Raises:
        ConfigError: Another value (code ``config_value``).
    """
    for name, values in allowed.items():
        require(
            name not in mapping or mapping[name] in values,
            f"only {values[0]!r} is implemented, found {mapping.get(name)!r}",
            item=f"{section}.{name}",
        )


def honour_only(mapping: Mapping[str, Any], section: str, names: tuple[str, ...]) -> None:
    """Refuse a mapping with other settings than ``names``, where each one bears on the result.

    Raises:
        ConfigError: There are others (code ``config_value``).
    """
    unknown = sorted(set(mapping) - set(names))
    require(not unknown, f"{unknown} are not understood", item=section)


def select(cls: Any, mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Take the fields of the dataclass ``cls`` from ``mapping``; whole numbers serve as floats."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.name in mapping:
            value = mapping[field.name]
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            values[field.name] = float(value) if field.type == "float" and is_whole else value
    return values


def build(cls: type[C], values: Mapping[str, Any], section: str) -> C:
    """Make a ``cls`` of ``values``.

    Raises:
        ConfigError: A field without a default is missing (code ``config_missing``), or a number is
            something else (code ``config_value``).
    """
    spec: Any = cls
    missing = sorted(
        field.name
        for field in dataclasses.fields(spec)
        if field.default is dataclasses.MISSING and field.name not in values
    )
    if missing:
        raise ConfigError(f"{missing} are missing", code="config_missing", item=section)
    for field in dataclasses.fields(spec):
        expected = _PLAIN_TYPES.get(str(field.type))
        if expected is not None and field.name in values:
            value = values[field.name]
            require(
                type(value) in expected,
                f"must be of type {field.type}, found {value!r}",
                item=f"{section}.{field.name}",
            )
    return cls(**values)
