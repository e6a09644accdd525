"""From the options of a verb to a scorer. Imports torch, so verbs import it when they run."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from librehps.cli.options import ModelOptions
from librehps.cli.output import note
from librehps.hub import find_checkpoint
from librehps.scorer import LibreHPS

if TYPE_CHECKING:
    from librehps.evaluate.identity import ScorerIdentity

UNTRAINED = "this checkpoint is untrained: its scores are noise, good for trying things out only"
BUNDLED = (
    "scored by nano, the small model in the package: it knows drawn shapes and nothing of "
    "photographs; --model names another"
)


def load_scorer(chosen: ModelOptions, *, own_calibration: bool = True) -> LibreHPS:
    """Load the model and say on stderr, once, what the reader of its scores must know.

    Args:
        chosen: Which model, and how it runs.
        own_calibration: Whether the ``calibration.json`` in its folder is read, and stops the
            loading where it is of another model.
    """
    with warnings.catch_warnings(record=True) as caught:
        # Of all warnings, those are for the user; with their own filter they are never dropped.
        warnings.simplefilter("always", UserWarning)
        scorer = LibreHPS.from_pretrained(
            chosen.model,
            device=chosen.device,
            dtype=chosen.dtype,
            attn_impl=chosen.attn_impl,
            kernel_impl=chosen.kernel_impl,
            backbone=chosen.backbone.value,
            revision=chosen.revision,
            local_files_only=chosen.local_files_only,
            deterministic=chosen.deterministic,
            calibration="own" if own_calibration else None,
        )
    for warning in caught:
        note(f"warning: {warning.message}")
    if not scorer.trained:
        note(f"warning: {UNTRAINED}")
    if chosen.model == "nano":
        note(BUNDLED)
    return scorer


def identify_scorer(scorer: LibreHPS, chosen: ModelOptions) -> ScorerIdentity:
    """Return whose scores those of a scorer are that `load_scorer` has loaded.

    Raises:
        CheckpointError: See :func:`~librehps.evaluate.run.identify`.
    """
    from librehps.evaluate.run import identify

    folder = find_checkpoint(
        chosen.model, revision=chosen.revision, local_files_only=chosen.local_files_only
    )
    return identify(
        scorer,
        folder,
        attn_impl=chosen.attn_impl,
        kernel_impl=chosen.kernel_impl,
        backbone=chosen.backbone.value,
    )
