"""Which parameters stay in float32 when the rest of the backbone is cast."""

from __future__ import annotations

_FLOAT32_SUFFIXES = (
    *(f"linear_attn.{name}" for name in ("A_log", "norm.weight")),
    *(f"mamba2.{name}" for name in ("A_log", "dt_bias", "D", "norm.weight")),
)


def keeps_float32(name: str) -> bool:
    """Tell whether the parameter called ``name`` stays in float32 whatever the model's dtype.

    They are the decay rates and the norm of Gated DeltaNet, which Qwen3.5's own files keep in
    float32: a rate is exponentiated twice, so that rounding it moves the length of the memory. Of
    Mamba-2 the bias of the step and the share that passes by are kept too, as its authors do.

    Args:
        name: A parameter's name, with or without the prefix of an enclosing module.
    """
    return name.endswith(_FLOAT32_SUFFIXES)
