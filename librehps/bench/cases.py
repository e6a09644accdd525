"""What is measured: every op with the tensors that a model of some size hands it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import gcd
from typing import Any

import torch
import torch.nn.functional as F

from librehps.bench import counts
from librehps.kernels.add_rms_norm import add_rms_norm
from librehps.kernels.add_rms_norm.reference import add_rms_norm_reference
from librehps.kernels.attention import attention
from librehps.kernels.attention.reference import attention_reference
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rms_norm.reference import rms_norm_reference
from librehps.kernels.rotary import rotary
from librehps.kernels.rotary.reference import rotary_reference
from librehps.kernels.selective_scan import selective_scan
from librehps.kernels.selective_scan.reference import selective_scan_reference
from librehps.kernels.swiglu import swiglu
from librehps.kernels.swiglu.reference import swiglu_reference
from librehps.modeling.presets import PRESETS
from librehps.registry import Registry
from librehps.typing import Tensor

__all__ = ["OPS", "Case", "Op", "Shape"]

_ATTENTION = ("sdpa", "fa2", "fa4", "eager")
_KERNELS = ("torch", "triton")
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shape:
    """One shape of an op.

    Args:
        preset: A size of the model, whose widths the op gets.
        lengths: Of the packed sequences.
        dtype: Of the tensors; decays and rates stay float32, as in the model.
        device: Where the numbers are drawn: other numbers on another one.
    """

    preset: str
    lengths: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device = _CPU

    @property
    def tokens(self) -> int:
        """All sequences together."""
        return sum(self.lengths)

    def random(self, *sizes: int, seed: int) -> Tensor:
        """Return normal random numbers of the shape's dtype."""
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(sizes, generator=generator, device=self.device).to(self.dtype)

    def bounds(self) -> Tensor:
        """Return where the sequences begin and end, int32."""
        bounds = F.pad(torch.tensor(self.lengths).cumsum(0), (1, 0))
        return bounds.to(self.device, torch.int32)


@dataclass(frozen=True)
class Case:
    """An op's arguments at one shape.

    Args:
        tensors: By the names of the op's arguments, on the shape's device.
        options: The others.
        operations: See `librehps.bench.counts`.
        fixed: Names of floating tensors without a gradient.
        bounds: Where sequences begin and end, for an op that asks.
    """

    tensors: dict[str, Tensor]
    options: dict[str, Any]
    operations: tuple[int, int]
    fixed: tuple[str, ...] = ()
    bounds: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


@dataclass(frozen=True)
class Op:
    """An op that is measured.

    Args:
        call: The op; takes tensors, options and ``impl`` by name.
        reference: Its definition; takes the same without ``impl``.
        make: Returns the arguments at a shape.
        implementations: Names for ``impl``.
    """

    call: Callable[..., Any]
    reference: Callable[..., Any]
    make: Callable[[Shape], Case]
    implementations: tuple[str, ...] = _KERNELS


def _attention_case(shape: Shape, *, heads: int, groups: int, width: int, causal: bool) -> Case:
    tensors = {
        "q": shape.random(shape.tokens, heads, width, seed=0),
        "k": shape.random(shape.tokens, groups, width, seed=1),
        "v": shape.random(shape.tokens, groups, width, seed=2),
    }
    return Case(
        tensors,
        {"causal": causal, "scale": width**-0.5},
        counts.attention_operations(
            shape.lengths, heads=heads, key_width=width, value_width=width, causal=causal
        ),
        bounds={"cu_seqlens_q": shape.bounds(), "cu_seqlens_k": shape.bounds()},
    )


def _text_attention(shape: Shape) -> Case:
    text = PRESETS[shape.preset].text
    heads, groups = text.num_attention_heads, text.num_key_value_heads
    return _attention_case(shape, heads=heads, groups=groups, width=text.head_dim, causal=True)


def _vision_attention(shape: Shape) -> Case:
    vision = PRESETS[shape.preset].vision
    heads, width = vision.num_heads, vision.head_dim
    return _attention_case(shape, heads=heads, groups=heads, width=width, causal=False)


def _gated_delta_rule(shape: Shape) -> Case:
    text = PRESETS[shape.preset].text
    key_heads, heads = text.linear_num_key_heads, text.linear_num_value_heads
    key, value = text.linear_key_head_dim, text.linear_value_head_dim
    tensors = {
        "q": shape.random(shape.tokens, key_heads, key, seed=0),
        "k": shape.random(shape.tokens, key_heads, key, seed=1),
        "v": shape.random(shape.tokens, heads, value, seed=2),
        "g": -F.softplus(shape.random(shape.tokens, heads, seed=3).float()),
        "beta": shape.random(shape.tokens, heads, seed=4).sigmoid(),
    }
    operations = counts.gated_delta_rule_operations(
        shape.tokens, heads=heads, key_width=key, value_width=value
    )
    return Case(tensors, {}, operations, bounds={"cu_seqlens": shape.bounds()})


