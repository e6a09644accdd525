"""The arithmetic that ``librehps doctor`` checks: every op here against its definition.

Tiny random tensors in float32, two sequences of odd lengths in one pack, on every device; the
definition is computed in float64 on the CPU from the same numbers. Then a tiny random backbone
against the one in transformers, where that is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch import Tensor

from librehps.cli.fresh import Fresh
from librehps.errors import LibreHPSError
from librehps.inputs.batch import Batch
from librehps.kernels.add_rms_norm import add_rms_norm
from librehps.kernels.add_rms_norm.reference import add_rms_norm_reference
from librehps.kernels.attention import attention
from librehps.kernels.attention.reference import attention_reference
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rms_norm.reference import rms_norm_reference
from librehps.kernels.rotary import rotary
from librehps.kernels.rotary.reference import rotary_reference
from librehps.kernels.selective_scan import selective_scan
from librehps.kernels.selective_scan.reference import selective_scan_reference
from librehps.kernels.swiglu import swiglu
from librehps.kernels.swiglu.reference import swiglu_reference
from librehps.model import PreferenceModel

# Relative RMS in float32: some seventy times the worst seen on CPUs, far below any mistake.
OP_LIMIT = 1e-5
BACKBONE_LIMIT = 1e-5
LENGTHS = (37, 70)

Place = Callable[[Tensor], Tensor]
Case = Callable[[Callable[..., Any], Place], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Check:
    """One comparison and how it came out.

    Args:
        name: What was compared.
        device: Where it ran.
        verdict: ``"skipped"`` when what it compares with is not installed.
        difference: Relative root mean square difference; ``None`` when nothing was computed.
        limit: The largest difference that passes.
        detail: What it was compared with, or why it failed or was skipped.
    """

    name: str
    device: str
    verdict: Literal["passed", "failed", "skipped"]
    difference: float | None
    limit: float
    detail: str

    @property
    def shown_difference(self) -> str:
        """The difference for people."""
        return "-" if self.difference is None else f"{self.difference:.1e}"


def run_checks() -> list[Check]:
    """Run every check on the CPU and on every CUDA device."""
    places = [torch.device("cpu")]
    places += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    checks = [check_op(name, device) for device in places for name in OPS]
    return [*checks, *(check_backbone(device) for device in places)]


def check_op(name: str, device: torch.device) -> Check:
    """Compare an op on ``device`` with its definition.

    Args:
        name: A name in ``OPS``.
        device: Where the op runs.
    """
    case, op, reference = OPS[name]
    detail = "its definition in float64"
    try:
        with torch.inference_mode():
            found = case(op, lambda tensor: tensor.to(device))
            # Integers (sequence boundaries) stay what they are.
            expected = case(
                reference, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor
            )
        difference = max(map(relative_difference, found, expected))
    except (LibreHPSError, RuntimeError) as error:
        return Check(name, str(device), "failed", None, OP_LIMIT, str(error))
    return _judged(name, device, difference, OP_LIMIT, detail)


def check_backbone(device: torch.device) -> Check:
    """Compare a small random backbone on ``device`` with the one in transformers.

    It goes through a checkpoint folder and a picture with its prompt, so that saving, loading and
    preparing the input are part of what is checked.
    """
    name, limit = "backbone", BACKBONE_LIMIT
    if find_spec("transformers") is None:
        detail = "transformers is not installed: pip install 'librehps[transformers]'"
        return Check(name, str(device), "skipped", None, limit, detail)
    pixels = torch.randint(256, (3, 200, 300), generator=torch.Generator().manual_seed(20))
    try:
        with TemporaryDirectory(prefix="librehps-doctor-") as folder, torch.inference_mode():
            model, processor = Fresh.of(dtype="float32").from_preset("nano")
            model.save_pretrained(Path(folder) / "nano", processor=processor)
            sample = processor.prepare(pixels.to(torch.uint8), "a picture of noise").sample
            batch = Batch.pack([sample]).to(device=device)
            found, expected = (
                PreferenceModel.from_pretrained(
                    Path(folder) / "nano", device=device, dtype=torch.float32, backbone=backbone
                )
                .model(
                    batch.input_ids,
                    positions=batch.positions,
                    cu_seqlens=batch.cu_seqlens,
                    patches=batch.patches,
                    grid_thw=batch.grid_thw,
                )
                .hidden
                for backbone in ("native", "transformers")
            )
    except (LibreHPSError, RuntimeError, ImportError, OSError) as error:
        return Check(name, str(device), "failed", None, limit, str(error))
    difference = relative_difference(found, expected)
    detail = f"transformers {metadata.version('transformers')}"
    return _judged(name, device, difference, limit, detail)


def _judged(name: str, device: torch.device, difference: float, limit: float, detail: str) -> Check:
    """Return the verdict on a difference; infinity, which JSON cannot hold, becomes words."""
    if difference == float("inf"):
        return Check(name, str(device), "failed", None, limit, "the result is not finite")
    verdict = "passed" if difference <= limit else "failed"
    return Check(name, str(device), verdict, difference, limit, detail)


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Return ``rms(found - expected) / rms(expected)``, infinity if anything is not finite."""
    wanted = expected.double().cpu()
    error = (found.double().cpu() - wanted).square().mean().sqrt()
    ratio = (error / wanted.square().mean().sqrt().clamp_min(1e-30)).item()
    return ratio if ratio < float("inf") else float("inf")


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


