from __future__ import annotations

import dataclasses

import torch
from torch.nn import functional as F

from librehps.modeling import PRESETS, GatedDeltaNet

TEXT = dataclasses.replace(PRESETS["nano"].text, linear_num_key_heads=2, linear_key_head_dim=16)


def mixer() -> GatedDeltaNet:
    torch.manual_seed(0)
    return GatedDeltaNet(TEXT, layer_index=0, attn_impl="auto", kernel_impl="torch")


def plain(model: GatedDeltaNet, x: torch.Tensor) -> torch.Tensor:
    """The layer's equations, one token after the other, in float64."""
    model, x = model.double(), x.double()
    qkv, taps = model.in_proj_qkv(x), TEXT.linear_conv_kernel_dim
    padded = F.pad(qkv.T, (taps - 1, 0))
    qkv = F.silu((padded.unfold(1, taps, 1) * model.conv1d.weight).sum(-1)).T
    q, k, v = qkv.split((model.key_dim, model.key_dim, model.value_dim), dim=-1)
    heads = TEXT.linear_num_value_heads
    share = heads // TEXT.linear_num_key_heads
    q = F.normalize(q.view(len(x), -1, model.head_k_dim), dim=-1).repeat_interleave(share, 1)
    k = F.normalize(k.view(len(x), -1, model.head_k_dim), dim=-1).repeat_interleave(share, 1)
    v = v.view(len(x), heads, -1)
    beta = model.in_proj_b(x).sigmoid()
    g = -model.A_log.exp() * F.softplus(model.in_proj_a(x) + model.dt_bias)
    memory = x.new_zeros(heads, model.head_k_dim, model.head_v_dim)
    rows = []
    for t in range(len(x)):
        memory = memory * g[t].exp()[:, None, None]
        change = beta[t][:, None] * (v[t] - torch.einsum("hkv,hk->hv", memory, k[t]))
        memory = memory + k[t][:, :, None] * change[:, None, :]
        rows.append(torch.einsum("hkv,hk->hv", memory, q[t]) * model.head_k_dim**-0.5)
    y = torch.stack(rows)
    y = y / (y.square().mean(-1, keepdim=True) + TEXT.rms_norm_eps).sqrt() * model.norm.weight
    return model.out_proj((y * F.silu(model.in_proj_z(x).view_as(y))).flatten(1))


def test_it_computes_its_equations() -> None:
    model, x = mixer(), torch.randn(70, TEXT.hidden_size)
    angles = (torch.zeros(70, 16), torch.zeros(70, 16))
    with torch.no_grad():
        y, _ = model(x, rotary=angles, cu_seqlens=torch.tensor([0, 70]))
        torch.testing.assert_close(y.double(), plain(model, x), atol=2e-5, rtol=1e-3)


def test_the_state_has_a_fixed_size_and_stays_float32() -> None:
    model, x = mixer().bfloat16(), torch.randn(7, TEXT.hidden_size).bfloat16()
    angles = (torch.zeros(7, 16), torch.zeros(7, 16))
    _, state = model(x, rotary=angles, cu_seqlens=torch.tensor([0, 1, 7]), return_state=True)
    assert state is not None
    assert state.recurrent.dtype == torch.float32
    assert state.recurrent.shape == (2, 4, 16, 32)
    assert state.conv.shape == (2, 2 * 32 + 128, 3)
    # One token was read: the two columns before it are still empty.
    assert not state.conv[0, :, :2].any()
    torch.testing.assert_close(state.conv[0, :, 2], model.in_proj_qkv(x)[0])


def test_fresh_decay_is_within_its_range() -> None:
    model = mixer()
    model.reset_decay(torch.Generator().manual_seed(0))
    rate, step = model.A_log.exp(), F.softplus(model.dt_bias)
    assert rate.min() >= 1
    assert rate.max() <= 16
    assert step.min() >= 0.001 - 1e-6
    assert step.max() <= 0.1 + 1e-6
