from __future__ import annotations

import pytest
import torch

from librehps.errors import InputError
from librehps.modeling import PRESETS
from librehps.modeling.vision.encoder import Qwen3_5VisionEncoder
from librehps.testing.tolerances import TOLERANCES, relative_rms

VISION = PRESETS["nano"].vision


@pytest.fixture(scope="module")
def encoder() -> Qwen3_5VisionEncoder:
    torch.manual_seed(0)
    return Qwen3_5VisionEncoder(VISION).eval()


@torch.no_grad()
def test_pictures_are_encoded_as_if_alone(encoder: Qwen3_5VisionEncoder) -> None:
    grids = torch.tensor([[1, 2, 6], [1, 4, 4], [2, 2, 2]])
    counts = grids.prod(-1).tolist()
    patches = torch.rand(sum(counts), VISION.patch_dim) * 2 - 1
    rows = encoder(patches, grids).split([count // 4 for count in counts])
    limit = TOLERANCES["backbone_packed_float32"].limit
    for part, grid, together in zip(patches.split(counts), grids, rows, strict=True):
        assert relative_rms(together, encoder(part, grid[None])) <= limit


@torch.no_grad()
def test_places_matter(encoder: Qwen3_5VisionEncoder) -> None:
    patches = torch.rand(1, VISION.patch_dim).expand(16, -1)
    rows = encoder(patches, torch.tensor([[1, 4, 4]]))
    assert rows.unique(dim=0).shape[0] == 4


def test_grids_must_describe_the_patches(encoder: Qwen3_5VisionEncoder) -> None:
    with pytest.raises(InputError, match="16 patches, but there are 12"):
        encoder(torch.zeros(12, VISION.patch_dim), torch.tensor([[1, 4, 4]]))
