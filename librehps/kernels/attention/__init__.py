"""Softmax attention over packed sequences with grouped key/value heads."""

from __future__ import annotations

from librehps.kernels.attention.op import attention

__all__ = ["attention"]
