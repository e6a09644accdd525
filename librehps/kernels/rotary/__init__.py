"""Rotary position embedding of the first dimensions of each head."""

from __future__ import annotations

from librehps.kernels.rotary.op import rotary

__all__ = ["rotary"]
