"""Tests of the gradients of where is written and read, which heads share."""

from __future__ import annotations

from typing import Any

import torch

from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton
from librehps.testing.agreement import results_and_gradients
from librehps.testing.tolerances import TOLERANCES, relative_rms


def test_more_heads_than_a_program_sums(scan_inputs: Any, scan_agrees: Any) -> None:
    scan_agrees(*scan_inputs(lengths=(3,), per_group=9, width=3, depth=2))


def test_more_addresses_and_values_than_a_program_takes(scan_inputs: Any, scan_agrees: Any) -> None:
    scan_agrees(*scan_inputs(lengths=(3, 17), per_group=1, width=70, depth=40))


def test_the_gradient_of_a_group_is_the_sum_over_its_heads(scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(2, 18), per_group=2)
    options: dict[str, Any] = {"cu_seqlens": bounds, "chunk_size": 16}
    shared = results_and_gradients(selective_scan_triton, tensors, **options)
    apart = tensors | {name: tensors[name].expand(-1, 2, -1) for name in ("B", "C")}
    found = results_and_gradients(selective_scan_triton, apart, **options)
    assert torch.equal(found["y0"], shared["y0"])
    for name in ("B", "C"):
        total = found[name].double().sum(dim=1, keepdim=True)
        limit = TOLERANCES["selective_scan_triton_float32"].limit
        assert relative_rms(shared[name], total) <= limit
