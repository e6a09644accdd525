"""The backbone against the stock model of transformers: hidden states and every gradient."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Qwen3_5Config as StockConfig
from transformers import Qwen3_5Model as StockModel

from librehps.modeling import (
    PRESETS,
    Qwen3_5Backbone,
    Qwen3_5Config,
    Qwen3_5TextConfig,
    Qwen3_5VisionConfig,
)
from librehps.modeling.precision import keeps_float32
from librehps.modeling.transformers_backbone import TransformersBackbone
from librehps.testing.tolerances import TOLERANCES, relative_rms

HIDDEN = TOLERANCES["backbone_hidden_float32"].limit
GRADIENT = TOLERANCES["backbone_gradient_float32"].limit
LINEAR, FULL = "linear_attention", "full_attention"


def tiny(
    *,
    layer_types: tuple[str, ...],
    hidden_size: int = 48,
    attention: tuple[int, int, int] = (4, 2, 16),
    delta: tuple[int, int, int, int] = (2, 4, 16, 24),
    taps: int = 4,
    rotary: tuple[float, tuple[int, int, int]] = (0.5, (2, 1, 1)),
    vision: tuple[int, int, int, int] = (2, 32, 2, 64),
    merge_size: int = 2,
    patch_size: int = 4,
) -> Qwen3_5Config:
    """A small config; ``vision`` is depth, width, heads and entries of the position table."""
    depth, vision_width, vision_heads, table = vision
    return Qwen3_5Config(
        text=Qwen3_5TextConfig(
            vocab_size=64,
            hidden_size=hidden_size,
            intermediate_size=hidden_size + 20,
            layer_types=layer_types,
            num_attention_heads=attention[0],
            num_key_value_heads=attention[1],
            head_dim=attention[2],
            linear_num_key_heads=delta[0],
            linear_num_value_heads=delta[1],
            linear_key_head_dim=delta[2],
            linear_value_head_dim=delta[3],
            linear_conv_kernel_dim=taps,
            partial_rotary_factor=rotary[0],
            mrope_section=rotary[1],
            rope_theta=10_000.0,
        ),
        vision=Qwen3_5VisionConfig(
            depth=depth,
            hidden_size=vision_width,
            intermediate_size=2 * vision_width + 6,
            num_heads=vision_heads,
            out_hidden_size=hidden_size,
            patch_size=patch_size,
            spatial_merge_size=merge_size,
            num_position_embeddings=table,
        ),
        image_token_id=60,
        video_token_id=61,
        vision_start_token_id=62,
        vision_end_token_id=63,
    )


CONFIGS = {
    "usual": tiny(layer_types=(LINEAR, LINEAR, LINEAR, FULL)),
    "one_value_head_per_key": tiny(
        layer_types=(LINEAR, FULL), delta=(3, 3, 8, 8), taps=3, hidden_size=40
    ),
    "three_value_heads_per_key": tiny(
        layer_types=(FULL, LINEAR, FULL),
        attention=(6, 3, 24),
        delta=(2, 6, 20, 12),
        taps=5,
        hidden_size=36,
        rotary=(0.25, (1, 1, 1)),
        vision=(3, 48, 4, 49),
    ),
    "head_72": tiny(
        layer_types=(LINEAR, FULL),
        attention=(2, 1, 40),
        rotary=(0.8, (6, 5, 5)),
        vision=(2, 144, 2, 36),
        hidden_size=52,
    ),
    "full_only": tiny(
        layer_types=(FULL, FULL),
        attention=(5, 5, 8),
        rotary=(0.5, (1, 1, 0)),
        vision=(1, 12, 3, 9),
    ),
    "linear_only": tiny(layer_types=(LINEAR, LINEAR), taps=2, merge_size=1),
    "merge_three": tiny(layer_types=(LINEAR, FULL), merge_size=3, vision=(2, 16, 4, 100)),
}


@dataclass(frozen=True)
class Packed:
    """What both models are fed, and a random linear function of what they return."""

    arguments: dict[str, Any]
    weighting: Tensor


def pack(config: Qwen3_5Config, sequences: list[list[int | tuple[int, int]]]) -> Packed:
    """Pack sequences of text runs (a length) and pictures (rows and columns of merged tokens).

    Positions follow the published rule: a picture advances them by its longer side.
    """
    generator = torch.Generator().manual_seed(len(sequences))
    merge, patch_dim = config.vision.spatial_merge_size, config.vision.patch_dim
    special = min(config.image_token_id, config.text.vocab_size)
    ids: list[Tensor] = []
    positions: list[Tensor] = []
    grids: list[tuple[int, int, int]] = []
    lengths: list[int] = []
    for sequence in sequences:
        start = sum(part.numel() for part in ids)
        place = 0
        for run in sequence:
            if isinstance(run, int):
                ids.append(torch.randint(0, special, (run,), generator=generator))
                positions.append((torch.arange(run) + place).expand(3, -1))
                place += run
                continue
            rows, columns = run
            ids.append(torch.full((rows * columns,), config.image_token_id))
            row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            axes = torch.stack((torch.zeros_like(row), row, column)).flatten(1)
            positions.append(axes + place)
            grids.append((1, rows * merge, columns * merge))
            place += max(run)
        lengths.append(sum(part.numel() for part in ids) - start)
    num_patches = sum(rows * columns for _, rows, columns in grids)
    patches = torch.rand(num_patches, patch_dim, generator=generator) * 2 - 1
    return Packed(
        arguments={
            "input_ids": torch.cat(ids),
            "positions": torch.cat(positions, dim=1),
            "cu_seqlens": torch.tensor([0, *lengths]).cumsum(0).int(),
            "patches": patches if grids else None,
            "grid_thw": torch.tensor(grids) if grids else None,
        },
        weighting=torch.randn(sum(lengths), config.text.hidden_size, generator=generator),
    )


def sides_of(pixels: int, other: int, config: Qwen3_5Config) -> tuple[int, int]:
    """Merged rows and columns of a picture, given its sides in pixels."""
    token = config.vision.patch_size * config.vision.spatial_merge_size
    return pixels // token, other // token


@torch.no_grad()
def disturb(model: torch.nn.Module) -> None:
    """Move every vector away from the zeros and ones that would hide a mistake."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        noise = torch.rand(parameter.shape, generator=generator) if parameter.dim() == 1 else None
        if name.endswith("A_log"):
            parameter.copy_(noise * 2.5 - 0.5)
        elif name.endswith("dt_bias"):
            parameter.copy_(noise * 4 - 3)
        elif noise is not None:
            parameter.add_((noise - 0.5) * 0.8)
        elif parameter.dim() == 2 and parameter.shape[0] * parameter.shape[1] < 1e6:
            # Wide enough that attention and gates leave their linear range.
            parameter.mul_(6.0)


