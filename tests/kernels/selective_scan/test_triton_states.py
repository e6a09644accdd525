"""Tests of the states between chunks: of what is handed on over several of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton
from librehps.testing.tolerances import TOLERANCES, relative_rms


def test_final_states_and_their_gradients_alone(scan_inputs: Any, scan_agrees: Any) -> None:
    # Three chunks, rows that are no power of two, and columns for two programs.
    scan_agrees(*scan_inputs(lengths=(40, 3), per_group=1, width=17, depth=33), only=1)


@pytest.mark.parametrize("cut", [1, 16, 20])
def test_a_sequence_cut_anywhere_continues_from_its_state(cut: int, scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(21,), per_group=1)
    options: dict[str, Any] = {"dt_softplus": True, "chunk_size": 16}
    whole = selective_scan_triton(**tensors, cu_seqlens=bounds, **options)
    state, parts = tensors.pop("initial_state"), []
    for own in (slice(0, cut), slice(cut, 21)):
        part = {name: t[own] if t.shape[0] == 21 else t for name, t in tensors.items()}
        ends = torch.tensor([0, own.stop - own.start], device=bounds.device)
        y, state = selective_scan_triton(**part, cu_seqlens=ends, initial_state=state, **options)
        parts.append(y)
    limit = TOLERANCES["selective_scan_triton_float32"].limit
    assert relative_rms(torch.cat(parts), whole[0]) <= limit
    assert relative_rms(state, whole[1]) <= limit
