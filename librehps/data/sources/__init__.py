"""Preference data as people have it on disk: one reader for each layout, one way to use them all.

``read("hpdv3", "HPDv3/test.json")`` hands on records one at a time.
"""

from librehps.data.sources.columns import Columns
from librehps.data.sources.files import find_files
from librehps.data.sources.genai_bench import GenAIBenchSource
from librehps.data.sources.hpdv2 import HPDv2Source
from librehps.data.sources.hpdv3 import HPDv3Source
from librehps.data.sources.image_reward import ImageRewardRatings, ImageRewardSource
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.pick_a_pic import PickAPicSource
from librehps.data.sources.protocol import SOURCES, Dropped, Record, Row, Source
from librehps.data.sources.reading import Reading, make_source, read
from librehps.data.sources.report import BadRow, Report
from librehps.data.sources.tables import CsvTable, JsonTable, ParquetTable, WebDataset
from librehps.data.sources.video_align import VideoAlignSource, VideoGenRewardBench
from librehps.data.sources.vision_reward import VisionRewardSource

__all__ = [
    "SOURCES",
    "BadRow",
    "Columns",
    "CsvTable",
    "Dropped",
    "GenAIBenchSource",
    "HPDv2Source",
    "HPDv3Source",
    "ImageFiles",
    "ImageRewardRatings",
    "ImageRewardSource",
    "JsonTable",
    "ParquetTable",
    "PickAPicSource",
    "Reading",
    "Record",
    "Report",
    "Row",
    "Source",
    "VideoAlignSource",
    "VideoGenRewardBench",
    "VisionRewardSource",
    "WebDataset",
    "find_files",
    "make_source",
    "read",
]
