"""Fits that are for this model and this axis, as far as their file says what they are for."""

from __future__ import annotations

import os
from pathlib import Path

from librehps.calibration.fingerprint import fingerprint
from librehps.calibration.io import FILE_NAME, load_calibration
from librehps.calibration.table import Calibration
from librehps.errors import ConfigError

__all__ = ["default_calibration", "load_matching"]


def load_matching(
    path: str | os.PathLike[str], *, checkpoint: str | os.PathLike[str], axis: str | None = None
) -> Calibration:
    """Read fits and refuse those that were made for another model or axis.

    Older files say neither: they are taken for what is asked for, as nothing is known against it.
    The checkpoint is read only if the file names a model.

    Args:
        path: A ``calibration.json``, or the folder it lies in.
        checkpoint: Folder of the model that will score.
        axis: The axis that will be compared; ``None`` to not check.

    Raises:
        CheckpointError: See :func:`~librehps.calibration.io.load_calibration` and
            :func:`~librehps.calibration.fingerprint.fingerprint`.
        ConfigError: The fits are for another axis (code ``calibration_axis``) or another model
            (``calibration_other_model``).
    """
    found = load_calibration(path)
    try:
        found.demand(axis=None if found.axis is None else axis)
        if found.model is not None:
            found.demand(model=fingerprint(checkpoint))
    except ConfigError as error:
        raise error.at(str(path)) from error
    return found


def default_calibration(checkpoint: str | os.PathLike[str]) -> Calibration | None:
    """Return the fits that lie in a checkpoint's folder; ``None`` where there are none.

    Raises:
        CheckpointError: See :func:`load_matching`.
        ConfigError: See :func:`load_matching`.
    """
    file = Path(checkpoint) / FILE_NAME
    # A folder that may not be looked into has none; loading the model says what is wrong with it.
    return load_matching(file, checkpoint=checkpoint) if os.path.exists(file) else None
