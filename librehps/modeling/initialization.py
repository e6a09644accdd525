"""Random weights for a model that is yet to be trained."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from librehps.modeling.gated_delta_net import GatedDeltaNet, GatedRMSNorm
from librehps.modeling.mamba2 import GroupedRMSNorm, Mamba2Mixer
from librehps.modeling.norm import ZeroCentredRMSNorm
from librehps.modeling.vision.positions import PositionTable

# Standard deviation of what every patch's hidden state has, whatever it shows.
_FLOOR = 0.3


@torch.no_grad()
def initialize(model: nn.Module, *, std: float, generator: torch.Generator) -> None:
    """Draw every weight of ``model`` in place, in the order of its modules.

    Matrices and tables are normal around zero, biases zero, norms the identity; the short
    convolutions, with their biases, are uniform within ``1 / sqrt(taps)``; Gated DeltaNet and
    Mamba-2 draw their own decay.

    A patch has many more numbers than a hidden state, and most of what is in it is how bright it
    is. So the filters of patches are normal with ``1 / sqrt(numbers)``, and then shifted to answer
    an evenly grey patch with zero; their biases, and the table of positions, are wide enough that
    the first norm does not blow up what little is left of such a patch. Without this, all patches
    look alike behind that norm, and a small model that starts from nothing stays blind.

    Args:
        model: The model, or a part of it.
        std: Standard deviation of matrices and tables.
        generator: Source of randomness, on the parameters' device.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            _draw_patch_filters(module, generator)
        elif isinstance(module, nn.Linear):
            module.weight.normal_(std=std, generator=generator)
            if (bias := cast("nn.Parameter | None", module.bias)) is not None:
                bias.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(std=std, generator=generator)
        elif isinstance(module, PositionTable):
            module.weight.normal_(std=_FLOOR, generator=generator)
        elif isinstance(module, nn.Conv1d):
            bound = module.kernel_size[0] ** -0.5
            module.weight.uniform_(-bound, bound, generator=generator)
            if (bias := cast("nn.Parameter | None", module.bias)) is not None:
                bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, ZeroCentredRMSNorm):
            module.weight.zero_()
        elif isinstance(module, GatedRMSNorm | GroupedRMSNorm):
            module.weight.fill_(1.0)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, GatedDeltaNet | Mamba2Mixer):
            module.reset_decay(generator)


def _draw_patch_filters(module: nn.Conv3d, generator: torch.Generator) -> None:
    filters = module.weight
    filters.normal_(std=filters[0].numel() ** -0.5, generator=generator)
    filters -= filters.mean(dim=(1, 2, 3, 4), keepdim=True)
    if (bias := cast("nn.Parameter | None", module.bias)) is not None:
        bias.normal_(std=_FLOOR, generator=generator)
