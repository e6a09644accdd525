"""What others' functions are handed, by stand-ins that have their published arguments."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.bench.cases import OPS, Shape
from librehps.bench.gate import LIMITS, gate_error
from librehps.bench.peers import PEERS, Peer

CPU = torch.device("cpu")
NANO = Shape("nano", (8,), torch.float32)


def peer(op: str, name: str) -> Peer:
    (found,) = (each for each in PEERS if (each.op, each.name) == (op, name))
    return found


def fla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    cu_seqlens: Tensor | None = None,
    auto_cp: bool = True,
) -> Any:
    """fla-core 0.6.0 and flash-qla 0.1.3, as far as they agree, and auto_cp of the latter."""
    assert output_final_state
    assert use_qk_l2norm_in_kernel
    assert cu_seqlens is not None
    assert cu_seqlens.dtype == torch.int64
    call = OPS["gated_delta_rule"].call
    o, state = call(q[0], k[0], v[0], g[0], beta[0], cu_seqlens=cu_seqlens)
    return o[None], state


def flashinfer(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    beta: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    use_qk_l2norm_in_kernel: bool = False,
) -> Any:
    assert g is not None
    assert beta is not None
    assert output_final_state
    call = OPS["gated_delta_rule"].call
    o, state = call(q, k, v, g.log(), beta, cu_seqlens=cu_seqlens, normalize_qk=False)
    return o, state.transpose(-1, -2)


def causal_conv1d_fn(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    seq_idx: Tensor | None = None,
    initial_states: Tensor | None = None,
    return_final_states: bool = False,
    final_states_out: Tensor | None = None,
    activation: str | None = None,
) -> Tensor:
    assert seq_idx is not None
    assert seq_idx.dtype == torch.int32
    lengths = torch.unique_consecutive(seq_idx[0], return_counts=True)[1]
    bounds = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    call = OPS["causal_conv1d"].call
    return call(x[0].T, weight, cu_seqlens=bounds, activation=activation)[0].T[None]


def mamba_chunk_scan_combined(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    chunk_size: int,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    seq_idx: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    dt_softplus: bool = False,
) -> Tensor:
    assert seq_idx is not None
    lengths = torch.unique_consecutive(seq_idx[0], return_counts=True)[1]
    bounds = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    assert z is not None
    y, _ = OPS["selective_scan"].call(
        *(x[0], dt[0], A, B[0], C[0]),
        cu_seqlens=bounds,
        D=D,
        z=z[0],
        dt_bias=dt_bias,
        dt_softplus=dt_softplus,
    )
    return y[None]


class RMSNorm:
    @staticmethod
    def apply(X, W, eps, offset=0.0, casting_mode="llama", in_place=True, row_mode=None) -> Tensor:
        assert (casting_mode, in_place) == ("gemma", False)
        return OPS["rms_norm"].call(X, W - 1 + offset, eps=eps)


class SiLUMul:
    @staticmethod
    def apply(a: Tensor, b: Tensor) -> Tensor:
        return OPS["swiglu"].call(a, b)


def rms_norm_gated(x, g, weight, bias, activation="swish", residual=None, prenorm=False,
                   residual_in_fp32=False, eps=1e-6) -> Tensor:  # fmt: skip
    assert (bias, activation) == (None, "swish")
    return OPS["gated_rms_norm"].call(x, g, weight, eps=eps)


STAND_INS = {
    ("gated_delta_rule", "fla"): {"chunk_gated_delta_rule": fla},
    ("gated_delta_rule", "flash-qla"): {"chunk_gated_delta_rule": fla},
    ("gated_delta_rule", "flashinfer"): {"chunk_gated_delta_rule": flashinfer},
    ("causal_conv1d", "causal-conv1d"): {"causal_conv1d_fn": causal_conv1d_fn},
    ("selective_scan", "mamba-ssm"): {"mamba_chunk_scan_combined": mamba_chunk_scan_combined},
    ("rms_norm", "liger"): {"LigerRMSNormFunction": RMSNorm},
    ("swiglu", "liger"): {"LigerSiLUMulFunction": SiLUMul},
    ("gated_rms_norm", "fla"): {"rms_norm_gated": rms_norm_gated},
}


@pytest.mark.parametrize(("op", "name"), list(STAND_INS))
def test_a_peer_computes_what_our_op_does(op: str, name: str) -> None:
    each = peer(op, name)
    run = each.wrap(SimpleNamespace(**STAND_INS[op, name]))
    error = gate_error(OPS[op], run, NANO, CPU, backward=each.has_backward)
    assert error < LIMITS[torch.float32]


def test_every_peer_has_its_stand_in() -> None:
    assert {(each.op, each.name) for each in PEERS} == set(STAND_INS)
    assert all(inspect.isfunction(each.wrap) for each in PEERS)


def test_what_is_not_installed_has_no_version() -> None:
    missing = Peer("swiglu", "x", "no-such-distribution", "no_such_module", lambda module: len)
    assert missing.installed() is None
    with pytest.raises(ImportError):
        missing.load()
    present = Peer("swiglu", "x", "torch", "torch", lambda module: module.add)
    assert present.installed() == torch.__version__
    assert present.load() is torch.add
