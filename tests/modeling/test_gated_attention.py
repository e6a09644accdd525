from __future__ import annotations

import torch

from librehps.modeling import PRESETS, GatedAttention
from librehps.modeling.rotary import multimodal_rotary

TEXT = PRESETS["nano"].text


def mixer() -> GatedAttention:
    torch.manual_seed(0)
    return GatedAttention(TEXT, layer_index=0, attn_impl="eager", kernel_impl="torch")


def run(model: GatedAttention, x: torch.Tensor, offset: int = 0) -> torch.Tensor:
    positions = (torch.arange(len(x)) + offset).expand(3, -1)
    rotary = multimodal_rotary(positions, TEXT, dtype=x.dtype)
    return model(x, rotary=rotary, cu_seqlens=torch.tensor([0, len(x)]))[0]


def test_query_and_gate_are_interleaved_by_head() -> None:
    """Closing the gate of head 1 alone silences that head's columns of o_proj and no others."""
    model, x = mixer(), torch.randn(1, TEXT.hidden_size)
    width = TEXT.head_dim
    with torch.no_grad():
        model.o_proj.weight.copy_(torch.eye(TEXT.hidden_size))
        gate = slice(1 * 2 * width + width, 2 * 2 * width)
        # A strongly negative gate for this token: sigmoid of it is zero.
        model.q_proj.weight[gate] = -1000 * x / x.square().sum()
    y = run(model, x).view(TEXT.num_attention_heads, width)
    assert (y.abs().amax(-1) > 1e-6).tolist() == [True, False, True, True]


def test_only_distances_matter() -> None:
    model, x = mixer(), torch.randn(6, TEXT.hidden_size)
    torch.testing.assert_close(run(model, x), run(model, x, offset=100), atol=1e-5, rtol=1e-4)


def test_state_holds_keys_and_values_of_every_token() -> None:
    model, x = mixer(), torch.randn(5, TEXT.hidden_size)
    rotary = multimodal_rotary(torch.arange(5).expand(3, -1), TEXT, dtype=x.dtype)
    bounds = torch.tensor([0, 2, 5])
    _, state = model(x, rotary=rotary, cu_seqlens=bounds, return_state=True)
    assert state is not None
    assert state.key.shape == state.value.shape == (5, 2, 32)
    torch.testing.assert_close(state.value.flatten(1), model.v_proj(x))
