"""Zero-centred RMS normalisation."""

from __future__ import annotations

from librehps.kernels.rms_norm.op import rms_norm

__all__ = ["rms_norm"]
