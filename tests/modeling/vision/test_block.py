from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from librehps.modeling import PRESETS
from librehps.modeling.vision.block import VisionBlock, VisionMLP

VISION = PRESETS["nano"].vision


def test_the_mlp_has_the_tanh_form_of_gelu() -> None:
    torch.manual_seed(0)
    mlp, x = VisionMLP(VISION), torch.randn(4, VISION.hidden_size) * 3
    expected = mlp.linear_fc2(F.gelu(mlp.linear_fc1(x), approximate="tanh"))
    assert torch.equal(mlp(x), expected)
    assert not torch.equal(mlp(x), mlp.linear_fc2(F.gelu(mlp.linear_fc1(x))))


def test_both_halves_are_residual() -> None:
    block, x = VisionBlock(VISION, attn_impl="sdpa", kernel_impl="torch"), torch.randn(4, 96)
    for layer in (block.attn.proj, block.mlp.linear_fc2):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    rotary = (torch.ones(4, VISION.head_dim), torch.zeros(4, VISION.head_dim))
    assert torch.equal(block(x, rotary=rotary, cu_seqlens=torch.tensor([0, 4])), x)
