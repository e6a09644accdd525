"""Every op takes views whose rows lie side by side, and names a tensor whose rows do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.errors import InputError
from librehps.kernels.add_rms_norm import add_rms_norm
from librehps.kernels.attention import attention
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rotary import rotary
from librehps.kernels.selective_scan import selective_scan
from librehps.kernels.swiglu import swiglu

BOUNDS = torch.tensor([0, 2, 5])
# Shapes of an op's tensors, and what else it is given.
OPS: dict[Callable[..., Any], tuple[dict[str, tuple[int, ...]], dict[str, Any]]] = {
    add_rms_norm: ({"x": (5, 8), "residual": (5, 8), "weight": (8,)}, {"eps": 1e-6}),
    attention: (
        {"q": (5, 4, 8), "k": (5, 2, 8), "v": (5, 2, 8)},
        {"cu_seqlens_q": BOUNDS, "cu_seqlens_k": BOUNDS, "causal": True, "scale": 0.3},
    ),
    causal_conv1d: (
        {"x": (5, 6), "weight": (6, 4), "bias": (6,), "initial_state": (2, 6, 3)},
        {"cu_seqlens": BOUNDS},
    ),
    gated_delta_rule: (
        {
            "q": (5, 2, 8),
            "k": (5, 2, 8),
            "v": (5, 4, 8),
            "g": (5, 4),
            "beta": (5, 4),
            "A_log": (4,),
            "dt_bias": (4,),
            "initial_state": (2, 4, 8, 8),
        },
        {"cu_seqlens": BOUNDS},
    ),
    gated_rms_norm: ({"x": (5, 8), "gate": (5, 8), "weight": (8,)}, {"eps": 1e-6}),
    rms_norm: ({"x": (5, 8), "weight": (8,)}, {"eps": 1e-6}),
    rotary: ({"x": (5, 2, 8), "cos": (5, 6), "sin": (5, 6)}, {}),
    selective_scan: (
        {
            "x": (5, 4, 8),
            "dt": (5, 4),
            "A": (4,),
            "B": (5, 2, 6),
            "C": (5, 2, 6),
            "D": (4,),
            "z": (5, 4, 8),
            "dt_bias": (4,),
            "initial_state": (2, 4, 6, 8),
        },
        {"cu_seqlens": BOUNDS},
    ),
    swiglu: ({"gate": (5, 8), "up": (5, 8)}, {}),
}
ARGUMENTS = [(op, name) for op, (shapes, _) in OPS.items() for name in shapes]


def tensors_of(op: Callable[..., Any]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.randn(shape, generator=generator) for name, shape in OPS[op][0].items()}
    return made | ({"A": -made["A"].abs()} if "A" in made else {})


@pytest.mark.parametrize("impl", ["auto", "torch"])
@pytest.mark.parametrize(
    ("op", "name"), ARGUMENTS, ids=[f"{op.__name__}-{name}" for op, name in ARGUMENTS]
)
def test_rows_that_are_strewn_are_refused_by_name(
    op: Callable[..., Any], name: str, impl: str
) -> None:
    tensors, options = tensors_of(op), OPS[op][1]
    if op is attention:
        impl = {"torch": "sdpa"}.get(impl, impl)
    op(**tensors, **options, impl=impl)  # as they are, all of them fit
    strewn = torch.stack([tensors[name], tensors[name]], dim=-1)[..., 0]
    assert strewn.stride(-1) == 2
    with pytest.raises(InputError, match="stride of 2") as caught:
        op(**tensors | {name: strewn}, **options, impl=impl)
    assert (caught.value.code, caught.value.item) == ("argument_layout", name)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_rows_may_lie_apart_from_each_other(op: Callable[..., Any]) -> None:
    """As heads and halves of a projection do."""
    tensors, options = tensors_of(op), OPS[op][1]
    apart = {
        name: torch.stack([tensor, tensor], dim=-2)[..., 0, :]
        for name, tensor in tensors.items()
        if tensor.dim() > 1
    }
    assert not any(view.is_contiguous() for view in apart.values())
    wanted, found = op(**tensors, **options), op(**tensors | apart, **options)
    for one, other in zip(_each(wanted), _each(found), strict=True):
        torch.testing.assert_close(one, other)


def _each(result: Any) -> list[Tensor]:
    parts = result if isinstance(result, tuple) else (result,)
    return [part for part in parts if isinstance(part, Tensor)]


def test_a_row_of_one_number_and_no_rows_at_all_have_no_strides() -> None:
    gate = torch.randn(5, 2)[:, :1]
    assert swiglu(gate.as_strided((5, 1), (2, 7)), gate).shape == (5, 1)
    assert swiglu(torch.empty(0, 8, 2)[..., 0], torch.empty(0, 8)).shape == (0, 8)