def _selective_scan(shape: Shape) -> Case:
    # A Mamba-2 mixer of the model's width, with the proportions that its authors use.
    key, value = 128, 64
    heads = 2 * PRESETS[shape.preset].text.hidden_size // value
    groups = gcd(8, heads)
    tensors = {
        "x": shape.random(shape.tokens, heads, value, seed=0),
        "dt": shape.random(shape.tokens, heads, seed=1),
        "A": -shape.random(heads, seed=2).float().exp(),
        "B": shape.random(shape.tokens, groups, key, seed=3),
        "C": shape.random(shape.tokens, groups, key, seed=4),
        "D": shape.random(heads, seed=5).float(),
        "z": shape.random(shape.tokens, heads, value, seed=6),
        "dt_bias": shape.random(heads, seed=7).float(),
    }
    operations = counts.selective_scan_operations(
        shape.tokens, heads=heads, key_width=key, value_width=value
    )
    return Case(tensors, {"dt_softplus": True}, operations, bounds={"cu_seqlens": shape.bounds()})


def _causal_conv1d(shape: Shape) -> Case:
    text = PRESETS[shape.preset].text
    keys = text.linear_num_key_heads * text.linear_key_head_dim
    channels = 2 * keys + text.linear_num_value_heads * text.linear_value_head_dim
    taps = text.linear_conv_kernel_dim
    tensors = {
        "x": shape.random(shape.tokens, channels, seed=0),
        "weight": shape.random(channels, taps, seed=1),
    }
    operations = counts.causal_conv1d_operations(shape.tokens, channels=channels, taps=taps)
    return Case(tensors, {"activation": "silu"}, operations, bounds={"cu_seqlens": shape.bounds()})


def _rms_norm(shape: Shape) -> Case:
    text = PRESETS[shape.preset].text
    tensors = {
        "x": shape.random(shape.tokens, text.hidden_size, seed=0),
        "weight": shape.random(text.hidden_size, seed=1),
    }
    operations = counts.rms_norm_operations(shape.tokens * text.hidden_size)
    return Case(tensors, {"eps": text.rms_norm_eps}, operations)


def _add_rms_norm(shape: Shape) -> Case:
    text = PRESETS[shape.preset].text
    tensors = {
        "x": shape.random(shape.tokens, text.hidden_size, seed=0),
        "residual": shape.random(shape.tokens, text.hidden_size, seed=2),
        "weight": shape.random(text.hidden_size, seed=1),
    }
    operations = counts.add_rms_norm_operations(shape.tokens * text.hidden_size)
    return Case(tensors, {"eps": text.rms_norm_eps}, operations)


def _gated_rms_norm(shape: Shape) -> Case:
    text = PRESETS[shape.preset].text
    sizes = (shape.tokens, text.linear_num_value_heads, text.linear_value_head_dim)
    tensors = {
        "x": shape.random(*sizes, seed=0),
        "gate": shape.random(*sizes, seed=1),
        "weight": shape.random(sizes[-1], seed=2),
    }
    operations = counts.gated_rms_norm_operations(sizes[0] * sizes[1] * sizes[2])
    return Case(tensors, {"eps": text.rms_norm_eps}, operations)


def _rotary(shape: Shape) -> Case:
    text = PRESETS[shape.preset].text
    angles = shape.random(shape.tokens, text.rotary_dim // 2, seed=1).float().repeat(1, 2)
    tensors = {
        "x": shape.random(shape.tokens, text.num_attention_heads, text.head_dim, seed=0),
        "cos": angles.cos().to(shape.dtype),
        "sin": angles.sin().to(shape.dtype),
    }
    operations = counts.rotary_operations(
        shape.tokens, heads=text.num_attention_heads, turned=text.rotary_dim
    )
    return Case(tensors, {}, operations, fixed=("cos", "sin"))


def _swiglu(shape: Shape) -> Case:
    width = PRESETS[shape.preset].text.intermediate_size
    tensors = {
        "gate": shape.random(shape.tokens, width, seed=0),
        "up": shape.random(shape.tokens, width, seed=1),
    }
    return Case(tensors, {}, counts.swiglu_operations(shape.tokens * width))


OPS: Registry[Op] = Registry("op to measure")
for _name, _op in {
    "attention": Op(attention, attention_reference, _text_attention, _ATTENTION),
    "vision_attention": Op(attention, attention_reference, _vision_attention, _ATTENTION),
    "gated_delta_rule": Op(gated_delta_rule, gated_delta_rule_reference, _gated_delta_rule),
    "selective_scan": Op(selective_scan, selective_scan_reference, _selective_scan),
    "causal_conv1d": Op(causal_conv1d, causal_conv1d_reference, _causal_conv1d),
    "rms_norm": Op(rms_norm, rms_norm_reference, _rms_norm),
    "add_rms_norm": Op(add_rms_norm, add_rms_norm_reference, _add_rms_norm),
    "gated_rms_norm": Op(gated_rms_norm, gated_rms_norm_reference, _gated_rms_norm),
    "rotary": Op(rotary, rotary_reference, _rotary),
    "swiglu": Op(swiglu, swiglu_reference, _swiglu),
}.items():
    OPS.register(_name)(_op)
