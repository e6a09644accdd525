"""RMS normalisation followed by a silu gate."""

from __future__ import annotations

from librehps.kernels.gated_rms_norm.op import gated_rms_norm

__all__ = ["gated_rms_norm"]
