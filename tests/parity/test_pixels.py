"""Pixel values and grids against transformers' own PIL processor for this backbone."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from librehps.inputs.image import load_image
from librehps.inputs.patches import patchify
from librehps.inputs.resize import PixelBudget, resize, smart_resize

BUDGET = PixelBudget(min_pixels=65_536, max_pixels=2**21)
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
SIZES = [
    (64, 64),
    (65, 127),
    (100, 333),
    (224, 224),
    (255, 511),
    (480, 640),
    (1024, 768),
    (1080, 1920),
    (2048, 2048),
    (2048, 64),
    (64, 2048),
    (20, 2000),
    (2000, 20),
    (16, 3199),
]


@pytest.fixture(scope="module")
def stock() -> Qwen2VLImageProcessorPil:
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": BUDGET.min_pixels, "longest_edge": BUDGET.max_pixels},
        patch_size=16,
        temporal_patch_size=2,
        merge_size=2,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def ours(pixels: np.ndarray) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    height, width = smart_resize(*pixels.shape[:2], budget=BUDGET)
    resized = resize(pixels, height=height, width=width)
    return (resized, *patchify(resized))


def compare(stock: Qwen2VLImageProcessorPil, source: Image.Image) -> None:
    resized, patches, grid = ours(load_image(source).pixels)
    theirs = stock(source, return_tensors="pt")
    assert torch.equal(grid, theirs["image_grid_thw"])
    assert patches.shape == theirs["pixel_values"].shape
    assert (patches - theirs["pixel_values"]).abs().max().item() <= 1e-6
    bytes_only = stock(source, return_tensors="pt", do_rescale=False, do_normalize=False)
    grid_h, grid_w = grid[0, 1].item(), grid[0, 2].item()
    wanted = bytes_only["pixel_values"].view(grid_h // 2, grid_w // 2, 2, 2, 3, 2, 16, 16)
    wanted = wanted[:, :, :, :, :, 0].permute(0, 2, 5, 1, 3, 6, 4).reshape(resized.shape)
    assert np.array_equal(resized, wanted.numpy())


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_as_they_are(stock: Qwen2VLImageProcessorPil, name: str) -> None:
    compare(stock, Image.fromarray(getattr(skimage.data, name)()))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_sizes_and_aspect_ratios(stock: Qwen2VLImageProcessorPil, size: tuple[int, int]) -> None:
    photograph = Image.fromarray(skimage.data.astronaut())
    compare(stock, photograph.resize(size, Image.Resampling.LANCZOS))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_modes_on_which_both_agree(stock: Qwen2VLImageProcessorPil, mode: str) -> None:
    compare(stock, Image.fromarray(skimage.data.chelsea()).convert(mode))
