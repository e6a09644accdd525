"""The ops against the torch functions of transformers that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3_5TextConfig as StockTextConfig
from transformers.models.qwen3_5 import modeling_qwen3_5 as stock

from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rotary import rotary
from librehps.kernels.swiglu import swiglu
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["kernels_transformers_float32"].limit
LENGTHS = (1, 2, 63, 64, 65, 127)
BOUNDS = [0, *torch.tensor(LENGTHS).cumsum(0).tolist()]
CU_SEQLENS = torch.tensor(BOUNDS)
EPS = 1e-6


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_gradients(function: Callable[..., Any], inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Results of ``function`` and the gradients of a fixed weighting of them."""
    own = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    out = function(*own)
    parts = out if isinstance(out, tuple) else (out,)
    total = sum((part.float() * random(*part.shape, seed=9)).sum() for part in parts)
    return (*parts, *torch.autograd.grad(total, own))


def assert_agree(ours: Callable[..., Any], theirs: Callable[..., Any], *inputs: Tensor) -> None:
    results = (with_gradients(function, list(inputs)) for function in (ours, theirs))
    for number, (actual, expected) in enumerate(zip(*results, strict=True)):
        assert actual.dtype == expected.dtype, number
        assert relative_rms(actual, expected) <= LIMIT, number


def delta_inputs(key_heads: int, value_heads: int) -> list[Tensor]:
    tokens = BOUNDS[-1]
    return [
        random(tokens, key_heads, 16, seed=1),
        random(tokens, key_heads, 16, seed=2),
        random(tokens, value_heads, 24, seed=3),
        -F.softplus(random(tokens, value_heads, seed=4)),
        random(tokens, value_heads, seed=5).sigmoid(),
        random(len(LENGTHS), value_heads, 16, 24, seed=6),
    ]


def ours_delta_rule(*inputs: Tensor) -> tuple[Tensor, Tensor]:
    return gated_delta_rule(*inputs[:5], cu_seqlens=CU_SEQLENS, initial_state=inputs[5])


