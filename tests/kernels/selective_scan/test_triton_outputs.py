"""Tests of what is read: the memory, the chunk, the bypass and the gate, each alone."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["selective_scan_triton_float32"].limit


def test_steps_of_nothing_leave_memory_and_bypass(scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(2, 20), without=("dt_bias",))
    tensors["dt"].zero_()
    y, state = selective_scan_triton(**tensors, cu_seqlens=bounds, chunk_size=16)
    assert torch.equal(state, tensors["initial_state"])
    of_token = torch.tensor([0] * 2 + [1] * 20, device=y.device)
    wide = {name: tensor.double() for name, tensor in tensors.items()}
    read = torch.einsum("thkv,tk->thv", wide["initial_state"][of_token], wide["C"][:, 0])
    wanted = (read + wide["D"][:, None] * wide["x"]) * F.silu(wide["z"])
    assert relative_rms(y, wanted) <= LIMIT


def test_a_state_wider_than_what_is_taken_at_a_time(scan_inputs: Any, scan_agrees: Any) -> None:
    scan_agrees(*scan_inputs(lengths=(2, 20), per_group=1, width=40, depth=3), only=0)
