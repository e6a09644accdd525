"""Short causal depthwise convolution over packed sequences."""

from __future__ import annotations

from librehps.kernels.causal_conv1d.op import causal_conv1d

__all__ = ["causal_conv1d"]
