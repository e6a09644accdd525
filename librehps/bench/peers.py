"""Other people's implementations of the same ops, where they are installed.

Each is wrapped to take the arguments of our op; what it computes differently (a layout, a
logarithm) is changed around the call, and that time counts, as it would for a user. None is a
dependency: a package is imported when its peer is asked for. All need a CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
import torch.nn.functional as F

from librehps.typing import Tensor

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True)
class Peer:
    """An implementation of an op in another package.

    Args:
        op: Which of `librehps.bench.cases.OPS`.
        name: Shown in tables.
        distribution: What to install.
        module: Where the function is.
        wrap: Takes the imported module; returns a function like our op, without ``impl``. It may
            return fewer results than the op, from the front.
        has_backward: Whether it has a gradient.
    """

    op: str
    name: str
    distribution: str
    module: str
    wrap: Callable[[Any], Callable[..., Any]]
    has_backward: bool = True

    def installed(self) -> str | None:
        """Return the version that is installed, if one is."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return None

    def load(self) -> Callable[..., Any]:
        """Import the package and return the function.

        Raises:
            ImportError: It cannot be imported.
        """
        return self.wrap(import_module(self.module))


def _fla_delta_rule(module: Any) -> Callable[..., Any]:
    def run(*, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, cu_seqlens: Tensor) -> Any:
        o, state = module.chunk_gated_delta_rule(
            *(x[None] for x in (q, k, v)),
            g=g[None],
            beta=beta[None],
            output_final_state=True,
            use_qk_l2norm_in_kernel=True,
            cu_seqlens=cu_seqlens.long(),
        )
        return o[0], state

    return run


def _flash_qla_delta_rule(module: Any) -> Callable[..., Any]:
    def run(*, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, cu_seqlens: Tensor) -> Any:
        o, state = module.chunk_gated_delta_rule(
            *(x[None] for x in (q, k, v)),
            g=g[None],
            beta=beta[None],
            output_final_state=True,
            use_qk_l2norm_in_kernel=True,
            cu_seqlens=cu_seqlens.long(),
            # Its own cut of long sequences is an approximation.
            auto_cp=False,
        )
        return o[0], state

    return run


def _flashinfer_delta_rule(module: Any) -> Callable[..., Any]:
    def run(*, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, cu_seqlens: Tensor) -> Any:
        # It wants unit queries and keys, the decay itself, and keeps the state transposed.
        o, state = module.chunk_gated_delta_rule(
            F.normalize(q.float(), dim=-1).to(q.dtype),
            F.normalize(k.float(), dim=-1).to(k.dtype),
            v,
            g.exp(),
            beta.float(),
            output_final_state=True,
            cu_seqlens=cu_seqlens.long(),
        )
        return o, state.transpose(-1, -2)

    return run


def _sequence_of_each_token(cu_seqlens: Tensor, tokens: int) -> Tensor:
    places = torch.arange(tokens, device=cu_seqlens.device)
    return torch.searchsorted(cu_seqlens[1:].long(), places, right=True).to(torch.int32)[None]


def _causal_conv1d(module: Any) -> Callable[..., Any]:
    def run(x: Tensor, weight: Tensor, cu_seqlens: Tensor, activation: str) -> Any:
        index = _sequence_of_each_token(cu_seqlens, x.shape[0])
        return (
            module.causal_conv1d_fn(x.T[None], weight, seq_idx=index, activation=activation)[0].T,
        )

    return run


def _mamba_scan(module: Any) -> Callable[..., Any]:
    def run(
        *,
        x: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor,
        z: Tensor,
        dt_bias: Tensor,
        cu_seqlens: Tensor,
        dt_softplus: bool,
    ) -> Any:
        return (
            module.mamba_chunk_scan_combined(
                x[None],
                dt[None],
                A,
                B[None],
                C[None],
                chunk_size=256,
                D=D,
                z=z[None],
                dt_bias=dt_bias,
                seq_idx=_sequence_of_each_token(cu_seqlens, x.shape[0]),
                dt_softplus=dt_softplus,
            )[0],
        )

    return run


def _liger_rms_norm(module: Any) -> Callable[..., Any]:
    def run(x: Tensor, weight: Tensor, eps: float) -> Any:
        # The scale is an offset from one, everything in float32, no gradient in place.
        return module.LigerRMSNormFunction.apply(x, weight, eps, 1.0, "gemma", False)

    return run


def _liger_swiglu(module: Any) -> Callable[..., Any]:
    def run(gate: Tensor, up: Tensor) -> Any:
        return module.LigerSiLUMulFunction.apply(gate, up)

    return run


def _fla_gated_rms_norm(module: Any) -> Callable[..., Any]:
    def run(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Any:
        return module.rms_norm_gated(x, gate, weight, None, activation="swish", eps=eps)

    return run


PEERS: tuple[Peer, ...] = (
    Peer("gated_delta_rule", "fla", "fla-core", "fla.ops.gated_delta_rule", _fla_delta_rule),
    Peer("gated_delta_rule", "flash-qla", "flash-qla", "flash_qla", _flash_qla_delta_rule),
    Peer(
        "gated_delta_rule",
        "flashinfer",
        "flashinfer-python",
        "flashinfer.gdn_prefill",
        _flashinfer_delta_rule,
        has_backward=False,
    ),
    Peer("causal_conv1d", "causal-conv1d", "causal-conv1d", "causal_conv1d", _causal_conv1d),
    Peer(
        "selective_scan",
        "mamba-ssm",
        "mamba-ssm",
        "mamba_ssm.ops.triton.ssd_combined",
        _mamba_scan,
    ),
    Peer("rms_norm", "liger", "liger-kernel", "liger_kernel.ops.rms_norm", _liger_rms_norm),
    Peer("swiglu", "liger", "liger-kernel", "liger_kernel.ops.swiglu", _liger_swiglu),
    Peer(
        "gated_rms_norm",
        "fla",
        "fla-core",
        "fla.modules.norm.fused_norm_gate",
        _fla_gated_rms_norm,
    ),
)
"""What there is to compare with. Written from the signatures of fla-core 0.6.0, flash-qla 0.1.3,
flashinfer 0.7, causal-conv1d 1.6, mamba-ssm 2.3 and liger-kernel 0.8.5."""
