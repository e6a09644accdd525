"""Zero-centred RMS norm in torch."""

from __future__ import annotations

from librehps.kernels.rms_norm.reference import rms_norm_reference as rms_norm_torch

__all__ = ["rms_norm_torch"]
