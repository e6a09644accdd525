"""Positions against ``get_rope_index`` of transformers' Qwen3.5."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen3_5Config, Qwen3_5Model

from librehps.inputs.positions import ImageRun, TextRun, rope_positions

TEXT, IMAGE = 7, 9


@pytest.fixture(scope="module")
def stock() -> Qwen3_5Model:
    config = Qwen3_5Config(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "layer_types": ["full_attention"],
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "vocab_size": 16,
        },
        vision_config={"hidden_size": 32, "depth": 1, "num_heads": 2, "out_hidden_size": 32},
    )
    with torch.device("meta"):
        return Qwen3_5Model(config)


# The stock function finds images as groups of equal token types, so text stands between them,
# as vision_start and vision_end always do.
@pytest.mark.parametrize(
    "runs",
    [
        pytest.param([TextRun(5)], id="text"),
        pytest.param([TextRun(1)], id="one-token"),
        pytest.param([TextRun(4), ImageRun(32, 32), TextRun(3)], id="one-image"),
        pytest.param([ImageRun(2, 2), TextRun(3)], id="image-first"),
        pytest.param([TextRun(4), ImageRun(2, 10)], id="image-last"),
        pytest.param([TextRun(4), ImageRun(2, 126), TextRun(9)], id="wide"),
        pytest.param([TextRun(4), ImageRun(126, 2), TextRun(9)], id="tall"),
        pytest.param(
            [
                TextRun(4),
                ImageRun(6, 10),
                TextRun(2),
                ImageRun(14, 2),
                TextRun(2),
                ImageRun(2, 2),
                TextRun(5),
            ],
            id="three-images",
        ),
    ],
)
def test_positions_equal_transformers(stock, runs):
    types, grids = [], []
    for run in runs:
        if isinstance(run, TextRun):
            types += [0] * run.num_tokens
        else:
            types += [1] * run.num_tokens(merge_size=2)
            grids.append((1, run.height, run.width))
    token_types = torch.tensor([types])
    expected, _ = stock.get_rope_index(
        torch.where(token_types == 1, IMAGE, TEXT),
        token_types,
        image_grid_thw=torch.tensor(grids) if grids else None,
    )
    assert torch.equal(rope_positions(runs), expected[:, 0])


def test_positions_equal_transformers_over_many_grids(stock):
    sizes = [(2 * rows, 2 * columns) for rows in (1, 3, 5, 8) for columns in (1, 2, 7)]
    runs = [TextRun(1)]
    for size in sizes:
        runs += [ImageRun(*size), TextRun(2)]
    test_positions_equal_transformers(stock, runs)
