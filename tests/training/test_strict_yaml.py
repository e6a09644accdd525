"""Plain data as people mean it."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from librehps.training.strict_yaml import read_strict_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        (".5", 0.5),
        ("7", 7),
        ("-1_000", -1000),
        ("0", 0),
        (".inf", math.inf),
        # YAML 1.1 would have them be 8, 90 and 255.
        ("010", "010"),
        ("1:30", "1:30"),
        ("0xff", "0xff"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("'1'", "1"),
        # A folder may be called so, and there is no such month.
        ("2024-10-01", "2024-10-01"),
        ("2024-13-45", "2024-13-45"),
        ("a1", "a1"),
        ("{a: [1, 2.0, x], b: {c: 3}}", {"a": [1, 2.0, "x"], "b": {"c": 3}}),
        ("x: &y {a: 1}\nz:\n  <<: *y\n  a: 2", {"x": {"a": 1}, "z": {"a": 2}}),
    ],
)
def test_values_are_what_they_look_like(text: str, value: object) -> None:
    found = read_strict_yaml(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: 2\na: 3",
        "x: {a: 1, a: 1}",
        "- {1: a, 1: b}",
        "!!python/object:os.x {}",
        "[",
        "!!int foo",
        "!!float x",
        "!!bool x",
        "!!timestamp x",
        "1" * 5001,
    ],
)
def test_what_would_be_lost_or_run_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        read_strict_yaml(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc 1-:"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner),
        max_leaves=6,
    )
)
def test_what_is_written_is_read(value: object) -> None:
    assert read_strict_yaml(yaml.safe_dump(value)) == value


def test_the_reader_of_others_stays_what_it_was() -> None:
    read_strict_yaml("1e-4")
    assert yaml.safe_load("1e-4") == "1e-4"
    assert yaml.safe_load("010") == 8
