from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from librehps.errors import InputError
from librehps.inputs.patches import patchify


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def test_every_value_is_where_the_vision_tower_looks_for_it() -> None:
    pixels = picture(64, 96)
    patches, grid = patchify(pixels)
    assert patches.dtype == torch.float32
    assert patches.is_contiguous()
    assert grid.tolist() == [[1, 4, 6]]
    rows = patches.view(24, 3, 2, 16, 16)
    row = 0
    for block_y in range(2):
        for block_x in range(3):
            for inner_y in range(2):
                for inner_x in range(2):
                    y, x = (2 * block_y + inner_y) * 16, (2 * block_x + inner_x) * 16
                    patch = torch.tensor(pixels[y : y + 16, x : x + 16]).permute(2, 0, 1)
                    wanted = 2 * (patch.double() / 255) - 1
                    for frame in range(2):
                        assert torch.allclose(rows[row, :, frame].double(), wanted, atol=1e-6)
                    row += 1


def test_the_whole_range_of_bytes_is_normalised() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels.reshape(-1)[:256] = np.arange(256)
    values = patchify(pixels)[0].unique()
    wanted = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    assert values.min() == -1.0
    assert values.max() == 1.0
    assert torch.allclose(values.double(), wanted, atol=1e-7, rtol=0)


def test_other_geometry() -> None:
    patches, grid = patchify(picture(24, 48), patch_size=4, temporal_patch_size=3, merge_size=3)
    assert patches.shape == (72, 3 * 3 * 16)
    assert grid.tolist() == [[1, 6, 12]]


def test_read_only_and_strided_pixels_are_fine() -> None:
    pixels = picture(64, 64)
    wanted = patchify(pixels)[0]
    frozen = pixels.copy()
    frozen.flags.writeable = False
    assert torch.equal(patchify(frozen)[0], wanted)
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert torch.equal(patchify(turned)[0], wanted)


def test_no_float_copy_in_numpy() -> None:
    # What numpy (which tracemalloc sees, unlike torch) allocates is the reordered bytes, once.
    pixels = picture(512, 512)
    patchify(pixels)
    tracemalloc.start()
    patchify(pixels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < pixels.nbytes * 1.1


@pytest.mark.parametrize("size", [(16, 32), (32, 33), (31, 32)])
def test_sides_that_do_not_fit_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="multiples of 32") as caught:
        patchify(picture(*size))
    assert caught.value.code == "tensor_layout"
