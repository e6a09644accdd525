"""Calibration files: what is written is read, older forms are too, and nothing else is."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from librehps.calibration import (
    Beta,
    Calibration,
    Fit,
    FittedCalibrator,
    Isotonic,
    Lapse,
    Platt,
    SigmaScale,
    Temperature,
    load_calibration,
    load_platt_calibrator,
    save_calibration,
)
from librehps.errors import CheckpointError, ConfigError, LibreHPSError

EXAMPLES: tuple[FittedCalibrator, ...] = (
    Temperature(1 / 3),
    Platt(1.1, -0.1),
    Beta(0.5, 1.5, 1e-17),
    Isotonic((0.1, 2.5), (0.6, 0.7)),
    Lapse(1e-17, 0.25),
    SigmaScale(5e-324),
)


def calibration(fitted: FittedCalibrator = EXAMPLES[1]) -> Calibration:
    fits = {"<global>": Fit(fitted, 40_000, 812), "hpdv3 — «é»": Fit(fitted, 25, 0)}
    return Calibration(fitted.kind, fits, axis="overall", ties="dropped", model="sha256:aa")


def written(path: Path, **changes: Any) -> dict[str, Any]:
    data = json.loads(save_calibration(calibration(), path).read_text("utf-8")) | changes
    path.write_text(json.dumps({key: data[key] for key in data if data[key] != "—"}), "utf-8")
    return data


@pytest.mark.parametrize("fitted", EXAMPLES, ids=lambda fitted: fitted.kind)
def test_what_is_saved_is_loaded(tmp_path: Path, fitted: FittedCalibrator) -> None:
    saved = calibration(fitted)
    assert save_calibration(saved, tmp_path) == tmp_path / "calibration.json"
    assert load_calibration(tmp_path) == saved
    assert load_calibration(tmp_path / "calibration.json") == saved


@given(a=st.floats(5e-324, 1.79e308), b=st.floats(-1.79e308, 1.79e308), name=st.text(min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_number_and_name_survives_the_file(
    tmp_path: Path, a: float, b: float, name: str
) -> None:
    saved = Calibration("platt", {"<global>": Fit(Platt(a, b)), name[:200]: Fit(Platt(a, b))})
    assert load_platt_calibrator(save_calibration(saved, tmp_path / "file.json")) == saved


def test_the_public_way_to_read_platt_fits(tmp_path: Path) -> None:
    fits = {"<global>": Fit(Platt(1.0)), "hpdv3": Fit(Platt(2.0))}
    path = save_calibration(Calibration("platt", fits), tmp_path / "calibration.json")
    assert load_platt_calibrator(str(path), benchmark=None).default == Platt(1.0)
    assert load_platt_calibrator(path)["hpdv3"] == Platt(2.0)
    assert load_platt_calibrator(path, benchmark="hpdv3").default == Platt(2.0)
    with pytest.raises(ConfigError, match=r"calibration\.json: no fit .*'hpdv2'.*hpdv3") as caught:
        load_platt_calibrator(path, "hpdv2")
    assert caught.value.code == "calibration_benchmark"


def test_another_kind_model_or_axis_is_refused(tmp_path: Path) -> None:
    path = save_calibration(calibration(Temperature(2.0)), tmp_path)
    with pytest.raises(ConfigError, match="kind 'temperature', not 'platt'") as caught:
        load_platt_calibrator(path)
    assert caught.value.code == "calibration_kind"
    load_calibration(path, model="sha256:aa", axis="overall")
    with pytest.raises(ConfigError, match="fit again") as caught:
        load_calibration(path, model="sha256:bb")
    assert caught.value.code == "calibration_other_model"
    with pytest.raises(ConfigError) as caught:
        load_calibration(path, axis="style")
    assert caught.value.code == "calibration_axis"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1.5, "b": -0.25}', {"<global>": Platt(1.5, -0.25)}),
        ('{"a": 1, "b": 0}', {"<global>": Platt(1.0, 0.0)}),
        (
            '{"<global>": {"a": 1.5, "b": 0.5}, "hpdv3": {"a": 2.5, "b": 0.0}}',
            {"<global>": Platt(1.5, 0.5), "hpdv3": Platt(2.5, 0.0)},
        ),
    ],
)
def test_older_forms_are_read(tmp_path: Path, text: str, expected: dict[str, Platt]) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, encoding="utf-8")
    found = load_platt_calibrator(path)
    assert {name: found[name] for name in found.fits} == expected
    assert (found.axis, found.ties, found.model) == (None, None, None)
    with pytest.raises(ConfigError, match="not known"):
        load_platt_calibrator(path, model="sha256:aa")


def test_an_older_file_of_benchmarks_alone_has_no_global_fit(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text('{"hpdv3": {"a": 2.0, "b": 0.0}}', encoding="utf-8")
    with pytest.raises(ConfigError, match="no fit for the benchmark '<global>'"):
        load_platt_calibrator(path)
    assert load_platt_calibrator(path, "hpdv3").default == Platt(2.0, 0.0)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("{}", "calibration_key", ""),
        ('{"a": 1.0}', "calibration_key", ""),
        ('{"a": 1.0, "b": 0.0, "c": 1.0}', "calibration_key", ""),
        ('{"a": -1.0, "b": 0.0}', "calibration_not_monotone", ""),
        ('{"a": 0, "b": 0.0}', "calibration_not_monotone", ""),
        ('{"a": 1e999, "b": 0.0}', "calibration_number", ""),
        ('{"a": "1", "b": 0.0}', "calibration_number", ""),
        ('{"a": true, "b": 0.0}', "calibration_number", ""),
        ('{"x": {"a": 1.0, "b": null}}', "calibration_number", ": x"),
        ('{"x": {"a": 1.0}}', "calibration_key", ": x"),
        ('{"x": 3}', "calibration_key", ".x"),
        ('{"x": [1, 2]}', "calibration_key", ".x"),
    ],
)
def test_older_forms_are_read_strictly(tmp_path: Path, text: str, code: str, place: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        load_platt_calibrator(path)
    assert caught.value.code == code
    assert caught.value.item == f"{path}{place}"


def test_the_other_sign_of_platts_paper_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text('{"a": -1.5, "b": 0.1}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="turn both signs round"):
        load_platt_calibrator(path)


@pytest.mark.parametrize(
    ("changes", "code", "place"),
    [
        ({"format_version": 2}, "calibration_version", ""),
        ({"format_version": 0}, "calibration_version", ""),
        ({"format_version": True}, "calibration_version", ""),
        ({"format_version": "1"}, "calibration_version", ""),
        ({"extra": 1}, "calibration_key", ""),
        ({"ties": "—"}, "calibration_key", ""),
        ({"kind": "plat"}, "name_unknown", ": kind"),
        ({"kind": "gaussian"}, "calibration_kind", ": kind"),
        ({"kind": None}, "calibration_key", ": kind"),
        ({"kind": 3}, "calibration_key", ": kind"),
        ({"axis": "beauty"}, "calibration_axis", ": axis"),
        ({"axis": 1}, "calibration_key", ": axis"),
        ({"ties": "both"}, "calibration_ties", ": ties"),
        ({"model": ["x"]}, "calibration_key", ": model"),
        ({"fits": []}, "calibration_key", ": fits"),
        ({"fits": {}}, "calibration_benchmark", ""),
        ({"fits": {"x": None}}, "calibration_key", ": fits.x"),
        ({"fits": {"x": {}}}, "calibration_key", ": fits.x"),
        ({"fits": {"": {}}}, "calibration_key", ": fits."),
    ],
)
def test_the_file_is_read_strictly(
    tmp_path: Path, changes: dict[str, Any], code: str, place: str
) -> None:
    path = tmp_path / "calibration.json"
    written(path, **changes)
    with pytest.raises(CheckpointError) as caught:
        load_calibration(path)
    assert caught.value.code == code
    assert caught.value.item == f"{path}{place}"


@pytest.mark.parametrize(
    ("fit", "code", "place"),
    [
        ({"num_pairs": 1.5}, "calibration_number", ".num_pairs"),
        ({"num_ties": True}, "calibration_number", ".num_ties"),
        ({"num_pairs": -1}, "calibration_number", ""),
        ({"num_pairs": 1, "num_ties": 2}, "calibration_number", ""),
        ({"parameters": 1}, "calibration_key", ".parameters"),
        ({"parameters": {"a": 1.0}}, "calibration_key", ".parameters"),
        ({"parameters": {"a": 1.0, "b": "0"}}, "calibration_number", ".parameters"),
        ({"parameters": {"a": -1.0, "b": 0.0}}, "calibration_not_monotone", ".parameters"),
        ({"note": "x"}, "calibration_key", ""),
    ],
)
def test_each_fit_is_read_strictly(
    tmp_path: Path, fit: dict[str, Any], code: str, place: str
) -> None:
    path = tmp_path / "calibration.json"
    good = {"parameters": {"a": 1.0, "b": 0.0}, "num_pairs": 10, "num_ties": 0}
    written(path, fits={"<global>": good, "x": good | fit})
    with pytest.raises(CheckpointError) as caught:
        load_calibration(path)
    assert caught.value.code == code
    assert caught.value.item == f"{path}: fits.x{place}"


def test_a_file_with_too_many_fits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({str(n): {"a": 1, "b": 0} for n in range(10_001)}), "utf-8")
    with pytest.raises(CheckpointError, match="at most 10000"):
        load_calibration(path)


def read_or_refused(path: Path) -> Calibration | LibreHPSError:
    try:
        return load_calibration(path)
    except LibreHPSError as error:
        return error


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "fits", "kind", "parameters", "format_version", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json_values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_json_is_read_or_refused_by_a_typed_error(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    found = read_or_refused(path)
    if isinstance(found, Calibration):
        assert found.default.parameters()["a"] > 0
    else:
        assert found.item is not None
        assert found.item.startswith(str(path))


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_file_is_read_or_refused_by_a_typed_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = save_calibration(calibration(), tmp_path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    found = read_or_refused(path)
    assert isinstance(found, Calibration) or str(path) in str(found)


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_calibration(calibration(), tmp_path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_calibration(calibration(Temperature(9.0)), tmp_path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["calibration.json"]


def test_a_file_is_readable_and_its_folder_is_made(tmp_path: Path) -> None:
    path = save_calibration(calibration(), tmp_path / "new" / "folder" / "c.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_text("utf-8").endswith("}\n")
