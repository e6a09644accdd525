"""The one table of numerical tolerances, each with the worst case that was measured.

A limit is the same on every machine: it does not know whether it runs in CI, and a test never
writes its own. To add one, append an entry with what you measured and the test that checks it.
"""

from __future__ import annotations

from dataclasses import dataclass

from librehps.typing import Tensor

__all__ = ["TOLERANCES", "Tolerance", "relative_rms"]


@dataclass(frozen=True)
class Tolerance:
    """A limit on an error and the evidence for it.

    Args:
        name: What is compared, such as ``"packed_alone_float32"``.
        limit: The largest error that passes; for most entries a relative RMS (see `relative_rms`).
        measured: The worst error seen when the entry was written.
        where: The test that checks it, and the case that gave ``measured``.
    """

    name: str
    limit: float
    measured: float
    where: str


def relative_rms(actual: Tensor, expected: Tensor) -> float:
    """Return how far two tensors differ: ``rms(actual - expected) / rms(expected)``.

    Computes in float64. Where ``expected`` is all zeros, the root mean square of the difference
    itself is returned. A NaN or an infinity on either side gives infinity, so that no comparison
    with a limit passes by accident.

    Args:
        actual: What is judged, of any shape and dtype.
        expected: What it is judged by; the same shape.

    Returns:
        The relative error, a plain number; 0.0 for two empty tensors.

    Raises:
        ValueError: The shapes differ.
    """
    if actual.shape != expected.shape:
        raise ValueError(f"shapes differ: {tuple(actual.shape)} and {tuple(expected.shape)}")
    if expected.numel() == 0:
        return 0.0
    wanted = expected.detach().double().cpu()
    difference = (actual.detach().double().cpu() - wanted).square().mean().sqrt().item()
    scale = wanted.square().mean().sqrt().item()
    error = difference / scale if scale > 0 else difference
    return error if error < float("inf") else float("inf")


