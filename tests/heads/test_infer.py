from __future__ import annotations

import pytest
import torch

from librehps.errors import CheckpointError
from librehps.heads import HEADS, MultiAxisHead, ScalarHead
from librehps.heads.infer import infer_heads
from librehps.heads.protocol import Head


def shapes_of(head: Head, name: str) -> dict[str, tuple[int, ...]]:
    assert isinstance(head, torch.nn.Module)
    return {f"{name}_head.{key}": tuple(t.shape) for key, t in head.state_dict().items()}


@pytest.mark.parametrize(
    "head",
    [
        MultiAxisHead(hidden_size=6),
        MultiAxisHead(hidden_size=6, sigma=False),
        MultiAxisHead(
            hidden_size=6, axes=("overall", "alignment", "coherence", "style", "temporal")
        ),
        MultiAxisHead(hidden_size=6, hidden_sizes=(12, 7), bias=False),
        # More than ten layers: numbers in names must be read as numbers.
        MultiAxisHead(hidden_size=6, hidden_sizes=tuple(range(7, 18))),
    ],
    ids=["four", "no-sigma", "five", "mlp", "deep"],
)
def test_our_own_layouts_are_understood(head: MultiAxisHead) -> None:
    scalar = ScalarHead(hidden_size=6, hidden_sizes=(3,))
    shapes = shapes_of(head, "multi_axis") | shapes_of(scalar, "scalar")
    found = infer_heads(shapes, hidden_size=6)
    assert set(found.heads) == {"multi_axis", "scalar"}
    assert found.heads["multi_axis"].to_config() == head.to_config()
    assert found.heads["scalar"].to_config() == scalar.to_config()
    assert found.names == {name: name for name in shapes}
    assert len(found.notes) == 2
    assert all("does not describe" in note for note in found.notes)


def test_layers_under_other_names_are_mapped() -> None:
    found = infer_heads(
        {
            "multi_axis_head.net.0.bias": (9,),
            "multi_axis_head.net.0.weight": (9, 6),
            "multi_axis_head.net.3.weight": (8, 9),
            "multi_axis_head.net.3.bias": (8,),
            "scalar_head.proj.weight": (1, 6),
        },
        hidden_size=6,
    )
    assert found.names == {
        "multi_axis_head.0.weight": "multi_axis_head.net.0.weight",
        "multi_axis_head.0.bias": "multi_axis_head.net.0.bias",
        "multi_axis_head.2.weight": "multi_axis_head.net.3.weight",
        "multi_axis_head.2.bias": "multi_axis_head.net.3.bias",
        "scalar_head.weight": "scalar_head.proj.weight",
    }


@pytest.mark.parametrize("odd", ["0\u00b21", "\u0663", 5000 * "9"], ids=["power", "arabic", "long"])
def test_digits_that_are_no_number_are_part_of_the_name(odd: str) -> None:
    name = f"scalar_head.{odd}.weight"
    assert infer_heads({name: (1, 6)}, hidden_size=6).names == {"scalar_head.weight": name}


def test_no_heads_at_all_says_what_to_do() -> None:
    with pytest.raises(CheckpointError, match="librehps init") as caught:
        infer_heads({}, hidden_size=6)
    assert caught.value.code == "heads_missing"


@pytest.mark.parametrize(
    "shapes",
    [
        {"rm_head.weight": (1, 6)},
        {"multi_axis_head.weight": (7, 6)},
        {"multi_axis_head.weight": (8, 5)},
        {"multi_axis_head.weight": (8, 6), "multi_axis_head.bias": (4,)},
        {"multi_axis_head.weight": (8, 6), "multi_axis_head.scale": (6,)},
        {"multi_axis_head.0.weight": (6,), "multi_axis_head.1.weight": (8, 6)},
        {"multi_axis_head.0.weight": (5, 6), "multi_axis_head.2.weight": (8, 4)},
        {"multi_axis_head.0.weight": (5, 6), "multi_axis_head.0.bias": (5,)}
        | {"multi_axis_head.2.weight": (8, 5)},
        {"multi_axis_head.weight": (8, 6), "score.weight": (1, 6)},
        {"scalar_head.weight": (2, 6)},
        {"multi_axis_head.bias": (8,)},
        {"multi_axis_head.weight": (8, 6, 1)},
    ],
)
def test_anything_else_stops_with_every_name_and_shape(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(CheckpointError) as caught:
        infer_heads(shapes, hidden_size=6)
    assert caught.value.code == "heads_not_understood"
    for name, shape in shapes.items():
        assert f"{name}: {list(shape)}" in str(caught.value)


@pytest.mark.parametrize("kind", ["attention_pooling", "axis_tokens"])
def test_heads_of_several_tokens_are_never_taken_for_others(kind: str) -> None:
    shapes = shapes_of(HEADS[kind].from_config({}, hidden_size=6), kind)
    assert shapes
    with pytest.raises(CheckpointError, match="add a 'librehps' key with 'heads'") as caught:
        infer_heads(shapes, hidden_size=6)
    assert caught.value.code == "heads_not_understood"
    assert all(name in str(caught.value) for name in shapes)
