"""The selective scan and the Mamba-2 mixer against the torch code of transformers."""

from __future__ import annotations

import dataclasses
import warnings
from math import inf
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Mamba2Config as StockConfig
from transformers.models.mamba2 import modeling_mamba2 as stock

from librehps.kernels.selective_scan import selective_scan
from librehps.modeling import PRESETS, Mamba2Config, Mamba2Mixer
from librehps.testing.tolerances import TOLERANCES, relative_rms

LENGTHS = (1, 2, 63, 64, 65, 127)
BOUNDS = [0, *torch.tensor(LENGTHS).cumsum(0).tolist()]
CU_SEQLENS = torch.tensor(BOUNDS)
SCAN = TOLERANCES["selective_scan_transformers_float32"].limit
MIXER = TOLERANCES["mamba2_transformers_float32"].limit
PER_TOKEN = ("x", "dt", "B", "C")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_gradients(parts: tuple[Tensor, ...], leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """Results, and the gradients of a fixed weighting of them."""
    total = sum((part * random(*part.shape, seed=9)).sum() for part in parts)
    assert isinstance(total, Tensor)
    grads = torch.autograd.grad(total, [*leaves.values()])
    results = {f"result {number}": part for number, part in enumerate(parts)}
    return results | dict(zip(leaves, grads, strict=True))


def assert_agree(actual: dict[str, Tensor], expected: dict[str, Tensor], limit: float) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in actual.items():
        assert relative_rms(tensor, expected[name]) <= limit, name


def scan_inputs(heads: int, groups: int, rate: float) -> dict[str, Any]:
    tokens = BOUNDS[-1]
    given = {
        "x": random(tokens, heads, 7, seed=1),
        "dt": random(tokens, heads, seed=2),
        "A": -rate * random(heads, seed=3).exp(),
        "B": random(tokens, groups, 5, seed=4),
        "C": random(tokens, groups, 5, seed=5),
        "D": random(heads, seed=6),
        "dt_bias": random(heads, seed=7),
        "initial_state": random(len(LENGTHS), heads, 5, 7, seed=8),
    }
    return {name: tensor.requires_grad_() for name, tensor in given.items()}


def stock_chunks(
    given: dict[str, Tensor], *, dt_limit: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    outputs: list[Tensor] = []
    states: list[Tensor] = []
    for index in range(len(LENGTHS)):
        own = slice(BOUNDS[index], BOUNDS[index + 1])
        y, state = stock.mamba2_chunk_scan(
            *(given[name][own][None] for name in ("x", "dt")),
            given["A"],
            *(given[name][own][None] for name in ("B", "C")),
            chunk_size=32,
            D=given["D"],
            dt_bias=given["dt_bias"],
            initial_states=given["initial_state"][index : index + 1].mT,
            dt_softplus=True,
            dt_limit=dt_limit,
            return_final_states=True,
        )
        outputs.append(y[0])
        states.append(state.mT)
    return torch.cat(outputs), torch.cat(states)


@pytest.mark.parametrize("limits", [(0.0, inf), (0.3, 1.2)], ids=str)
@pytest.mark.parametrize(("heads", "groups", "rate"), [(6, 3, 1.0), (3, 1, 0.0), (2, 2, 30.0)])
def test_scan_in_chunks(heads: int, groups: int, rate: float, limits: tuple[float, float]) -> None:
    given = scan_inputs(heads, groups, rate)
    theirs = with_gradients(stock_chunks(given, dt_limit=limits), given)
    out = selective_scan(**given, cu_seqlens=CU_SEQLENS, dt_softplus=True, dt_limit=limits)
    ours = with_gradients(out, given)
    if rate > 10:
        # Theirs is a difference of sums in float32, of which little is left under strong decay;
        # ours is compared with the definition in float64 where that is tested.
        del ours["A"], theirs["A"]
    assert_agree(ours, theirs, SCAN)


def test_scan_of_one_token_with_a_gate() -> None:
    given: dict[str, Any] = {
        name: tensor[:5] if name in (*PER_TOKEN, "initial_state") else tensor
        for name, tensor in scan_inputs(6, 3, 1.0).items()
    }
    gate = random(5, 6, 7, seed=10)
    y, state = selective_scan(**given, cu_seqlens=torch.arange(6), dt_softplus=True, z=gate)
    # It is told everything per channel, and overwrites the state.
    memory = given["initial_state"].mT.contiguous().detach()
    dt, bias, D = (given[name][..., None].expand_as(gate) for name in ("dt", "dt_bias", "D"))
    with torch.no_grad():
        expected = stock.mamba2_selective_state_update(
            memory,
            given["x"],
            dt,
            given["A"][:, None, None].expand(6, 7, 5),
            given["B"],
            given["C"],
            D,
            dt_bias=bias,
            dt_softplus=True,
            z=gate,
        )
    assert relative_rms(y, expected) <= SCAN
    assert relative_rms(state, memory.mT) <= SCAN


SHAPES = {
    "usual": Mamba2Config(num_heads=8, head_dim=8, state_size=16, n_groups=1),
    "three groups": Mamba2Config(num_heads=6, head_dim=12, state_size=5, n_groups=3, conv_kernel=3),
    "biases": Mamba2Config(num_heads=5, head_dim=8, state_size=7, n_groups=5, use_bias=True),
    "no biases": Mamba2Config(num_heads=4, head_dim=6, n_groups=2, use_conv_bias=False),
    "limited steps": Mamba2Config(
        num_heads=4, head_dim=16, state_size=9, n_groups=2, time_step_limit=(0.4, 0.9)
    ),
}


def pair(shape: Mamba2Config) -> tuple[Mamba2Mixer, Any, int]:
    """Our mixer, theirs with the same random parameters, and the width of both."""
    width = shape.intermediate_size // 2
    settings = {
        field.name: getattr(shape, field.name) for field in dataclasses.fields(Mamba2Config)
    }
    with warnings.catch_warnings():
        # transformers' own use of deprecated torch functions is not ours to judge.
        warnings.simplefilter("ignore")
        theirs = stock.Mamba2Mixer(
            StockConfig(**settings, hidden_size=width, num_hidden_layers=1, chunk_size=32), 0
        )
    text = dataclasses.replace(PRESETS["nano"].text, hidden_size=width, mamba2=shape)
    ours = Mamba2Mixer(text, layer_index=0, attn_impl="auto", kernel_impl="auto")
    with torch.no_grad():
        for seed, (name, parameter) in enumerate(ours.named_parameters()):
            # Rates of about e, and what stands for a factor is about one.
            middle = float(name in ("A_log", "D", "norm.weight"))
            parameter.copy_(middle + 0.3 * random(*parameter.shape, seed=seed))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, width


@pytest.mark.parametrize("name", SHAPES)
def test_mixer(name: str) -> None:
    ours, theirs, width = pair(SHAPES[name])
    x = random(BOUNDS[-1], width, seed=20).requires_grad_()
    y, _ = ours(x, rotary=(x.new_zeros(0), x.new_zeros(0)), cu_seqlens=CU_SEQLENS)
    alone = torch.cat([theirs(own[None])[0] for own in x.split(LENGTHS)])
    results = (
        with_gradients((out,), {"x": x} | dict(module.named_parameters()))
        for out, module in ((y, ours), (alone, theirs))
    )
    assert_agree(*results, limit=MIXER)