def pair(config: Qwen3_5Config) -> tuple[Qwen3_5Backbone, TransformersBackbone]:
    """Both models over the same storage: a parameter of one is the parameter of the other."""
    torch.manual_seed(0)
    stock = StockModel(StockConfig(**config.to_hf())).eval()
    disturb(stock)
    with torch.device("meta"):
        native = Qwen3_5Backbone(config)
    native.load_state_dict(stock.state_dict(keep_vars=True), assign=True)
    shared = dict(stock.named_parameters())
    assert all(parameter is shared[name] for name, parameter in native.named_parameters())
    return native.eval(), TransformersBackbone(stock)


def gradients(model: torch.nn.Module, packed: Packed) -> tuple[Tensor, dict[str, Tensor | None]]:
    """Return the hidden states and, for a random linear function of them, all gradients."""
    model.zero_grad(set_to_none=True)
    hidden = model(**packed.arguments).hidden
    (hidden * packed.weighting).sum().backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return hidden.detach(), found


def compare(config_models: tuple[Any, Any], packed: Packed) -> tuple[float, float]:
    """Return the relative RMS errors of the hidden states and of the worst gradient."""
    native, stock = config_models
    expected, expected_gradients = gradients(stock, packed)
    actual, actual_gradients = gradients(native, packed)
    assert set(actual_gradients) == set(expected_gradients)
    errors = {"": 0.0}
    for name, wanted in expected_gradients.items():
        got = actual_gradients[name]
        # A part that was not run has no gradient, or one of zeros.
        if wanted is None or not wanted.any():
            assert got is None or not got.any(), f"{name} must have no gradient"
            continue
        assert got is not None, f"{name} has no gradient"
        # In place and in float32: at full width these are gigabytes.
        errors[name] = float(got.sub_(wanted).norm() / wanted.norm())
    worst = max(errors, key=errors.__getitem__)
    assert errors[worst] <= GRADIENT, f"gradient of {worst}: {errors[worst]:.2e}"
    return relative_rms(actual, expected), errors[worst]


@pytest.fixture(scope="module", params=CONFIGS, ids=str)
def models(request: pytest.FixtureRequest) -> tuple[Qwen3_5Backbone, TransformersBackbone]:
    return pair(CONFIGS[request.param])


@pytest.mark.parametrize(
    "sequences",
    [
        pytest.param([[9]], id="text"),
        pytest.param([[5, (3, 2), 4]], id="one_image"),
        pytest.param(
            [[2, (1, 4), 3, (5, 3), 1], [1], [70], [(2, 2), 2, (1, 1), 7]], id="many_packed"
        ),
    ],
)
def test_tiny_models_agree(models: tuple[Any, Any], sequences: list[list[Any]]) -> None:
    hidden, _ = compare(models, pack(models[0].config, sequences))
    assert hidden <= HIDDEN


