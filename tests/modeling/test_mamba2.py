from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from librehps.errors import ConfigError
from librehps.inputs.batch import Batch
from librehps.kernels.selective_scan import selective_scan
from librehps.model import PreferenceModel
from librehps.modeling import (
    PRESETS,
    GatedAttention,
    GatedDeltaNet,
    Mamba2Config,
    Mamba2Mixer,
    Qwen3_5Backbone,
    mamba2,
)
from librehps.modeling.mamba2 import GroupedRMSNorm
from librehps.modeling.precision import keeps_float32
from librehps.testing.tiny import make_tiny_checkpoint, tiny_config, tiny_processor
from librehps.testing.tolerances import TOLERANCES, relative_rms

SHAPE = Mamba2Config(
    num_heads=6,
    head_dim=20,
    state_size=12,
    n_groups=3,
    conv_kernel=3,
    use_bias=True,
    time_step_limit=(0.01, 0.9),
)
TEXT = dataclasses.replace(PRESETS["nano"].text, mamba2=SHAPE)
ANGLES = (torch.zeros(70, 16), torch.zeros(70, 16))
HYBRID = tiny_config(layer_types=("mamba2", "linear_attention", "full_attention", "mamba2"))


def mixer(shape: Mamba2Config = SHAPE) -> Mamba2Mixer:
    torch.manual_seed(0)
    config = dataclasses.replace(TEXT, mamba2=shape)
    made = Mamba2Mixer(config, layer_index=0, attn_impl="auto", kernel_impl="torch")
    with torch.no_grad():
        for parameter in (made.D, made.norm.weight, made.dt_bias):
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return made


def plain(model: Mamba2Mixer, x: Tensor) -> Tensor:
    """The layer's equations, one token after the other."""
    width, groups = SHAPE.intermediate_size, SHAPE.n_groups
    z, inputs, step = model.in_proj(x).split((width, SHAPE.conv_dim, SHAPE.num_heads), dim=-1)
    padded = F.pad(inputs.T, (SHAPE.conv_kernel - 1, 0))
    conv: Any = model.conv1d
    inputs = (padded.unfold(1, SHAPE.conv_kernel, 1) * conv.weight).sum(-1).T + conv.bias
    address = groups * SHAPE.state_size
    v, b, c = F.silu(inputs).split((width, address, address), dim=-1)
    share = SHAPE.num_heads // groups
    b, c = (rows.view(len(x), groups, -1).repeat_interleave(share, 1) for rows in (b, c))
    v = v.view(len(x), SHAPE.num_heads, -1)
    step = F.softplus(step + model.dt_bias).clamp(*SHAPE.time_step_limit)
    memory = x.new_zeros(SHAPE.num_heads, SHAPE.state_size, SHAPE.head_dim)
    rows: list[Tensor] = []
    for t in range(len(x)):
        kept = (-model.A_log.exp() * step[t]).exp()[:, None, None] * memory
        memory = kept + b[t][:, :, None] * (step[t][:, None] * v[t])[:, None, :]
        rows.append(torch.einsum("hkv,hk->hv", memory, c[t]) + model.D[:, None] * v[t])
    y = (torch.stack(rows).flatten(1) * F.silu(z)).view(len(x), groups, -1)
    y = y / (y.square().mean(-1, keepdim=True) + SHAPE.layer_norm_epsilon).sqrt()
    return model.out_proj(y.flatten(1) * model.norm.weight)


def test_it_computes_its_equations() -> None:
    model, x = mixer().double(), torch.randn(70, TEXT.hidden_size).double()
    with torch.no_grad():
        expected = plain(model, x)
        y, _ = model(x, rotary=ANGLES, cu_seqlens=torch.tensor([0, 70]))
        assert relative_rms(y, expected) <= TOLERANCES["selective_scan_float64"].limit
        y, _ = model.float()(x.float(), rotary=ANGLES, cu_seqlens=torch.tensor([0, 70]))
        assert relative_rms(y, expected) <= TOLERANCES["selective_scan_float32"].limit


def test_the_norm_works_within_each_group() -> None:
    norm, x = GroupedRMSNorm(12, groups=3, eps=0.0), torch.randn(5, 12)
    nn.init.normal_(norm.weight)
    with torch.no_grad():
        for group, part in enumerate(norm(x).split(4, dim=-1)):
            own = slice(4 * group, 4 * group + 4)
            unit = x[:, own] / x[:, own].square().mean(-1, keepdim=True).sqrt()
            torch.testing.assert_close(part, unit * norm.weight[own])
        low = x.bfloat16()
        assert torch.equal(norm(low), norm(low.float()).bfloat16())


