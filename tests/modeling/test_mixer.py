from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from librehps.errors import ConfigError
from librehps.modeling import MIXERS, PRESETS, Mamba2Config, TokenMixer
from librehps.modeling.rotary import multimodal_rotary

MAMBA2 = Mamba2Config(num_heads=6, head_dim=16, state_size=12, n_groups=2)
TEXT = dataclasses.replace(PRESETS["nano"].text, mamba2=MAMBA2)


def build(name: str) -> Any:
    torch.manual_seed(0)
    mixer = MIXERS[name](TEXT, layer_index=1, attn_impl="sdpa", kernel_impl="torch")
    assert isinstance(mixer, nn.Module)
    assert isinstance(mixer, TokenMixer)
    return mixer


def run(mixer: Any, x: torch.Tensor, start: int = 0, **options: Any) -> tuple[torch.Tensor, Any]:
    positions = torch.arange(start, start + len(x)).expand(3, -1)
    rotary = multimodal_rotary(positions, TEXT, dtype=x.dtype)
    bounds = torch.tensor([0, len(x)], dtype=torch.int32)
    return mixer(x, rotary=rotary, cu_seqlens=bounds, **options)


def test_the_two_mixers_of_qwen_and_mamba2_are_registered() -> None:
    assert {"linear_attention", "full_attention", "mamba2"} <= set(MIXERS)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match="token mixer"):
        _ = MIXERS["quadratic_attention"]


@pytest.mark.parametrize("name", MIXERS)
def test_it_counts_its_parameters(name: str) -> None:
    count = sum(parameter.numel() for parameter in build(name).parameters())
    assert MIXERS[name].num_params(TEXT) == count


@pytest.mark.parametrize("name", MIXERS)
def test_it_never_looks_ahead(name: str) -> None:
    mixer, x = build(name), torch.randn(9, TEXT.hidden_size)
    changed = x.clone()
    changed[5:] = torch.randn(4, TEXT.hidden_size)
    before, after = run(mixer, x)[0], run(mixer, changed)[0]
    torch.testing.assert_close(before[:5], after[:5])
    assert not torch.allclose(before[5:], after[5:])


@pytest.mark.parametrize("name", MIXERS)
def test_it_continues_from_its_state(name: str) -> None:
    mixer, x = build(name), torch.randn(9, TEXT.hidden_size)
    whole, nothing = run(mixer, x)
    assert nothing is None
    first, state = run(mixer, x[:1], return_state=True)
    second, state = run(mixer, x[1:4], 1, state=state, return_state=True)
    third, nothing = run(mixer, x[4:], 4, state=state)
    assert nothing is None
    torch.testing.assert_close(torch.cat((first, second, third)), whole)
