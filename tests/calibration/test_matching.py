"""Fits are used for the model and the axis that they are for, and for no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from librehps.calibration import (
    Calibration,
    Fit,
    GaussianDifference,
    Platt,
    default_calibration,
    fingerprint,
    load_matching,
    preference_probability,
    save_calibration,
)
from librehps.errors import ConfigError
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint

FITS = {"<global>": Fit(Platt(a=0.25), num_pairs=40, num_ties=0)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matching") / "model"
    make_tiny_checkpoint(folder)
    return folder


def written(folder: Path, **fields: str | None) -> Path:
    return save_calibration(Calibration("platt", FITS, **fields), folder)


def test_fits_of_this_model_and_axis_are_read(checkpoint: Path, tmp_path: Path) -> None:
    file = written(tmp_path, axis="style", model=fingerprint(checkpoint))
    assert load_matching(file, checkpoint=checkpoint, axis="style").default == Platt(a=0.25)
    assert load_matching(tmp_path, checkpoint=checkpoint).axis == "style"


def test_fits_of_another_model_or_axis_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    file = written(tmp_path, axis="style", model=fingerprint(checkpoint))
    with pytest.raises(ConfigError, match="not on overall") as caught:
        load_matching(file, checkpoint=checkpoint, axis="overall")
    assert (caught.value.code, caught.value.item) == ("calibration_axis", str(file))
    written(tmp_path, axis="style", model="sha256:0")
    with pytest.raises(ConfigError) as caught:
        load_matching(file, checkpoint=checkpoint, axis="style")
    assert caught.value.code == "calibration_other_model"


def test_an_older_file_says_nothing_against_its_use(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps({"a": 0.5, "b": 0.0}))
    found = load_matching(tmp_path, checkpoint=checkpoint, axis="overall")
    assert found.default == Platt(a=0.5)


def test_a_folder_without_one_has_none(checkpoint: Path) -> None:
    assert default_calibration(checkpoint) is None


def test_the_one_in_the_folder_is_the_default_on_its_axis(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    written(folder, axis="overall", model=fingerprint(folder))
    scorer = LibreHPS.from_pretrained(folder, device="cpu", dtype="float32")
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, size=(2, 160, 160, 3), dtype=np.uint8)
    for axis, calibrator in (("overall", Platt(a=0.25)), ("style", GaussianDifference())):
        found = scorer.compare_images(image_a=a, image_b=b, prompt="a cat", axis=axis)
        scores = found.score_a.axis(axis), found.score_b.axis(axis)
        expected = preference_probability(*scores, calibrator=calibrator)
        assert found.probability_a == expected
        # The other one would have said something else.
        other = GaussianDifference() if axis == "overall" else Platt(a=0.25)
        assert found.probability_a != preference_probability(*scores, calibrator=other)
    given = scorer.compare_images(
        image_a=a, image_b=b, prompt="a cat", calibrator=GaussianDifference()
    )
    scores = given.score_a.axis("overall"), given.score_b.axis("overall")
    assert given.probability_a == preference_probability(*scores)


def test_one_of_another_model_stops_the_loading(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    written(folder, axis="overall", model="sha256:0")
    with pytest.raises(ConfigError) as caught:
        LibreHPS.from_pretrained(folder, device="cpu", dtype="float32")
    assert caught.value.code == "calibration_other_model"
