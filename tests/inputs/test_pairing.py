"""Images meet their prompts one to one, and errors name the one at fault."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from librehps.errors import InputError
from librehps.inputs.pairing import Pair, as_list, pair


def test_one_text_goes_with_every_image() -> None:
    pairs = pair(["a.png", "b.png"], "a cat")
    assert [(p.image, p.prompt, p.image_name, p.prompt_name) for p in pairs] == [
        ("a.png", "a cat", "images[0]", "prompts"),
        ("b.png", "a cat", "images[1]", "prompts"),
    ]


def test_a_list_goes_one_to_one() -> None:
    for prompts in (["x", "y"], ("x", "y"), np.array(["x", "y"])):
        pairs = pair(["a.png", "b.png"], prompts)
        assert [(p.image, p.prompt, p.prompt_name) for p in pairs] == [
            ("a.png", "x", "prompts[0]"),
            ("b.png", "y", "prompts[1]"),
        ]


@pytest.mark.parametrize(("images", "prompts"), [(["a"], []), (["a"], ["x", "y"]), ([], ["x"])])
def test_lists_of_different_lengths_are_refused(images: list[str], prompts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        pair(images, prompts)
    assert caught.value.code == "length_mismatch"
    assert f"{len(prompts)} for {len(images)} images" in str(caught.value)


@pytest.mark.parametrize(
    "prompts", [b"bytes", bytearray(b"x"), 7, None, {"a": "b"}, np.array("text")]
)
def test_prompts_that_are_no_texts_are_refused(prompts: object) -> None:
    with pytest.raises(InputError) as caught:
        pair(["a"], prompts)
    assert caught.value.code == "prompts_type"


def test_a_batch_tensor_or_array_is_a_list_of_images() -> None:
    tensor = torch.rand(3, 3, 4, 5)
    assert [image.shape for image in as_list(tensor)] == [(3, 4, 5)] * 3
    assert torch.equal(as_list(tensor)[2], tensor[2])
    array = np.zeros((2, 4, 5, 3), np.uint8)
    assert [image.shape for image in as_list(array)] == [(4, 5, 3)] * 2


@pytest.mark.parametrize(
    "images",
    [
        "cat.png",
        b"\x89PNG",
        bytearray(b"\x89PNG"),
        torch.rand(3, 4, 5),
        np.zeros((4, 5, 3), np.uint8),
        7,
        None,
    ],
    ids=["path", "bytes", "bytearray", "tensor", "array", "number", "nothing"],
)
def test_a_single_image_is_no_list(images: object) -> None:
    with pytest.raises(InputError, match="score_image") as caught:
        as_list(images)
    assert caught.value.code == "images_type"


def test_an_error_is_given_to_the_one_at_fault() -> None:
    one = Pair("a.png", "x", "images[3]", "prompts[3]")
    assert one.name(InputError("m", code="image_empty")).item == "images[3]"
    assert one.name(InputError("m", code="tensor_range", item="a.pt")).item == "images[3] (a.pt)"
    assert one.name(InputError("m", code="prompt_empty")).item == "prompts[3]"
    forged = InputError("m", code="special_token_forged")
    assert one.name(forged).item == "prompts[3]"
