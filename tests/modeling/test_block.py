from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from librehps.errors import ConfigError
from librehps.modeling import PRESETS, Qwen3_5TextConfig, mixer
from librehps.modeling.block import Block
from librehps.registry import Registry

TEXT = PRESETS["nano"].text


class PreviousToken(nn.Module):
    """A mixer from outside: each token sees its predecessor, scaled."""

    module_name: ClassVar[str] = "previous"

    def __init__(
        self, config: Qwen3_5TextConfig, *, layer_index: int, attn_impl: str, kernel_impl: str
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((config.hidden_size,), float(layer_index)))

    @staticmethod
    def num_params(config: Qwen3_5TextConfig) -> int:
        return config.hidden_size

    def forward(self, x: torch.Tensor, **options: Any) -> tuple[torch.Tensor, None]:
        return torch.cat((torch.zeros_like(x[:1]), x[:-1])) * self.scale, None


def run(block: Block, x: torch.Tensor) -> torch.Tensor:
    angles = (torch.ones(len(x), 16), torch.zeros(len(x), 16))
    return block(x, rotary=angles, cu_seqlens=torch.tensor([0, len(x)]))[0]


def test_the_mixer_has_the_name_that_the_checkpoint_gives_it() -> None:
    for index, name in ((0, "linear_attn"), (1, "self_attn")):
        block = Block(TEXT, layer_index=index, attn_impl="auto", kernel_impl="auto")
        assert next(child for child, _ in block.named_children()) == name
        assert block.mixer is getattr(block, name)


def test_both_halves_are_residual() -> None:
    torch.manual_seed(0)
    block = Block(TEXT, layer_index=1, attn_impl="auto", kernel_impl="auto")
    x = torch.randn(3, TEXT.hidden_size)
    nn.init.zeros_(block.mlp.down_proj.weight)
    only_mixer = run(block, x) - x
    assert only_mixer.abs().max() > 1e-3
    nn.init.zeros_(block.get_submodule("self_attn.o_proj").weight)
    assert torch.equal(run(block, x), x)


def test_the_mlp_runs_for_the_tokens_that_are_wanted() -> None:
    torch.manual_seed(0)
    block = Block(TEXT, layer_index=1, attn_impl="auto", kernel_impl="auto")
    seen: list[int] = []
    block.mlp.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    x, index = torch.randn(7, TEXT.hidden_size), torch.tensor([6, 2])
    angles = (torch.ones(7, 16), torch.zeros(7, 16))
    some, _ = block(x, rotary=angles, cu_seqlens=torch.tensor([0, 7]), output_index=index)
    torch.testing.assert_close(some, run(block, x)[index])
    assert seen == [2, 7]


def test_a_mixer_from_outside_works_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    # A registry of the test's own, so that nothing is left behind for other tests.
    monkeypatch.setattr(mixer.MIXERS, "_entries", dict(mixer.MIXERS._entries))
    assert isinstance(mixer.MIXERS, Registry)
    mixer.MIXERS.register("previous_token")(PreviousToken)
    config = dataclasses.replace(TEXT, layer_types=("linear_attention", "previous_token"))
    block = Block(config, layer_index=1, attn_impl="auto", kernel_impl="auto")
    assert "previous.scale" in block.state_dict()
    assert run(block, torch.randn(4, TEXT.hidden_size)).shape == (4, TEXT.hidden_size)
    mlp_and_norms = sum(p.numel() for p in block.parameters()) - TEXT.hidden_size
    linear = mixer.MIXERS["linear_attention"].num_params(config)
    expected = 2 * mlp_and_norms + linear + TEXT.hidden_size
    assert config.num_params() == expected + TEXT.hidden_size * (TEXT.vocab_size + 1)


def test_an_unknown_layer_type_is_an_error() -> None:
    config = dataclasses.replace(TEXT, layer_types=("attention",))
    with pytest.raises(ConfigError, match="attention"):
        Block(config, layer_index=0, attn_impl="auto", kernel_impl="auto")
