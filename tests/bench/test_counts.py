"""Least work, against counts by hand."""

from __future__ import annotations

import pytest
import torch

from librehps.bench.counts import (
    Count,
    add_rms_norm_operations,
    attention_operations,
    causal_conv1d_operations,
    count,
    gated_delta_rule_operations,
    gated_rms_norm_operations,
    rms_norm_operations,
    rotary_operations,
    selective_scan_operations,
    swiglu_operations,
)


def test_attention_by_hand() -> None:
    # Sequences of 3 and 2 tokens: queries see 1 + 2 + 3 and 1 + 2 keys, 9 pairs. Two heads. For a
    # pair q·k is 4 products and 4 sums, p·v 5 of each: 18. Without a mask there are 9 + 4 pairs.
    forward, backward = attention_operations(
        [3, 2], heads=2, key_width=4, value_width=5, causal=True
    )
    assert forward == 9 * 2 * (8 + 10)
    # Again q·k, and the gradients of k and of q: 8 each; of p and of v: 10 each.
    assert backward == 9 * 2 * (3 * 8 + 2 * 10)
    full, _ = attention_operations([3, 2], heads=2, key_width=4, value_width=5, causal=False)
    assert full == 13 * 2 * 18


def test_the_gated_delta_rule_by_hand() -> None:
    # One token, one head, a state of 2 x 3. Decay: 6. Sᵀk: for each of 3 values 2 products, 2 sums:
    # 12. v less that, times beta: 6. S + k uᵀ: 6 products, 6 sums: 12. Sᵀq: 12.
    forward, backward = gated_delta_rule_operations(1, heads=1, key_width=2, value_width=3)
    assert forward == 6 + 12 + 6 + 12 + 12
    assert backward == 2 * forward
    assert gated_delta_rule_operations(10, heads=4, key_width=2, value_width=3)[0] == 40 * forward


def test_the_selective_scan_by_hand() -> None:
    # One token, a state of 2 x 3. d x: 3. Decay: 6; + B (d x)ᵀ: 6 products, 6 sums. Sᵀ C: 12.
    # D x: 3, added: 3. silu: three times an exponential, a sum, a division: 9, and the product: 3.
    forward, _ = selective_scan_operations(1, heads=1, key_width=2, value_width=3)
    assert forward == 3 + 6 + 12 + 12 + 3 + 3 + 9 + 3


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (causal_conv1d_operations(7, channels=5, taps=4), (7 * 5 * 11, 7 * 5 * 22)),
        (rms_norm_operations(10), (50, 80)),
        (add_rms_norm_operations(10), (60, 90)),
        (gated_rms_norm_operations(10), (80, 160)),
        (rotary_operations(7, heads=3, turned=8), (504, 504)),
        (swiglu_operations(10), (40, 80)),
    ],
)
def test_the_others(found: tuple[int, int], expected: tuple[int, int]) -> None:
    assert found == expected


def test_bytes_are_those_of_the_tensors() -> None:
    x, weight = torch.zeros(6, 4, dtype=torch.bfloat16), torch.zeros(4)
    tensors = {"inputs": [x, weight], "outputs": [x], "differentiable": [x, weight]}
    forward = count((50, 80), **tensors, backward=False)
    assert forward == Count(50, (48 + 16) + 48)
    assert forward.intensity == 50 / 112
    # Inputs and incoming gradient once more, and a gradient of each input.
    assert count((50, 80), **tensors, backward=True) == Count(130, 2 * 112 + 64)
