"""The gated activation of the MLP."""

from __future__ import annotations

from librehps.kernels.swiglu.op import swiglu

__all__ = ["swiglu"]