@pytest.mark.parametrize("form", ["chunk", "recurrent"])
@pytest.mark.parametrize(("key_heads", "value_heads"), [(2, 2), (2, 4), (1, 3)])
def test_delta_rule(key_heads: int, value_heads: int, form: str) -> None:
    rule = getattr(stock, f"torch_{form}_gated_delta_rule")

    def theirs(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        *tokens, state = inputs
        # Versions differ in who shares the key heads out; with equal counts they agree.
        tokens[:2] = [x.repeat_interleave(value_heads // key_heads, dim=1) for x in tokens[:2]]
        outputs, states = [], []
        for index in range(len(LENGTHS)):
            own = slice(BOUNDS[index], BOUNDS[index + 1])
            out, final = rule(
                *(x[own][None] for x in tokens[:3]),
                g=tokens[3][own][None],
                beta=tokens[4][own][None],
                initial_state=state[index : index + 1],
                output_final_state=True,
                use_qk_l2norm_in_kernel=True,
            )
            outputs.append(out[0])
            states.append(final)
        return torch.cat(outputs), torch.cat(states)

    assert_agree(ours_delta_rule, theirs, *delta_inputs(key_heads, value_heads))


def test_causal_convolution() -> None:
    config = StockTextConfig(
        hidden_size=32,
        linear_num_key_heads=1,
        linear_num_value_heads=2,
        linear_key_head_dim=4,
        linear_value_head_dim=4,
        layer_types=["linear_attention"],
        num_hidden_layers=1,
    )
    conv = stock.Qwen3_5GatedDeltaNet(config, 0).conv1d
    channels, _, taps = conv.weight.shape

    def ours(x: Tensor, weight: Tensor) -> Tensor:
        return causal_conv1d(x, weight, cu_seqlens=CU_SEQLENS, activation="silu")[0]

    def theirs(x: Tensor, weight: Tensor) -> Tensor:
        rows = []
        for own in x.split(LENGTHS):
            padded = torch.func.functional_call(conv, {"weight": weight[:, None]}, (own.T[None],))
            rows.append(F.silu(padded[0, :, : len(own)]).T)
        return torch.cat(rows)

    assert_agree(ours, theirs, random(BOUNDS[-1], channels), random(channels, taps, seed=1))


def stock_norm(module: nn.Module) -> Callable[..., Tensor]:
    """The module as a function of its inputs and, last, its weight."""

    def run(*tensors: Tensor) -> Tensor:
        *inputs, weight = tensors
        return torch.func.functional_call(module, {"weight": weight}, tuple(inputs))

    return run


def ours_norm(x: Tensor, weight: Tensor) -> Tensor:
    return rms_norm(x, weight, eps=EPS)


def ours_gated_norm(x: Tensor, gate: Tensor, weight: Tensor) -> Tensor:
    return gated_rms_norm(x, gate, weight, eps=EPS)


def test_norms() -> None:
    x, gate, weight = random(37, 3, 24), random(37, 3, 24, seed=1), random(24, seed=2)
    assert_agree(ours_norm, stock_norm(stock.Qwen3_5RMSNorm(24, eps=EPS)), x, weight)
    gated = stock_norm(stock.Qwen3_5RMSNormGated(24, eps=EPS))
    assert_agree(ours_gated_norm, gated, x, gate, weight)


@pytest.mark.parametrize("weight_dtype", [torch.bfloat16, torch.float32], ids=str)
def test_norms_round_in_bfloat16_where_transformers_rounds(weight_dtype: torch.dtype) -> None:
    x, gate = random(200, 64).bfloat16(), random(200, 64, seed=1).bfloat16()
    weight = random(64, seed=2).to(weight_dtype)
    for ours, module, inputs in (
        (ours_norm, stock.Qwen3_5RMSNorm(64, eps=EPS), (x, weight)),
        (ours_gated_norm, stock.Qwen3_5RMSNormGated(64, eps=EPS), (x, gate, weight)),
    ):
        # A sum in another order may move a value over the edge between two bfloat16 numbers.
        differing = (ours(*inputs) != stock_norm(module)(*inputs)).float().mean().item()
        assert differing < 1e-3


@pytest.mark.parametrize(("width", "turned"), [(16, 16), (16, 8), (24, 6)])
def test_rotary_of_the_text_layers(width: int, turned: int) -> None:
    angles = random(11, turned // 2, seed=2).repeat(1, 2)

    def theirs(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = angles.cos()[None].to(q.dtype), angles.sin()[None].to(q.dtype)
        turned_q, turned_k = stock.apply_rotary_pos_emb(
            q.transpose(0, 1)[None], k.transpose(0, 1)[None], cos, sin
        )
        return turned_q[0].transpose(0, 1), turned_k[0].transpose(0, 1)

    def ours(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = angles.cos().to(q.dtype), angles.sin().to(q.dtype)
        return rotary(q, cos, sin), rotary(k, cos, sin)

    q, k = random(11, 4, width), random(11, 2, width, seed=1)
    assert_agree(ours, theirs, q, k)
    for actual, expected in zip(
        ours(q.bfloat16(), k.bfloat16()), theirs(q.bfloat16(), k.bfloat16()), strict=True
    ):
        assert torch.equal(actual, expected)


def test_rotary_of_the_vision_tower() -> None:
    angles = random(11, 8, seed=2).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()

    def theirs(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return stock.apply_rotary_pos_emb_vision(q, k, cos, sin)

    def ours(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return rotary(q, cos, sin), rotary(k, cos, sin)

    q, k = random(11, 4, 16), random(11, 4, 16, seed=1)
    assert_agree(ours, theirs, q, k)
    for actual, expected in zip(
        ours(q.bfloat16(), k.bfloat16()), theirs(q.bfloat16(), k.bfloat16()), strict=True
    ):
        assert torch.equal(actual, expected)


def test_gated_activation() -> None:
    config = StockTextConfig(hidden_size=24)
    mlp = stock.Qwen3_5MLP(config, 24)
    mlp.gate_proj = mlp.up_proj = mlp.down_proj = nn.Identity()

    def theirs(x: Tensor) -> Tensor:
        return mlp(x)

    def ours(x: Tensor) -> Tensor:
        return swiglu(x, x)

    assert_agree(ours, theirs, random(9, 24))
    assert torch.equal(ours(random(9, 24).bfloat16()), theirs(random(9, 24).bfloat16()))
