"""From the options of a verb to a scorer. Imports torch, so verbs import it when they run."""

from __future__ import annotations

import warnings

from librehps.cli.options import Backbone
from librehps.cli.output import note
from librehps.scorer import LibreHPS

UNTRAINED = "this checkpoint is untrained: its scores are noise, good for trying things out only"


def load_scorer(
    model: str,
    *,
    device: str,
    dtype: str,
    attn_impl: str,
    kernel_impl: str,
    backbone: Backbone,
    revision: str | None,
    local_files_only: bool,
    deterministic: bool,
) -> LibreHPS:
    """Load the model and say on stderr, once, what the reader of its scores must know."""
    with warnings.catch_warnings(record=True) as caught:
        # Of all warnings, those are for the user; with their own filter they are never dropped.
        warnings.simplefilter("always", UserWarning)
        scorer = LibreHPS.from_pretrained(
            model,
            device=device,
            dtype=dtype,
            attn_impl=attn_impl,
            kernel_impl=kernel_impl,
            backbone=backbone.value,
            revision=revision,
            local_files_only=local_files_only,
            deterministic=deterministic,
        )
    for warning in caught:
        note(f"warning: {warning.message}")
    if not scorer.trained:
        note(f"warning: {UNTRAINED}")
    return scorer
