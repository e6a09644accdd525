"""The selective scan of Mamba-2: a recurrent memory whose step sets decay and write together."""

from __future__ import annotations

from librehps.kernels.selective_scan.op import selective_scan

__all__ = ["selective_scan"]
