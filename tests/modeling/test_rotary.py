from __future__ import annotations

import dataclasses

import torch

from librehps.modeling import PRESETS
from librehps.modeling.rotary import frequency_axes, multimodal_rotary

TEXT = PRESETS["4b"].text
CPU = torch.device("cpu")


def test_the_axes_take_turns_and_time_takes_the_rest() -> None:
    axes = frequency_axes((11, 11, 10), device=CPU).tolist()
    assert axes == [0, 1, 2] * 10 + [0, 1]
    assert frequency_axes((5, 2, 1), device=CPU).tolist() == [0, 1, 2, 0, 1, 0, 0, 0]


def test_text_turns_as_it_would_with_one_axis() -> None:
    positions = torch.arange(7).expand(3, -1)
    cos, sin = multimodal_rotary(positions, TEXT, dtype=torch.float32)
    frequencies = TEXT.rope_theta ** (-torch.arange(32, dtype=torch.float64) / 32)
    angles = (positions[0].double()[:, None] * frequencies).repeat(1, 2)
    torch.testing.assert_close(cos.double(), angles.cos(), atol=1e-6, rtol=0)
    torch.testing.assert_close(sin.double(), angles.sin(), atol=1e-6, rtol=0)


def test_each_axis_turns_its_own_frequencies() -> None:
    positions = torch.tensor([[0], [5], [0]])
    _, sin = multimodal_rotary(positions, TEXT, dtype=torch.float32)
    moved = sin[0] != 0
    assert moved.tolist() == [index % 3 == 1 for index in range(32)] * 2


def test_angles_are_cast_only_at_the_end() -> None:
    positions = torch.tensor([[4097], [4097], [4097]])
    wide, _ = multimodal_rotary(positions, TEXT, dtype=torch.float32)
    narrow, _ = multimodal_rotary(positions, TEXT, dtype=torch.bfloat16)
    assert torch.equal(narrow, wide.bfloat16())


def test_only_a_part_of_the_head_turns() -> None:
    config = dataclasses.replace(TEXT, head_dim=128, mrope_section=(6, 5, 5))
    cos, _ = multimodal_rotary(torch.zeros(3, 2, dtype=torch.long), config, dtype=torch.float32)
    assert cos.shape == (2, 32)
