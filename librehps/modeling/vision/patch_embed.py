"""Pixels of a patch to its first hidden state."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from librehps.modeling.vision.config import Qwen3_5VisionConfig
from librehps.typing import Float, Tensor


class PatchEmbed(nn.Module):
    """A linear map of the flattened patch.

    The checkpoint holds it as a 3-D convolution whose kernel is as large as its stride. That is the
    same sum, and as a matrix product it does not depend on which convolution a library picks.
    """

    def __init__(self, config: Qwen3_5VisionConfig) -> None:
        super().__init__()
        kernel = (config.temporal_patch_size, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(config.in_channels, config.hidden_size, kernel, stride=kernel)

    def forward(self, patches: Float[Tensor, "P patch_dim"]) -> Float[Tensor, "P D"]:
        """Embed the patches.

        Args:
            patches: Pixels in [-1, 1], each row ordered (channel, frame, row, column).

        Returns:
            Hidden states in the dtype of the weights.
        """
        weight = self.proj.weight
        return F.linear(patches.to(weight.dtype), weight.flatten(1), self.proj.bias)
