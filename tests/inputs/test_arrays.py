from __future__ import annotations

import numpy as np
import pytest
import torch

from librehps.errors import InputError
from librehps.inputs.arrays import from_array, from_tensor
from librehps.inputs.limits import ImageLimits

LIMITS = ImageLimits()
RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def code_of(error: pytest.ExceptionInfo[InputError]) -> str:
    return error.value.code


def test_arrays_of_each_number_of_channels() -> None:
    decoded = from_array(RGB, limits=LIMITS)
    assert np.array_equal(decoded.pixels, RGB)
    assert decoded.format == "array"
    assert decoded.notes == ()
    grey = RGB[:, :, 0]
    for variant in (grey, grey[:, :, None]):
        got = from_array(variant, limits=LIMITS).pixels
        assert np.array_equal(got, np.repeat(grey[:, :, None], 3, axis=2))
    alpha = np.full((6, 9, 1), 255, np.uint8)
    alpha[0] = 0
    got = from_array(np.concatenate([RGB, alpha], axis=2), limits=LIMITS)
    assert (got.pixels[0] == 255).all()
    assert np.array_equal(got.pixels[1:], RGB[1:])
    assert got.notes == ("transparency composited on white",)


def test_views_of_arrays_are_read_in_their_own_order() -> None:
    for view in (RGB[::-1], RGB[:, ::2], RGB.transpose(1, 0, 2), np.asfortranarray(RGB)):
        assert np.array_equal(from_array(view, limits=LIMITS).pixels, view)


@pytest.mark.parametrize(
    ("array", "code", "says"),
    [
        (RGB.transpose(2, 0, 1), "tensor_layout", "transpose\\(1, 2, 0\\)"),
        (RGB[None], "tensor_layout", "one by one"),
        (RGB[0, :, 0], "tensor_layout", "HxW"),
        (np.zeros((6, 9, 2), np.uint8), "tensor_layout", "1, 3 or 4 channels"),
        (np.zeros((6, 9, 5), np.uint8), "tensor_layout", "1, 3 or 4 channels"),
        (np.array(3, np.uint8), "tensor_layout", "HxW"),
        (RGB / 255, "tensor_dtype", "multiply by 255"),
        (RGB.astype(np.float16), "tensor_dtype", "float16"),
        (RGB.astype(np.int64), "tensor_dtype", "int64"),
        (RGB.astype(np.uint16), "tensor_dtype", "uint16"),
        (RGB > 5, "tensor_dtype", "bool"),
        (RGB.astype(object), "tensor_dtype", "object"),
        (np.array("cat.png"), "tensor_dtype", "<U7"),
        (np.zeros((0, 9, 3), np.uint8), "image_too_small", "no pixels"),
        (np.zeros((1, 1, 3), np.uint8), "image_too_small", "1x1"),
        (np.zeros((1, 20000), np.uint8), "image_aspect_ratio", "20000x1"),
        (np.broadcast_to(np.uint8(0), (30000, 30000, 3)), "image_too_large", "900,000,000"),
    ],
)
def test_arrays_that_are_no_picture(array: np.ndarray, code: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        from_array(array, limits=LIMITS)
    assert code_of(caught) == code


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_float_tensors_are_rounded_to_bytes(dtype: torch.dtype) -> None:
    values = torch.linspace(0, 1, 6 * 9 * 3).view(3, 6, 9).to(dtype)
    decoded = from_tensor(values, limits=LIMITS)
    wanted = np.round(values.double().numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    assert np.array_equal(decoded.pixels, wanted)
    assert decoded.format == "tensor"


def test_a_tensor_and_its_bytes_are_the_same_picture() -> None:
    tensor = torch.from_numpy(RGB).permute(2, 0, 1)
    for variant in (tensor, tensor[None], tensor.float() / 255, tensor.double()[None] / 255):
        assert np.array_equal(from_tensor(variant, limits=LIMITS).pixels, RGB)


def test_grey_and_transparent_tensors() -> None:
    tensor = torch.from_numpy(RGB).permute(2, 0, 1)
    got = from_tensor(tensor[:1], limits=LIMITS).pixels
    assert np.array_equal(got, np.repeat(RGB[:, :, :1], 3, axis=2))
    clear = torch.cat([tensor.float() / 255, torch.zeros(1, 6, 9)])
    assert (from_tensor(clear, limits=LIMITS).pixels == 255).all()


def test_a_tensor_that_needs_a_gradient_is_left_alone() -> None:
    values = torch.full((3, 4, 4), 0.5, requires_grad=True)
    assert from_tensor(values, limits=LIMITS).pixels.max() == 128
    assert values.requires_grad


def test_overshoot_of_a_resampler_is_clipped() -> None:
    values = torch.rand(3, 4, 4)
    values[0, 0, 0], values[1, 1, 1] = 1.0 + 1e-5, -1e-5
    pixels = from_tensor(values, limits=LIMITS).pixels
    assert pixels[0, 0, 0] == 255
    assert pixels[1, 1, 1] == 0


def spoiled(value: float) -> torch.Tensor:
    values = torch.rand(3, 4, 5)
    values[2, 3, 4] = value
    return values


@pytest.mark.parametrize(
    ("tensor", "code", "says"),
    [
        (spoiled(float("nan")), "tensor_nonfinite", "1 of 60 values"),
        (spoiled(float("inf")), "tensor_nonfinite", "1 of 60 values"),
        (spoiled(float("-inf")), "tensor_nonfinite", "1 of 60 values"),
        (torch.full((3, 4, 4), 1e300, dtype=torch.float64), "tensor_nonfinite", "infinite"),
        (torch.rand(3, 4, 4) * 255, "tensor_range", r"0\.\.255"),
        (torch.rand(3, 4, 4) * 2 - 1, "tensor_range", r"\(x \+ 1\) / 2"),
        (spoiled(1.01), "tensor_range", r"\[0, 1\]"),
        (spoiled(-0.01), "tensor_range", r"\[0, 1\]"),
        (torch.randn(3, 64, 64) * 300, "tensor_range", "normalise"),
        (torch.rand(6, 9, 3), "tensor_layout", r"permute\(2, 0, 1\)"),
        (torch.rand(1, 6, 9, 3), "tensor_layout", r"permute\(0, 3, 1, 2\)"),
        (torch.rand(2, 3, 6, 9), "tensor_layout", "a batch of 2"),
        (torch.rand(6, 9), "tensor_layout", "CxHxW"),
        (torch.rand(2, 6, 9), "tensor_layout", "1, 3 or 4 channels"),
        (torch.rand(1, 1, 3, 6, 9), "tensor_layout", "CxHxW"),
        (torch.tensor(0.5), "tensor_layout", "CxHxW"),
        (torch.rand(3, 4, 4).to_sparse(), "tensor_layout", "dense"),
        (torch.rand(3, 4, 4, device="meta"), "tensor_layout", "hold values"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "tensor_dtype", "int64"),
        (torch.zeros(3, 4, 4, dtype=torch.bool), "tensor_dtype", "bool"),
        (torch.zeros(3, 4, 4, dtype=torch.complex64), "tensor_dtype", "complex"),
        (torch.zeros(3, 0, 4), "image_too_small", "no pixels"),
        (torch.zeros(3, 1, 1), "image_too_small", "1x1"),
        (torch.zeros(3, 1, 20000), "image_aspect_ratio", "20000x1"),
        (torch.zeros(1).expand(3, 30000, 30000), "image_too_large", "900,000,000"),
    ],
)
def test_tensors_that_are_no_picture(tensor: torch.Tensor, code: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        from_tensor(tensor, limits=LIMITS)
    assert code_of(caught) == code
