from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from librehps.training.recipe import ScheduleRecipe
from librehps.training.schedule import rate_share


def shares(steps: int, **settings: Any) -> list[float]:
    recipe = ScheduleRecipe(**settings)
    return [rate_share(recipe, step=step, steps=steps) for step in range(steps)]


def test_it_warms_up_stays_and_falls() -> None:
    found = shares(100, warmup_steps=4, decay="linear", decay_share=0.5, final_share=0.2)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[5:51] == [1.0] * 46
    assert found[75] == pytest.approx(0.6)
    assert found[99] == pytest.approx(0.2 + 0.8 / 50)


def test_a_cosine_is_half_way_down_in_the_middle() -> None:
    found = shares(101, decay="cosine")
    assert found[0] == 1.0
    assert found[50] == pytest.approx(0.5, abs=0.01)
    assert shares(5, decay="none") == [1.0] * 5
    assert shares(5, decay="cosine", decay_share=0.0) == [1.0] * 5


@given(
    steps=st.integers(1, 50),
    warmup=st.integers(0, 60),
    decay=st.sampled_from(["linear", "cosine", "none"]),
    share=st.floats(0, 1),
    final=st.floats(0, 1),
)
def test_it_is_always_a_share(
    steps: int, warmup: int, decay: str, share: float, final: float
) -> None:
    found = shares(steps, warmup_steps=warmup, decay=decay, decay_share=share, final_share=final)
    assert all(0.0 <= value <= 1.0 for value in found)
    assert found[0] > 0
