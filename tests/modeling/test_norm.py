from __future__ import annotations

import torch

from librehps.modeling.norm import ZeroCentredRMSNorm


def test_a_weight_of_zero_gives_unit_root_mean_square() -> None:
    norm = ZeroCentredRMSNorm(16, eps=1e-6, kernel_impl="torch")
    y = norm(torch.randn(3, 2, 16) * 5)
    torch.testing.assert_close(y.square().mean(-1), torch.ones(3, 2))


def test_the_weight_is_an_offset_from_one_and_the_dtype_is_kept() -> None:
    norm = ZeroCentredRMSNorm(4, eps=0.0, kernel_impl="torch")
    norm.weight.data = torch.tensor([0.0, 1.0, -1.0, 0.5])
    y = norm(torch.full((1, 4), 3.0, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert y.tolist() == [[1.0, 2.0, 0.0, 1.5]]
