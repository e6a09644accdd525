"""Heads from the names and shapes of tensors, where the config does not describe them.

The layout of a published head is not always written down. What the shapes leave no doubt about
is taken, and every assumption is put into words; anything else stops with the full list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from librehps.errors import CheckpointError
from librehps.heads.multi_axis import MultiAxisHead
from librehps.heads.protocol import AXES, Head
from librehps.heads.scalar import ScalarHead

__all__ = ["InferredHeads", "infer_heads"]

_SUFFIX = "_head."


@dataclass(frozen=True)
class InferredHeads:
    """What `infer_heads` found.

    Args:
        heads: Untrained heads of the right shapes, by name (``"multi_axis"``, ``"scalar"``).
        names: For each of their parameters, as ``<name>_head.<parameter>``, the tensor in the file.
        notes: What was assumed, in plain language.
    """

    heads: dict[str, Head]
    names: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Chain:
    """Linear layers in order, each with its tensor names; widths from input to output."""

    layers: tuple[tuple[str, str | None], ...]
    widths: tuple[int, ...]


def infer_heads(shapes: Mapping[str, tuple[int, ...]], *, hidden_size: int) -> InferredHeads:
    """Build the heads that a checkpoint's tensors describe.

    A head is the tensors under ``multi_axis_head.`` or ``scalar_head.``: one linear layer, or
    several whose widths chain from ``hidden_size`` to the outputs. A multi-axis head has four
    outputs (overall, alignment, coherence, style) or five (and temporal), or twice as many: then
    the second half are raw sigmas. A scalar head has one.

    Args:
        shapes: Name and shape of every tensor that is neither the backbone's nor skipped.
        hidden_size: Width of the backbone's hidden states.

    Raises:
        CheckpointError: There are no such tensors (code ``heads_missing``), or not all of them are
            understood (``heads_not_understood``; lists every name and shape).
    """
    if not shapes:
        raise CheckpointError(
            "this folder holds a backbone but no heads, so it cannot score; "
            "`librehps init` makes a reward checkpoint from a backbone folder",
            code="heads_missing",
        )
    groups: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        prefix = name.split(_SUFFIX, 1)[0] if _SUFFIX in name else ""
        groups.setdefault(prefix, {})[name] = shape

    heads: dict[str, Head] = {}
    names: dict[str, str] = {}
    notes: list[str] = []
    for prefix, tensors in groups.items():
        chain = _chain(tensors, hidden_size=hidden_size)
        if chain is None:
            raise _not_understood(shapes, hidden_size=hidden_size)
        bias = chain.layers[0][1] is not None
        between = chain.widths[1:-1]
        outputs = chain.widths[-1]
        if prefix == "scalar" and outputs == 1:
            heads["scalar"] = ScalarHead(hidden_size=hidden_size, hidden_sizes=between, bias=bias)
            says = "one score, on the overall axis"
        elif prefix == "multi_axis" and outputs in (4, 5, 8, 10):
            sigma = outputs in (8, 10)
            axes = AXES[: outputs // 2 if sigma else outputs]
            heads["multi_axis"] = MultiAxisHead(
                hidden_size=hidden_size, axes=axes, hidden_sizes=between, bias=bias, sigma=sigma
            )
            columns = "means, then as many raw sigmas (softplus)" if sigma else "means, no sigmas"
            says = f"{', '.join(axes)}: {columns}"
        else:
            raise _not_understood(shapes, hidden_size=hidden_size)
        notes.append(_note(prefix, chain.widths, says))
        for index, layer in enumerate(chain.layers):
            level = f"{2 * index}." if between else ""
            for leaf, tensor in zip(("weight", "bias"), layer, strict=True):
                if tensor is not None:
                    names[f"{prefix}{_SUFFIX}{level}{leaf}"] = tensor
    return InferredHeads(heads=heads, names=names, notes=tuple(notes))


def _chain(tensors: Mapping[str, tuple[int, ...]], *, hidden_size: int) -> _Chain | None:
    """Order the layers by the numbers in their names; None unless every tensor has its place."""
    weights = sorted((name for name in tensors if name.endswith("weight")), key=_natural)
    layers: list[tuple[str, str | None]] = []
    widths = [hidden_size]
    for weight in weights:
        shape = tensors[weight]
        bias = weight.removesuffix("weight") + "bias"
        if len(shape) != 2 or shape[1] != widths[-1] or 0 in shape:
            return None
        if bias in tensors and tensors[bias] != (shape[0],):
            return None
        layers.append((weight, bias if bias in tensors else None))
        widths.append(shape[0])
    used = {name for layer in layers for name in layer if name is not None}
    same_bias = len({bias is None for _, bias in layers}) == 1
    if not layers or used != set(tensors) or not same_bias:
        return None
    return _Chain(layers=tuple(layers), widths=tuple(widths))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what orders names by the numbers in them; a file may have numbers of any length."""
    key: list[tuple[int, str]] = []
    for place, part in enumerate(re.split(r"([0-9]+)", name)):
        digits = part.lstrip("0")
        key.append((len(digits), digits) if place % 2 else (-1, part))
    return key


def _note(prefix: str, widths: tuple[int, ...], says: str) -> str:
    shape = " -> ".join(str(width) for width in widths)
    what = f"an MLP {shape} with silu between" if len(widths) > 2 else f"linear {shape}"
    return (
        f"config.json does not describe the heads: {prefix}_head was taken for {what}; "
        f"outputs read as {says}"
    )


def _not_understood(shapes: Mapping[str, tuple[int, ...]], *, hidden_size: int) -> CheckpointError:
    listing = "\n".join(f"  {name}: {list(shape)}" for name, shape in sorted(shapes.items()))
    return CheckpointError(
        "config.json does not describe the heads and their tensors do not say what they are "
        f"(wanted multi_axis_head.* with 4, 5, 8 or 10 outputs and scalar_head.* with 1, linear or "
        f"MLP, from {hidden_size}); add a 'librehps' key with 'heads'. Found:\n{listing}",
        code="heads_not_understood",
    )
