from __future__ import annotations

import torch

from librehps.modeling import PRESETS
from librehps.modeling.vision.attention import VisionAttention

VISION = PRESETS["nano"].vision


def test_a_frame_sees_all_of_itself_and_nothing_else() -> None:
    torch.manual_seed(0)
    attention = VisionAttention(VISION, attn_impl="eager", kernel_impl="torch")
    x = torch.randn(7, VISION.hidden_size)
    rotary = (torch.ones(7, VISION.head_dim), torch.zeros(7, VISION.head_dim))
    bounds = torch.tensor([0, 3, 7], dtype=torch.int32)
    before = attention(x, rotary=rotary, cu_seqlens=bounds)
    x[2] += 1
    after = attention(x, rotary=rotary, cu_seqlens=bounds)
    changed = (before - after).abs().amax(-1) > 1e-5
    assert changed.tolist() == [True, True, True, False, False, False, False]


def test_rows_of_qkv_are_queries_then_keys_then_values() -> None:
    torch.manual_seed(0)
    attention = VisionAttention(VISION, attn_impl="eager", kernel_impl="torch")
    x, width = torch.randn(1, VISION.hidden_size), VISION.hidden_size
    rotary = (torch.ones(1, VISION.head_dim), torch.zeros(1, VISION.head_dim))
    y = attention(x, rotary=rotary, cu_seqlens=torch.tensor([0, 1]))
    # A patch alone in its frame gets its own value, whatever its query and key.
    torch.testing.assert_close(y, attention.proj(attention.qkv(x)[:, 2 * width :]))
