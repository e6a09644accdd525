"""Random weights for a model that is yet to be trained."""

from __future__ import annotations

import torch
from torch import nn

from librehps.modeling.gated_delta_net import GatedDeltaNet, GatedRMSNorm
from librehps.modeling.norm import ZeroCentredRMSNorm
from librehps.modeling.vision.positions import PositionTable


@torch.no_grad()
def initialize(model: nn.Module, *, std: float, generator: torch.Generator) -> None:
    """Draw every weight of ``model`` in place, in the order of its modules.

    Matrices and tables are normal around zero, biases zero, norms the identity; the short
    convolutions are uniform within ``1 / sqrt(taps)``, and Gated DeltaNet draws its own decay.

    Args:
        model: The model, or a part of it.
        std: Standard deviation of matrices and tables.
        generator: Source of randomness, on the parameters' device.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv3d):
            module.weight.normal_(std=std, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding | PositionTable):
            module.weight.normal_(std=std, generator=generator)
        elif isinstance(module, nn.Conv1d):
            bound = module.kernel_size[0] ** -0.5
            module.weight.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, ZeroCentredRMSNorm):
            module.weight.zero_()
        elif isinstance(module, GatedRMSNorm):
            module.weight.fill_(1.0)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, GatedDeltaNet):
            module.reset_decay(generator)
