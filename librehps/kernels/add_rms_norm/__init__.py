"""Residual addition and the zero-centred RMS norm of the sum."""

from __future__ import annotations

from librehps.kernels.add_rms_norm.op import add_rms_norm

__all__ = ["add_rms_norm"]
