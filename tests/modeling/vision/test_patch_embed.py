from __future__ import annotations

import torch

from librehps.modeling import PRESETS
from librehps.modeling.vision.patch_embed import PatchEmbed


def test_the_matrix_product_is_the_convolution() -> None:
    torch.manual_seed(0)
    embed = PatchEmbed(PRESETS["nano"].vision)
    patches = torch.randn(5, 1536)
    expected = embed.proj(patches.view(5, 3, 2, 16, 16)).view(5, -1)
    torch.testing.assert_close(embed(patches), expected)


def test_pixels_take_the_dtype_of_the_weights() -> None:
    embed = PatchEmbed(PRESETS["nano"].vision).bfloat16()
    assert embed(torch.zeros(1, 1536)).dtype == torch.bfloat16
