from __future__ import annotations

from dataclasses import dataclass

import pytest

from librehps.errors import ConfigError
from librehps.modeling.config_reading import (
    build,
    honour,
    honour_only,
    require,
    require_counts,
    require_measures,
    select,
)


@dataclass(frozen=True)
class Shape:
    width: int
    scale: float = 1.0
    hollow: bool = False


def test_fields_are_selected_and_whole_numbers_serve_as_floats() -> None:
    values = select(Shape, {"width": 3, "scale": 2, "colour": "red"})
    assert values == {"width": 3, "scale": 2.0}
    assert isinstance(values["scale"], float)
    assert build(Shape, values, "shape") == Shape(3, 2.0)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ConfigError, match="width") as caught:
        build(Shape, {"scale": 1.0}, "shape")
    assert (caught.value.code, caught.value.item) == ("config_missing", "shape")


@pytest.mark.parametrize("width", ["3", 3.0, True, None])
def test_a_number_of_another_type_is_refused(width: object) -> None:
    with pytest.raises(ConfigError, match="of type int") as caught:
        build(Shape, {"width": width}, "shape")
    assert (caught.value.code, caught.value.item) == ("config_value", "shape.width")


@pytest.mark.parametrize("hollow", [1, 0, "yes", None])
def test_only_true_and_false_are_a_bool(hollow: object) -> None:
    with pytest.raises(ConfigError, match="of type bool") as caught:
        build(Shape, {"width": 1, "hollow": hollow}, "shape")
    assert caught.value.item == "shape.hollow"


@pytest.mark.parametrize(("width", "passes"), [(1, True), (0, False), (-2, False)])
def test_counts_are_positive(width: int, passes: bool) -> None:
    if passes:
        require_counts(Shape(width), "shape")
        return
    with pytest.raises(ConfigError, match="at least 1") as caught:
        require_counts(Shape(width), "shape")
    assert caught.value.item == "shape.width"


def test_some_counts_may_be_zero() -> None:
    require_counts(Shape(0), "shape", but=("width",))


def test_only_implemented_values_pass() -> None:
    honour({"act": "silu", "other": 1}, "text", {"act": ("silu",), "absent": (1,)})
    with pytest.raises(ConfigError, match=r"'silu'.*'gelu'"):
        honour({"act": "gelu"}, "text", {"act": ("silu",)})


def test_unknown_settings_are_refused() -> None:
    honour_only({"a": 1}, "rope", ("a", "b"))
    with pytest.raises(ConfigError, match="'c'"):
        honour_only({"a": 1, "c": 2}, "rope", ("a", "b"))


def test_a_requirement_names_its_setting() -> None:
    require(True, "fine", item="x")
    with pytest.raises(ConfigError, match=r"^x: not fine"):
        require(False, "not fine", item="x")


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_measures_are_finite_and_above_zero(scale: float) -> None:
    with pytest.raises(ConfigError, match="above zero") as caught:
        require_measures(Shape(width=1, scale=scale), "shape")
    assert caught.value.item == "shape.scale"


def test_a_measure_may_be_exempt_from_being_above_zero() -> None:
    require_measures(Shape(width=1, scale=0.0), "shape", but=("scale",))
    require_measures(Shape(width=1, scale=0.5), "shape")
