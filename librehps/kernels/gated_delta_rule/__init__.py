"""The gated delta rule: a recurrent key-value memory with decay and error-correcting writes."""

from __future__ import annotations

from librehps.kernels.gated_delta_rule.op import gated_delta_rule

__all__ = ["gated_delta_rule"]