@pytest.fixture(scope="module")
def usual() -> tuple[Qwen3_5Backbone, TransformersBackbone]:
    return pair(tiny(layer_types=(LINEAR, FULL), patch_size=16, vision=(1, 32, 1, 2304)))


@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (256, 480), (1024, 768), (2048, 2048), (32, 2048), (4096, 32)]
)
@torch.no_grad()
def test_picture_sizes_agree(usual: tuple[Any, Any], height: int, width: int) -> None:
    native, stock = usual
    packed = pack(native.config, [[3, sides_of(height, width, native.config), 2]])
    error = relative_rms(native(**packed.arguments).hidden, stock(**packed.arguments).hidden)
    assert error <= HIDDEN


@torch.no_grad()
def test_a_video_is_attended_frame_by_frame(usual: tuple[Any, Any]) -> None:
    native, stock = usual
    patches = torch.rand(2 * 24 + 4, native.config.vision.patch_dim) * 2 - 1
    grid = torch.tensor([[2, 4, 6], [1, 2, 2]])
    error = relative_rms(native.encode_images(patches, grid), stock.encode_images(patches, grid))
    assert error <= HIDDEN


@pytest.fixture(scope="module")
def wide() -> tuple[Qwen3_5Backbone, TransformersBackbone]:
    """The widths of the 4B model, four layers deep and with a short vocabulary."""
    published = PRESETS["4b"].to_hf()
    published["text_config"] |= {
        "num_hidden_layers": 4,
        "layer_types": [LINEAR, LINEAR, LINEAR, FULL],
        "vocab_size": 512,
        "eos_token_id": None,
    }
    published["vision_config"]["depth"] = 2
    ids = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    published |= {name: 508 + index for index, name in enumerate(ids)}
    return pair(Qwen3_5Config.from_hf(published))


def test_the_widths_of_4b_agree(wide: tuple[Any, Any]) -> None:
    packed = pack(wide[0].config, [[6, (3, 4), 3, (2, 2), 1], [7]])
    hidden, _ = compare(wide, packed)
    assert hidden <= HIDDEN


# Thousands of patches at full width: minutes on two cores, and more where others work on them too.
LARGE_PICTURE = (pytest.mark.slow, pytest.mark.timeout(900))


@pytest.mark.parametrize(
    "pictures",
    [
        pytest.param([(512, 512)], id="512x512"),
        pytest.param([(64, 64), (64, 1024), (352, 224)], id="three_pictures"),
        pytest.param([(1024, 1024)], id="1024x1024", marks=pytest.mark.slow),
        pytest.param([(2048, 2048)], id="2048x2048", marks=LARGE_PICTURE),
        pytest.param([(64, 12_800)], id="64x12800", marks=LARGE_PICTURE),
    ],
)
@torch.no_grad()
def test_picture_sizes_agree_at_the_widths_of_4b(
    wide: tuple[Any, Any], pictures: list[tuple[int, int]]
) -> None:
    native, stock = wide
    runs = [run for size in pictures for run in (5, sides_of(*size, native.config))]
    packed = pack(native.config, [[*runs, 8]])
    error = relative_rms(native(**packed.arguments).hidden, stock(**packed.arguments).hidden)
    assert error <= HIDDEN


@torch.no_grad()
def test_the_widths_of_4b_agree_in_bfloat16(wide: tuple[Any, Any]) -> None:
    native, stock = wide
    packed = pack(native.config, [[8, (3, 4), 6]])
    exact = native(**packed.arguments).hidden
    native_half = copy.deepcopy(native).cast_(torch.bfloat16)(**packed.arguments).hidden
    stock_half = copy.deepcopy(stock).to(torch.bfloat16)(**packed.arguments).hidden
    ours, theirs = relative_rms(native_half, exact), relative_rms(stock_half, exact)
    limit = TOLERANCES["backbone_bfloat16"].limit
    assert relative_rms(native_half, stock_half) <= limit
    assert ours <= limit
    # No worse than stock, which rounds the decay rates as well.
    assert ours <= 1.25 * theirs


def test_stock_names_are_ours(models: tuple[Any, Any]) -> None:
    native, stock = models
    shapes = {name: tuple(tensor.shape) for name, tensor in native.state_dict().items()}
    assert shapes == {name: tuple(tensor.shape) for name, tensor in stock.state_dict().items()}
    assert any(keeps_float32(name) for name in shapes) == (LINEAR in native.config.text.layer_types)
