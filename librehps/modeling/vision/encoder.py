"""The vision tower: patches of many pictures to rows for the text model."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from librehps.modeling.vision.block import VisionBlock
from librehps.modeling.vision.config import Qwen3_5VisionConfig
from librehps.modeling.vision.grid import patch_grid
from librehps.modeling.vision.merger import PatchMerger
from librehps.modeling.vision.patch_embed import PatchEmbed
from librehps.modeling.vision.positions import PositionTable, vision_rotary
from librehps.typing import Float, Int, Tensor


class Qwen3_5VisionEncoder(nn.Module):
    """Embeds patches, adds positions, runs the blocks, merges.

    Args:
        config: Shape of the tower.
        attn_impl: Implementation of attention.
        kernel_impl: Implementation of the other ops.
    """

    def __init__(
        self, config: Qwen3_5VisionConfig, *, attn_impl: str = "auto", kernel_impl: str = "auto"
    ) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = PositionTable(config)
        self.blocks = nn.ModuleList(
            VisionBlock(config, attn_impl=attn_impl, kernel_impl=kernel_impl)
            for _ in range(config.depth)
        )
        self.merger = PatchMerger(config)

    def forward(
        self, patches: Float[Tensor, "P patch_dim"], grid_thw: Int[Tensor, "I 3"]
    ) -> Float[Tensor, "M D"]:
        """Encode pictures, packed end to end; none sees another.

        Args:
            patches: Flattened patches of all pictures, pixels in [-1, 1].
            grid_thw: Frames, rows and columns of patches of each picture.

        Returns:
            A row for each block of patches, in the order of the patches.

        Raises:
            InputError: ``grid_thw`` does not describe ``patches`` (code ``grid_mismatch``).
        """
        grid = patch_grid(
            grid_thw,
            num_patches=patches.shape[0],
            merge_size=self.config.spatial_merge_size,
            device=patches.device,
        )
        x = self.patch_embed(patches)
        x = x + self.pos_embed(grid).to(x.dtype)
        rotary = vision_rotary(grid, head_dim=self.config.head_dim, theta=self.config.rope_theta)
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for block in self.blocks:
            run = partial(checkpoint, block, use_reentrant=False) if recompute else block
            x = run(x, rotary=rotary, cu_seqlens=grid.cu_seqlens)
        return self.merger(x)
