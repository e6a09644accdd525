"""``calibration.json``: written whole or not at all, read strictly.

The file, format version 1::

    {
      "format_version": 1,
      "kind": "platt",
      "axis": "overall",
      "ties": "half",
      "model": "sha256:…",
      "fits": {
        "<global>": {"parameters": {"a": 1.9, "b": 0.02}, "num_pairs": 40000, "num_ties": 812},
        "hpdv3": {"parameters": {"a": 2.3, "b": 0.01}, "num_pairs": 25000, "num_ties": 0}
      }
    }

Older files of Platt's kind have no version and are read too: ``{"a": …, "b": …}`` alone, or such
an object for each benchmark by its name. They say neither the axis nor the model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from librehps.calibration.fitted import FittedCalibrator, read_keys
from librehps.calibration.platt import Platt
from librehps.calibration.strict_json import read_strict_json
from librehps.calibration.table import (
    GLOBAL,
    Calibration,
    Fit,
    demand_axis,
    demand_tie_rule,
    fitted_type,
)
from librehps.errors import CheckpointError, ConfigError
from librehps.writing import write_lines

__all__ = [
    "FILE_NAME",
    "FORMAT_VERSION",
    "load_calibration",
    "load_platt_calibrator",
    "save_calibration",
]

FILE_NAME = "calibration.json"
FORMAT_VERSION = 1

T = TypeVar("T")
_KEYS = ("format_version", "kind", "axis", "ties", "model", "fits")
_FIT_KEYS = ("parameters", "num_pairs", "num_ties")
_FLAT_KEYS = ("a", "b")
_MAX_FITS = 10_000


def load_platt_calibrator(
    path: str | os.PathLike[str],
    benchmark: str | None = None,
    *,
    axis: str | None = None,
    model: str | None = None,
) -> Calibration:
    """Read Platt fits; ``.default`` is the one to use, ``["hpdv3"]`` that of a benchmark.

    Args:
        path: A ``calibration.json``, of this or of an older format, or the folder it lies in.
        benchmark: Whose fit is ``.default``; ``None`` for the one on all pairs.
        axis: The axis that will be compared; ``None`` to not check.
        model: Fingerprint of the model that will score; ``None`` to not check.

    Raises:
        CheckpointError: See :func:`load_calibration`.
        ConfigError: See :func:`load_calibration`; or the file holds another kind of calibrator
            (code ``calibration_kind``).
    """
    found = load_calibration(path, benchmark, axis=axis, model=model)
    if found.kind != Platt.kind:
        raise ConfigError(
            f"holds fits of the kind {found.kind!r}, not 'platt': read it with load_calibration()",
            code="calibration_kind",
            item=str(_file(path)),
        )
    return found


def load_calibration(
    path: str | os.PathLike[str],
    benchmark: str | None = None,
    *,
    axis: str | None = None,
    model: str | None = None,
) -> Calibration:
    """Read fits of any kind.

    Args:
        path: A ``calibration.json``, of this or of an older format, or the folder it lies in.
        benchmark: Whose fit is ``.default``; ``None`` for the one on all pairs.
        axis: The axis that will be compared; ``None`` to not check.
        model: Fingerprint of the model that will score; ``None`` to not check.

    Raises:
        CheckpointError: No such file (code ``calibration_missing``), no JSON object
            (``calibration_file``), a newer format (``calibration_version``), or a value that does
            not make sense, with the code that the value's own error has; ``item`` names the file
            and the key.
        ConfigError: No fit for ``benchmark`` (code ``calibration_benchmark``), or the fits are for
            another axis (``calibration_axis``) or another model (``calibration_other_model``).
    """
    file = _file(path)
    data = read_strict_json(file)
    read = _read_version_1 if "format_version" in data else _read_flat
    fields = read(data, str(file))
    try:
        found = Calibration(**fields, benchmark=GLOBAL if benchmark is None else benchmark)
        found.demand(axis=axis, model=model)
    except ConfigError as error:
        raise error.at(str(file)) from error
    return found


def save_calibration(calibration: Calibration, path: str | os.PathLike[str]) -> Path:
    """Write a calibration; the file appears whole or not at all.

    Args:
        calibration: What to write.
        path: The file, or a folder that there is, for ``calibration.json`` in it.

    Returns:
        The file that was written.
    """
    file = _file(path)
    fits = {
        name: {
            "parameters": fit.calibrator.parameters(),
            "num_pairs": fit.num_pairs,
            "num_ties": fit.num_ties,
        }
        for name, fit in calibration.fits.items()
    }
    data = {
        "format_version": FORMAT_VERSION,
        "kind": calibration.kind,
        "axis": calibration.axis,
        "ties": calibration.ties,
        "model": calibration.model,
        "fits": fits,
    }
    write_lines(file, [json.dumps(data, indent=2, allow_nan=False) + "\n"])
    return file


def _read_version_1(data: Mapping[str, Any], file: str) -> dict[str, Any]:
    version: object = data["format_version"]
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise CheckpointError(
            f"format_version is {str(version)[:80]!r}; this librehps reads {FORMAT_VERSION}",
            code="calibration_version",
            item=file,
        )
    _, kind, axis, ties, model, fits = _at(file, lambda: read_keys(data, _KEYS))
    texts = {"kind": kind, "axis": axis, "ties": ties, "model": model}
    for name, value in texts.items():
        if not (isinstance(value, str) or (value is None and name != "kind")):
            raise CheckpointError(
                f"must be text, not {str(value)[:80]!r}",
                code="calibration_key",
                item=f"{file}: {name}",
            )
    _at(f"{file}: axis", lambda: demand_axis(axis))
    _at(f"{file}: ties", lambda: demand_tie_rule(ties))
    calibrator_type = _at(f"{file}: kind", lambda: fitted_type(kind))
    parts = _objects(fits, f"{file}: fits")
    read = {
        name: _fit(calibrator_type, part, f"{file}: fits.{name}") for name, part in parts.items()
    }
    fields: dict[str, Any] = {**texts, "fits": read}
    # Built once without a benchmark that may be missing, so that what is wrong is the file's fault.
    first = next(iter(read), GLOBAL)
    _at(file, lambda: Calibration(**fields, benchmark=first))
    return fields


def _read_flat(data: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Read the older form: parameters alone, or parameters by benchmark."""
    parts = {GLOBAL: data} if set(data) & set(_FLAT_KEYS) else _objects(data, file)
    if not parts:
        raise CheckpointError("holds no fit", code="calibration_key", item=file)
    fits = {
        name: Fit(_flat_platt(part, file if part is data else f"{file}: {name}"))
        for name, part in parts.items()
    }
    return {"kind": Platt.kind, "fits": fits}