_ENTRIES = (
    Tolerance(
        name="packed_alone_float32",
        limit=1e-5,
        measured=3.7e-6,
        where="tests/test_model.py: 30 mixed sequences in random order; scalar head, mean pooling",
    ),
    Tolerance(
        name="heads_float64",
        limit=1e-13,
        measured=8.3e-16,
        where="tests/heads/test_{attention_pooling,axis_tokens}.py: scores and every gradient",
    ),
    Tolerance(
        name="heads_float32",
        limit=2e-6,
        measured=2.9e-7,
        where="tests/heads/test_{attention_pooling,axis_tokens}.py: means and sigmas",
    ),
    Tolerance(
        name="checkpoint_hidden_float32",
        limit=1e-5,
        measured=3.0e-6,
        where="tests/parity/test_checkpoint.py: one folder loaded here and by transformers",
    ),
    Tolerance(
        name="backbone_hidden_float32",
        limit=1e-5,
        measured=2.5e-6,
        where="tests/parity/test_backbone.py: last hidden states; the widths of 4B, four layers",
    ),
    Tolerance(
        name="backbone_gradient_float32",
        limit=1e-4,
        measured=2.1e-5,
        where="tests/parity/test_backbone.py: any parameter; A_log under three merged patches",
    ),
    Tolerance(
        name="backbone_bfloat16",
        limit=4e-2,
        measured=2.6e-2,
        where="tests/parity/test_backbone.py: the widths of 4B, four layers, ours and stock in "
        "bfloat16 against each other and against float32",
    ),
    Tolerance(
        name="backbone_packed_float32",
        limit=1e-5,
        measured=1e-6,
        where="tests/modeling/test_backbone.py: packed against alone, and cut at any token",
    ),
    Tolerance(
        name="scores_native_transformers_float32",
        limit=2e-5,
        measured=5.4e-6,
        where="tests/test_scorer.py: means and sigmas of six photographs, both backbones, 4 seeds",
    ),
    Tolerance(
        name="scores_bfloat16_float32",
        limit=0.15,
        measured=0.077,
        where="tests/test_scorer.py: means and sigmas of six photographs, tiny model, 4 seeds",
    ),
    Tolerance(
        name="scores_triton_torch_float32",
        limit=1e-5,
        measured=7.1e-7,
        where="tests/parity/test_triton_model.py: means and sigmas, a layer of each kind",
    ),
    Tolerance(
        name="gradients_triton_torch_float32",
        limit=1e-4,
        measured=8.3e-6,
        where="tests/parity/test_triton_model.py: any parameter; A_log and dt_bias of Mamba-2",
    ),
    Tolerance(
        name="attention_sdpa_float64",
        limit=1e-14,
        measured=1e-15,
        where="tests/kernels/attention/test_torch_sdpa.py: output and gradients",
    ),
    Tolerance(
        name="attention_sdpa_float32",
        limit=5e-6,
        measured=6.5e-7,
        where="tests/kernels/attention/test_torch_sdpa.py: output and gradients",
    ),
    Tolerance(
        name="attention_sdpa_bfloat16",
        limit=2e-2,
        measured=4.8e-3,
        where="tests/kernels/attention/test_torch_sdpa.py: output and gradients",
    ),
    Tolerance(
        name="causal_conv1d",
        limit=2e-6,
        measured=2.7e-7,
        where="tests/kernels/causal_conv1d/test_torch_shifted.py: output, state and gradients",
    ),
    Tolerance(
        name="kernel_definitions_float64",
        limit=1e-14,
        measured=4.7e-16,
        where="test_reference.py of tests/kernels/{attention,gated_delta_rule} against formulas, "
        "and blocks of any size in tests/kernels/causal_conv1d/test_torch_shifted.py",
    ),
    Tolerance(
        name="kernels_transformers_float32",
        limit=5e-6,
        measured=1.4e-6,
        where="tests/parity/test_kernels.py: outputs, states and every gradient",
    ),
    Tolerance(
        name="norms_float64",
        limit=1e-14,
        measured=4.2e-16,
        where="tests/kernels/{rms_norm,gated_rms_norm,rotary,swiglu}: outputs and gradients",
    ),
    Tolerance(
        name="norms_float32",
        limit=2e-6,
        measured=2.1e-7,
        where="tests/kernels/{rms_norm,gated_rms_norm,rotary,swiglu}: outputs and gradients",
    ),
    Tolerance(
        name="norms_float16",
        limit=2e-3,
        measured=4.4e-4,
        where="test_triton_*.py of tests/kernels/{rms_norm,gated_rms_norm,rotary,swiglu}: outputs "
        "and gradients against float64",
    ),
    Tolerance(
        name="norms_bfloat16",
        limit=1e-2,
        measured=3.1e-3,
        where="tests/kernels/{rms_norm,gated_rms_norm,rotary,swiglu}: outputs and gradients",
    ),
    Tolerance(
        name="delta_rule_float64",
        limit=1e-13,
        measured=1.9e-15,
        where="tests/kernels/gated_delta_rule/test_torch_chunked.py: results and every gradient",
    ),
    Tolerance(
        name="delta_rule_float32",
        limit=5e-06,
        measured=9.5e-07,
        where="tests/kernels/gated_delta_rule/test_torch_chunked.py: results and every gradient",
    ),
    Tolerance(
        name="delta_rule_bfloat16",
        limit=0.01,
        measured=2.4e-3,
        where="tests/kernels/gated_delta_rule/test_torch_chunked.py: results and every gradient"
        "; inputs rounded first",
    ),
    Tolerance(
        name="delta_rule_decay_float64",
        limit=5e-12,
        measured=7.4e-14,
        where="tests/kernels/gated_delta_rule/test_torch_chunked.py: results and every gradient"
        "; decays down to exp(-100) a token",
    ),
    Tolerance(
        name="delta_rule_decay_float32",
        limit=5e-06,
        measured=1.6e-7,
        where="tests/kernels/gated_delta_rule/test_torch_chunked.py: results and every gradient"
        "; decays down to exp(-100) a token",
    ),
    Tolerance(
        name="delta_rule_parallel_float64",
        limit=1e-13,
        measured=2.7e-15,
        where="tests/kernels/gated_delta_rule/test_torch_chunked.py: results and every gradient"
        "; keys 1% apart, rate 1",
    ),
    Tolerance(
        name="delta_rule_parallel_float32",
        limit=1e-05,
        measured=1.1e-6,
        where="tests/kernels/gated_delta_rule/test_torch_chunked.py: results and every gradient"
        "; keys 1% apart, rate 1",
    ),
    Tolerance(
        name="delta_rule_triton_float32",
        limit=1e-5,
        measured=1.0e-6,
        where="tests/kernels/gated_delta_rule/test_triton_*.py: results and every gradient; keys "
        "that are not normalised",
    ),
    Tolerance(
        name="delta_rule_triton_bfloat16",
        limit=3e-2,
        measured=1.4e-2,
        where="tests/kernels/gated_delta_rule/test_triton_gated_delta_rule.py, on a GPU; measured "
        "in the interpreter, with both factors of every product rounded to bfloat16: keys 1% "
        "apart, rate 1",
    ),
    Tolerance(
        name="delta_rule_triton_float16",
        limit=5e-3,
        measured=4.5e-4,
        where="tests/kernels/gated_delta_rule/test_triton_gated_delta_rule.py: results and every "
        "gradient; inputs rounded first",
    ),
    Tolerance(
        name="selective_scan_float64",
        limit=1e-12,
        measured=2.3e-14,
        where="tests/kernels/selective_scan/test_torch_{chunked,decays}.py: results and every "
        "gradient",
    ),
    Tolerance(
        name="selective_scan_float32",
        limit=5e-6,
        measured=6.8e-7,
        where="tests/kernels/selective_scan/test_torch_{chunked,decays}.py: results and every "
        "gradient",
    ),
    Tolerance(
        name="selective_scan_bfloat16",
        limit=0.01,
        measured=3.4e-3,
        where="tests/kernels/selective_scan/test_torch_chunked.py: results and every gradient; "
        "inputs rounded first",
    ),
    Tolerance(
        name="selective_scan_triton_float32",
        limit=5e-6,
        measured=1.8e-6,
        where="tests/kernels/selective_scan/test_triton_*.py: results and every gradient; that of "
        "a single rate",
    ),
    Tolerance(
        name="selective_scan_triton_float16",
        limit=2e-3,
        measured=3.0e-4,
        where="tests/kernels/selective_scan/test_triton_selective_scan.py: results and every "
        "gradient; inputs rounded first",
    ),
    Tolerance(
        name="selective_scan_transformers_float32",
        limit=1e-5,
        measured=2.2e-6,
        where="tests/parity/test_mamba2.py: outputs, states and every gradient",
    ),
    Tolerance(
        name="mamba2_transformers_float32",
        limit=1e-5,
        measured=3.1e-6,
        where="tests/parity/test_mamba2.py: output and the gradients of every parameter",
    ),
)

TOLERANCES: dict[str, Tolerance] = {entry.name: entry for entry in _ENTRIES}
