"""The gated delta rule in chunks."""

from __future__ import annotations

from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.typing import Float, Int, Tensor

__all__ = ["gated_delta_rule_torch"]


def gated_delta_rule_torch(
    q: Float[Tensor, "T HK K"],
    k: Float[Tensor, "T HK K"],
    v: Float[Tensor, "T HV V"],
    g: Float[Tensor, "T HV"],
    beta: Float[Tensor, "T HV"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    initial_state: Float[Tensor, "N HV K V"] | None = None,
    normalize_qk: bool = True,
    chunk_size: int = 64,
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Compute `librehps.kernels.gated_delta_rule`."""
    return gated_delta_rule_reference(
        q,
        k,
        v,
        g,
        beta,
        cu_seqlens=cu_seqlens,
        initial_state=initial_state,
        normalize_qk=normalize_qk,
    )
