"""A square of patches to one row in the width of the text model."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from librehps.modeling.vision.block import LAYER_NORM_EPS
from librehps.modeling.vision.config import Qwen3_5VisionConfig
from librehps.typing import Float, Tensor


class PatchMerger(nn.Module):
    """Normalises each patch, lays a block's patches side by side, and applies an MLP.

    Its GELU is the exact one, unlike that of the blocks.
    """

    def __init__(self, config: Qwen3_5VisionConfig) -> None:
        super().__init__()
        self.patches_per_row = config.spatial_merge_size**2
        width = config.hidden_size * self.patches_per_row
        self.norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.linear_fc1 = nn.Linear(width, width)
        self.linear_fc2 = nn.Linear(width, config.out_hidden_size)

    def forward(self, x: Float[Tensor, "P vision_D"]) -> Float[Tensor, "M D"]:
        """Merge every ``patches_per_row`` consecutive patches."""
        blocks = self.norm(x).view(-1, self.patches_per_row * x.shape[-1])
        return self.linear_fc2(F.gelu(self.linear_fc1(blocks)))