def _flat_platt(part: Mapping[str, Any], place: str) -> Platt:
    try:
        return _at(place, lambda: Platt.from_parameters(part))
    except CheckpointError as error:
        if error.code == "calibration_not_monotone":
            # Platt's own paper has the opposite sign, and so have the libraries that follow it.
            error.message += "; if the file means 1 / (1 + exp(a d + b)), turn both signs round"
        raise


def _fit(calibrator_type: type[FittedCalibrator], part: Mapping[str, Any], place: str) -> Fit:
    parameters, num_pairs, num_ties = _at(place, lambda: read_keys(part, _FIT_KEYS))
    for name, count in {"num_pairs": num_pairs, "num_ties": num_ties}.items():
        if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
            raise CheckpointError(
                f"must be a whole number, not {str(count)[:80]!r}",
                code="calibration_number",
                item=f"{place}.{name}",
            )
    within = _object(parameters, f"{place}.parameters")
    calibrator = _at(f"{place}.parameters", lambda: calibrator_type.from_parameters(within))
    return _at(place, lambda: Fit(calibrator, num_pairs=num_pairs, num_ties=num_ties))


def _objects(value: object, place: str) -> dict[str, dict[str, Any]]:
    found = _object(value, place)
    if len(found) > _MAX_FITS:
        raise CheckpointError(
            f"holds {len(found)} fits; at most {_MAX_FITS} are read",
            code="calibration_file",
            item=place,
        )
    return {name: _object(part, f"{place}.{name}") for name, part in found.items()}


def _object(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CheckpointError(
            f"must be an object, not {str(value)[:80]!r}", code="calibration_key", item=place
        )
    return cast("dict[str, Any]", value)


def _at(place: str, read: Callable[[], T]) -> T:
    """Return what ``read`` returns; what it finds wrong is an error of the file at ``place``."""
    try:
        return read()
    except ConfigError as error:
        raise CheckpointError(str(error), code=error.code, item=place) from error


def _file(path: str | os.PathLike[str]) -> Path:
    given = Path(path)
    return given / FILE_NAME if given.is_dir() else given