def test_rates_are_not_rounded_to_the_dtype_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def scan(*tensors: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        seen.append(tensors[2])
        return selective_scan(*tensors, **options)

    monkeypatch.setattr(mamba2, "selective_scan", scan)
    model = mixer()
    expected = -model.A_log.detach().exp()
    with torch.no_grad():
        model.bfloat16().A_log.data = (-expected).log()
        x = torch.randn(3, TEXT.hidden_size).bfloat16()
        model(x, rotary=ANGLES, cu_seqlens=torch.tensor([0, 3]))
    (rate,) = seen
    assert rate.dtype == torch.float32
    torch.testing.assert_close(rate, expected)


def test_the_state_has_a_fixed_size_and_stays_float32() -> None:
    model, x = mixer().bfloat16(), torch.randn(7, TEXT.hidden_size).bfloat16()
    y, state = model(x, rotary=ANGLES, cu_seqlens=torch.tensor([0, 1, 7]), return_state=True)
    assert state is not None
    assert y.dtype == torch.bfloat16
    assert state.recurrent.dtype == torch.float32
    assert state.recurrent.shape == (2, 6, 12, 20)
    assert state.conv.shape == (2, SHAPE.conv_dim, 2)
    # One token was read: the column before it is still empty.
    assert not state.conv[0, :, 0].any()
    inputs = model.in_proj(x)[0].split(model.in_sizes)[1]
    torch.testing.assert_close(state.conv[0, :, 1], inputs)


def test_a_config_without_its_settings_is_refused() -> None:
    config = PRESETS["nano"].text
    for build in (
        lambda: Mamba2Mixer.num_params(config),
        lambda: Mamba2Mixer(config, layer_index=0, attn_impl="auto", kernel_impl="auto"),
    ):
        with pytest.raises(ConfigError) as caught:
            build()
        assert (caught.value.code, caught.value.item) == ("config_missing", "text_config.mamba2")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("use_conv_bias", [True, False])
def test_it_counts_its_parameters(use_bias: bool, use_conv_bias: bool) -> None:
    shape = dataclasses.replace(SHAPE, use_bias=use_bias, use_conv_bias=use_conv_bias)
    count = sum(parameter.numel() for parameter in mixer(shape).parameters())
    assert Mamba2Mixer.num_params(dataclasses.replace(TEXT, mamba2=shape)) == count


def test_fresh_heads_are_within_their_ranges() -> None:
    shape = dataclasses.replace(
        SHAPE, num_heads=300, time_step_min=0.01, time_step_max=0.2, time_step_floor=0.05
    )
    model = mixer(shape)
    model.reset_decay(torch.Generator().manual_seed(0))
    rate, step = model.A_log.detach().exp(), F.softplus(model.dt_bias.detach())
    assert rate.min() >= 1 - 1e-5
    assert rate.max() <= 16 + 1e-4
    assert rate.mean() == pytest.approx(8.5, rel=0.1)
    assert step.min() == pytest.approx(0.05, rel=1e-4)
    assert step.max() <= 0.2 + 1e-6
    # Log-uniform from 0.01 to 0.2, a share log(5)/log(20) of the heads starts at the floor.
    assert (step < 0.0501).float().mean() == pytest.approx(0.537, abs=0.09)
    assert (model.D == 1).all()


def test_the_scan_stays_in_float32_when_the_model_is_cast() -> None:
    model = Qwen3_5Backbone(HYBRID).cast_(torch.bfloat16)
    wide = {
        name for name, parameter in model.named_parameters() if parameter.dtype == torch.float32
    }
    assert wide == {name for name, _ in model.named_parameters() if keeps_float32(name)}
    assert {f"language_model.layers.0.mamba2.{name}" for name in ("A_log", "D", "dt_bias")} <= wide


def batch() -> Batch:
    picture = (torch.rand(128, 160, 3, generator=torch.Generator().manual_seed(0)) * 255).byte()
    prompts = ("a red fox", "two blue squares on a table")
    return Batch.pack(
        [tiny_processor().prepare(picture.numpy(), prompt).sample for prompt in prompts]
    )


def test_a_model_of_all_three_mixers_learns_and_comes_back_from_its_checkpoint(
    tmp_path: Path,
) -> None:
    model = make_tiny_checkpoint(tmp_path / "fresh", config=HYBRID).train()
    backbone: Any = model.model
    kinds = [type(layer.mixer) for layer in backbone.language_model.layers]
    assert kinds == [Mamba2Mixer, GatedDeltaNet, GatedAttention, Mamba2Mixer]
    both, optimizer = batch(), torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses: list[float] = []
    for _ in range(8):
        score = model(both)["scalar"].mean[:, 0]
        loss = F.softplus(score[1] - score[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]

    model.eval().save_pretrained(tmp_path / "trained", processor=tiny_processor())
    again = PreferenceModel.from_pretrained(tmp_path / "trained")
    expected: dict[str, Any] = model.state_dict()
    assert again.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())
    with torch.no_grad():
        assert torch.equal(again(both)["scalar"].mean, model(both)["scalar"].mean)
