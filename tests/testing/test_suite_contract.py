"""The contract of benchmarks: what breaks it is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from librehps.errors import InputError
from librehps.evaluate.pictures import PictureSource
from librehps.evaluate.suite import Case, SuiteData, SuiteOptions
from librehps.evaluate.suites import SUITES
from librehps.testing.suite_contract import check_suite
from tests.evaluate.suite_samples import SAMPLES

GOOD = SUITES["hpdv2"](SuiteOptions(share=0.5))


@dataclass(frozen=True)
class Broken:
    """A suite with something wrong."""

    change: Callable[[SuiteData], SuiteData] = lambda data: data
    tie_rule: str = "strict"
    description: str = "broken"
    video: bool = False

    def read(self, data: Path, **options: Any) -> SuiteData:
        return self.change(GOOD.read(data, **options))


class Lying:
    """Pictures that are not what their SHA-256 says."""

    def digest(self, image: Path) -> str:
        return "0" * 64

    def sources(self, images: Sequence[Path]) -> list[PictureSource | InputError]:
        return list(images)


class Gone(Lying):
    """Pictures that are not there."""

    def sources(self, images: Sequence[Path]) -> list[PictureSource | InputError]:
        return [InputError("gone", code="image_missing") for _ in images]


def test_a_good_suite_passes(tmp_path: Path) -> None:
    check_suite(Broken(), SAMPLES["hpdv2"][0](tmp_path))


def shuffled(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    return (cases[-1], *cases[:-1])


def torn(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    return (cases[0], replace(cases[0], for_fitting=not cases[0].for_fitting), *cases[1:])


@pytest.mark.parametrize(
    ("suite", "sentence"),
    [
        (object(), "it has tie_rule"),
        (Broken(tie_rule="none"), "no tie rule"),
        (Broken(description=""), "says what it is"),
        (Broken(video=True), "as if they could be scored"),
        (Broken(lambda data: replace(data, cases=())), "there is a record"),
        (Broken(lambda data: replace(data, cases=shuffled(data.cases))), "in the order"),
        (Broken(lambda data: replace(data, cases=torn(data.cases))), "in one part"),
        (Broken(lambda data: replace(data, num_rows=1)), "those of rows"),
        (Broken(lambda data: replace(data, num_bad_rows=1)), "no row of the sample"),
        (Broken(lambda data: replace(data, sha256="x")), "is no SHA-256"),
        (Broken(lambda data: replace(data, images=Path("/elsewhere"))), "relative to the folder"),
        (Broken(lambda data: replace(data, pictures=Lying())), "has another SHA-256"),
        (Broken(lambda data: replace(data, pictures=Gone())), "cannot be had"),
    ],
)
def test_what_breaks_it_is_named(suite: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_suite(suite, SAMPLES["hpdv2"][0](tmp_path))


def test_one_that_reads_otherwise_each_time_or_writes_is_found(tmp_path: Path) -> None:
    data = SAMPLES["hpdv2"][0](tmp_path)
    times: list[int] = []

    def changing(found: SuiteData) -> SuiteData:
        times.append(1)
        return replace(found, cases=found.cases[len(times) :])

    def writing(found: SuiteData) -> SuiteData:
        (data / "left-behind").touch()
        return found

    with pytest.raises(AssertionError, match="same records twice"):
        check_suite(Broken(changing), data)
    with pytest.raises(AssertionError, match="writes nothing"):
        check_suite(Broken(writing), data)
