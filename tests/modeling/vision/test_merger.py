from __future__ import annotations

import torch
from torch.nn import functional as F

from librehps.modeling import PRESETS
from librehps.modeling.vision.merger import PatchMerger

VISION = PRESETS["nano"].vision


def test_four_normalised_patches_side_by_side_and_an_exact_gelu() -> None:
    torch.manual_seed(0)
    merger, x = PatchMerger(VISION), torch.randn(8, VISION.hidden_size) * 3
    patches = F.layer_norm(x, (VISION.hidden_size,), eps=1e-6)
    rows = torch.stack([patches[:4].flatten(), patches[4:].flatten()])
    expected = merger.linear_fc2(F.gelu(merger.linear_fc1(rows)))
    torch.testing.assert_close(merger(x), expected)
    assert merger(x).shape == (2, VISION.out_hidden_size)
