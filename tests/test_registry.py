from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap

import pytest

from librehps.errors import ConfigError
from librehps.registry import Registry, nearest


@pytest.fixture
def shapes() -> Registry[Callable[[], str]]:
    registry: Registry[Callable[[], str]] = Registry("shape")
    registry.register("circle")(lambda: "round")
    registry.register("square")(lambda: "four corners")
    return registry


def test_register_hands_its_argument_back(shapes: Registry[Callable[[], str]]) -> None:
    def triangle() -> str:
        return "three corners"

    assert shapes.register("triangle")(triangle) is triangle
    assert shapes["triangle"] is triangle


def test_names_come_in_the_order_of_registration(shapes: Registry[Callable[[], str]]) -> None:
    assert list(shapes) == ["circle", "square"]
    assert len(shapes) == 2
    assert "circle" in shapes
    assert "hexagon" not in shapes


def test_a_taken_name_is_refused(shapes: Registry[Callable[[], str]]) -> None:
    with pytest.raises(ConfigError, match="'circle' is already registered") as caught:
        shapes.register("circle")(lambda: "again")
    assert caught.value.code == "name_taken"
    assert shapes["circle"]() == "round"


def test_an_unknown_name_lists_the_known_ones(shapes: Registry[Callable[[], str]]) -> None:
    with pytest.raises(
        ConfigError, match=r"did you mean 'circle'\? known: circle, square"
    ) as caught:
        shapes["circel"]
    assert caught.value.code == "name_unknown"


@pytest.mark.parametrize("name", [5, None, ["circle"]], ids=repr)
def test_what_is_no_name_is_unknown(shapes: Registry[Callable[[], str]], name: object) -> None:
    assert name not in shapes
    with pytest.raises(
        ConfigError, match=r"no shape is called .*; known: circle|did you"
    ) as caught:
        # Types are checked in tests only.
        unwrap(Registry.__getitem__)(shapes, name)
    assert caught.value.code == "name_unknown"


def test_the_nearest_name_comes_before_all_of_them() -> None:
    assert nearest("mergr", ["vision", "merger"]) == (
        "; did you mean 'merger'? known: vision, merger"
    )
    assert nearest("x", ["vision", "merger"]) == "; known: vision, merger"
    assert nearest("x", []) == "; known: none"
