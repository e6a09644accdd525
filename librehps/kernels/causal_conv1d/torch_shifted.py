"""Causal depthwise convolution as shifted multiply-adds."""

from __future__ import annotations

from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference as causal_conv1d_torch

__all__ = ["causal_conv1d_torch"]