_T = sum(LENGTHS)
_BOUNDS = torch.tensor([0, LENGTHS[0], _T], dtype=torch.int32)


def _attention(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    q, k, v = _random(_T, 4, 32, seed=0), _random(_T, 2, 32, seed=1), _random(_T, 2, 32, seed=2)
    bounds = place(_BOUNDS)
    out = op(
        place(q),
        place(k),
        place(v),
        cu_seqlens_q=bounds,
        cu_seqlens_k=bounds,
        causal=True,
        scale=32**-0.5,
    )
    return (out,)


def _delta_rule(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    q, k, v = _random(_T, 2, 16, seed=3), _random(_T, 2, 16, seed=4), _random(_T, 4, 16, seed=5)
    decay = -torch.nn.functional.softplus(_random(_T, 4, seed=6))
    beta = torch.sigmoid(_random(_T, 4, seed=7))
    state = _random(len(LENGTHS), 4, 16, 16, seed=8)
    return op(
        place(q),
        place(k),
        place(v),
        place(decay),
        place(beta),
        cu_seqlens=place(_BOUNDS),
        initial_state=place(state),
    )


def _selective_scan(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    x, z = _random(_T, 4, 16, seed=20), _random(_T, 4, 16, seed=21)
    write, read = _random(_T, 2, 16, seed=22), _random(_T, 2, 16, seed=23)
    return op(
        place(x),
        place(_random(_T, 4, seed=24)),
        place(-_random(4, seed=25).exp()),
        place(write),
        place(read),
        cu_seqlens=place(_BOUNDS),
        D=place(_random(4, seed=26)),
        z=place(z),
        dt_bias=place(_random(4, seed=27)),
        dt_softplus=True,
        initial_state=place(_random(len(LENGTHS), 4, 16, 16, seed=28)),
    )


def _conv(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    x, weight = _random(_T, 24, seed=9), _random(24, 4, seed=10)
    bias = _random(24, seed=29)
    bounds = place(_BOUNDS)
    return op(place(x), place(weight), cu_seqlens=bounds, bias=place(bias), activation="silu")


def _rms_norm(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    return (op(place(_random(_T, 48, seed=11)), place(_random(48, seed=12)), eps=1e-6),)


def _add_rms_norm(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    x, residual, weight = _random(_T, 48, seed=30), _random(_T, 48, seed=31), _random(48, seed=32)
    return op(place(x), place(residual), place(weight), eps=1e-6)


def _gated_rms_norm(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    x, gate, weight = _random(_T, 48, seed=13), _random(_T, 48, seed=14), _random(48, seed=15)
    return (op(place(x), place(gate), place(weight), eps=1e-6),)


def _rotary(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    angles = _random(_T, 8, seed=17).repeat(1, 2)
    x = _random(_T, 4, 32, seed=16)
    return (op(place(x), place(angles.cos()), place(angles.sin())),)


def _swiglu(op: Callable[..., Any], place: Place) -> tuple[Tensor, ...]:
    return (op(place(_random(_T, 48, seed=18)), place(_random(_T, 48, seed=19))),)


OPS: dict[str, tuple[Case, Callable[..., Any], Callable[..., Any]]] = {
    "gated_delta_rule": (_delta_rule, gated_delta_rule, gated_delta_rule_reference),
    "selective_scan": (_selective_scan, selective_scan, selective_scan_reference),
    "causal_conv1d": (_conv, causal_conv1d, causal_conv1d_reference),
    "attention": (_attention, attention, attention_reference),
    "rms_norm": (_rms_norm, rms_norm, rms_norm_reference),
    "add_rms_norm": (_add_rms_norm, add_rms_norm, add_rms_norm_reference),
    "gated_rms_norm": (_gated_rms_norm, gated_rms_norm, gated_rms_norm_reference),
    "rotary": (_rotary, rotary, rotary_reference),
    "swiglu": (_swiglu, swiglu, swiglu_reference),
}
"""The ops by name: a case to compute, the op, and its definition."""
