"""The benchmarks that come with the package, by the name that a command line gives.

Every reader of ``librehps.data.sources`` is one, with the tie rule of its published numbers.
"""

from __future__ import annotations

from dataclasses import replace

from librehps.data.sources import (
    Columns,
    GenAIBenchSource,
    HPDv2Source,
    HPDv3Source,
    ImageRewardRatings,
    ImageRewardSource,
    PickAPicSource,
    VideoAlignSource,
    VideoGenRewardBench,
    VisionRewardSource,
    make_source,
)
from librehps.errors import ConfigError
from librehps.evaluate.source_suite import SourceSuite
from librehps.evaluate.suite import SUITES, Case, Suite, SuiteData, SuiteOptions, spread_evenly

__all__ = ["SUITES", "Case", "Suite", "SuiteData", "SuiteOptions", "TABLES", "spread_evenly"]


#: Tables of the user's own, whose columns can be named, and what each is.
TABLES = {
    "csv": "comma-separated values",
    "jsonl": "JSON lines or a JSON list",
    "parquet": "parquet files",
    "webdataset": "tar shards",
}


class _Published:
    """Makes a benchmark whose columns are fixed."""

    def __init__(self, suite: SourceSuite) -> None:
        self.suite = suite

    def __call__(self, options: SuiteOptions) -> SourceSuite:
        """Return it.

        Raises:
            ConfigError: See :func:`_with_options`.
        """
        if options.columns is not None:
            raise ConfigError(
                f"{self.suite.description!r} has columns of its own; they can be named for "
                f"{', '.join(TABLES)}",
                code="data_columns",
            )
        return _with_options(self.suite, options)


class _Table:
    """Makes a benchmark of a table of the user's own."""

    def __init__(self, name: str, what: str) -> None:
        self.name = name
        self.what = what

    def __call__(self, options: SuiteOptions) -> SourceSuite:
        """Return it.

        Raises:
            ConfigError: See :func:`_with_options`.
        """
        columns = options.columns or Columns()
        description = f"{self.what} of your own; a row is a {columns.record}"
        suite = SourceSuite(source=make_source(self.name, columns), description=description)
        return _with_options(suite, options)


def _with_options(suite: SourceSuite, options: SuiteOptions) -> SourceSuite:
    """Return a benchmark with another root and share, where those are given.

    Raises:
        ConfigError: A share that is none (code ``split_share``).
    """
    share = suite.share if options.share is None else options.share
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"share is {share}; it must lie in [0, 1]", code="split_share")
    return replace(suite, root=options.root, share=share)


_SUITES = {
    "hpdv3": SourceSuite(
        source=HPDv3Source(),
        description="test.json of HPDv3; calibrators are fitted on 10 % and judged on the rest",
        file="test.json",
        takes="folder",
        name="hpdv3",
    ),
    "hpdv3-test": SourceSuite(
        source=HPDv3Source(),
        description="the whole test.json of HPDv3, as HPSv3 reports it; nothing is fitted",
        file="test.json",
        takes="folder",
        name="hpdv3-test",
        share=0.0,
    ),
    "hpdv3-layout": SourceSuite(
        source=HPDv3Source(),
        description="any file in HPDv3's layout, such as one that librehps synth wrote; split as "
        "hpdv3 is",
        takes="file",
    ),
    "hpdv2": SourceSuite(
        source=HPDv2Source(),
        description="HPDv2: rankings of test.json, or pairs of another file",
        tie_rule="hpsv2",
        file="test.json",
        prefix="hpdv2",
    ),
    "pickapic": SourceSuite(
        source=PickAPicSource(),
        description="Pick-a-Pic v1 and v2: pairs in parquet, with their images",
        tie_rule="pickscore",
        prefix="pickapic",
    ),
    "imagereward": SourceSuite(
        source=ImageRewardSource(),
        description="rankings of ImageRewardDB, pairs of all prompts pooled as ImageReward does",
        tie_rule="imagereward",
        prefix="imagereward",
    ),
    "imagereward-hpsv2": SourceSuite(
        source=ImageRewardSource(),
        description="the same rankings, mean over prompts as HPSv2 reports them",
        tie_rule="hpsv2_imagereward",
        prefix="imagereward-hpsv2",
    ),
    "imagereward-ratings": SourceSuite(
        source=ImageRewardRatings(),
        description="marks of ImageRewardDB: overall, alignment and fidelity as coherence",
        prefix="imagereward-ratings",
    ),
    "genai-bench": SourceSuite(
        source=GenAIBenchSource(),
        description="image_generation of TIGER-Lab's GenAI-Bench; a tie is an answer, as there",
        tie_rule="three_class",
        prefix="genai-bench",
        video_columns=("left_video", "right_video"),
    ),
    "visionreward": SourceSuite(
        source=VisionRewardSource(),
        description="VisionRewardDB-Image: marks on some twenty dimensions",
        tie_rule="three_class",
        prefix="visionreward",
        video_columns=("video_path", "video1_path"),
    ),
    "videogen-rewardbench": SourceSuite(
        source=VideoGenRewardBench(),
        description="VideoGen-RewardBench: pairs of videos, which this version cannot score",
        tie_rule="three_class",
        prefix="videogen-rewardbench",
        video=True,
    ),
    "videoalign": SourceSuite(
        source=VideoAlignSource(),
        description="VideoAlign's training file: pairs of videos, which this version cannot score",
        tie_rule="three_class",
        prefix="videoalign",
        video=True,
    ),
}
for _name, _suite in _SUITES.items():
    SUITES.register(_name)(_Published(_suite))
for _name, _what in TABLES.items():
    SUITES.register(_name)(_Table(_name, _what))
