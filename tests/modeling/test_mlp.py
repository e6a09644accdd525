from __future__ import annotations

import torch
from torch.nn import functional as F

from librehps.modeling import PRESETS
from librehps.modeling.mlp import GatedMLP


def test_the_gate_is_silu_of_the_gate_projection() -> None:
    torch.manual_seed(0)
    mlp = GatedMLP(PRESETS["nano"].text, kernel_impl="torch")
    x = torch.randn(3, 128)
    gate, up, down = (part.weight for part in (mlp.gate_proj, mlp.up_proj, mlp.down_proj))
    torch.testing.assert_close(mlp(x), (F.silu(x @ gate.T) * (x @ up.T)) @ down.T)
