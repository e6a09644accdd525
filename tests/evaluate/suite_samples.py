"""A small sample of every benchmark, in the layout in which it is published."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
from PIL import Image
from pyarrow import parquet

from librehps.data.sources import Columns
from librehps.evaluate.suite import SuiteOptions
from tests.data.sources.archives import pack

COUNT = 6


def png(*colour: int) -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), tuple((*colour, 0, 0)[:3])).save(buffer, "PNG")
    return buffer.getvalue()


def place(folder: Path, name: str, *colour: int) -> str:
    """Write a picture, and return its name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(*colour))
    return name


def save_parquet(path: Path, rows: list[dict[str, Any]], group: int = 4) -> Path:
    parquet.write_table(arrow.Table.from_pylist(rows), path, row_group_size=group)
    return path


def hpdv3(folder: Path, count: int = COUNT) -> Path:
    rows = [
        {
            "prompt": f"prompt {n // 2}",
            "choice_dist": [3, 1] if n % 3 else [1, 3],
            **{f"path{side}": place(folder, f"images/{n}-{side}.png", n, side) for side in (1, 2)},
        }
        for n in range(count)
    ]
    (folder / "test.json").write_text(json.dumps(rows))
    return folder


def hpdv2(folder: Path, count: int = COUNT, images: int = 4) -> Path:
    rows = [
        {
            "prompt": f"prompt {n}",
            "image_path": [place(folder, f"{n}-{k}.png", n, k) for k in range(images)],
            "rank": [(k * (n % 3 + 1) + n) % images + 1 for k in range(images)],
        }
        for n in range(count)
    ]
    (folder / "test.json").write_text(json.dumps(rows))
    return folder


def pickapic(folder: Path, count: int = COUNT) -> Path:
    rows = [
        {
            "caption": f"prompt {n // 2}",
            # An image that stands in two rows, as it does there.
            "jpg_0": png(n // 2, 1),
            "jpg_1": png(n, 2),
            "label_0": (0.0, 1.0, 0.5)[n % 3],
            "label_1": (1.0, 0.0, 0.5)[n % 3],
            "has_label": True,
            "are_different": True,
        }
        for n in range(count)
    ]
    save_parquet(folder / "test_unique-00000-of-00002.parquet", rows[: count // 2])
    save_parquet(folder / "test_unique-00001-of-00002.parquet", rows[count // 2 :])
    return folder


def imagereward(folder: Path, count: int = COUNT) -> Path:
    rows = [
        {
            "image_path": place(folder, f"test_1/{n}-{k}.png", n, k),
            "prompt_id": f"id{n}",
            "prompt": f"prompt {n}",
            "image_amount_in_total": 3,
            "rank": (k + n) % 3 + 1,
            "overall_rating": 7 - (k + n) % 3,
            "image_text_alignment_rating": 1 + (k * n) % 7,
            "fidelity_rating": 4,
        }
        for n in range(count)
        for k in range(3)
    ]
    (folder / "test_1.json").write_text(json.dumps(rows))
    return folder / "test_1.json"


def genai_bench(folder: Path) -> Path:
    votes = ("leftvote", "rightvote", "tievote", "bothbad_vote")
    rows = [
        {
            "prompt": f"prompt {n}",
            "left_image": {"bytes": png(n, 1), "path": None},
            "right_image": {"bytes": png(n, 2), "path": None},
            "vote_type": votes[n % 4],
        }
        for n in range(COUNT)
    ]
    return save_parquet(folder / "test.parquet", rows)


def visionreward(folder: Path) -> Path:
    rows = [
        {
            "prompt": f"prompt {n}",
            "image": {"bytes": png(n, 1), "path": None},
            "annotation": {"detail": n % 4, "harmony": -n},
        }
        for n in range(COUNT)
    ]
    return save_parquet(folder / "train.parquet", rows)


def videos(folder: Path) -> Path:
    row = {"path_A": "a.mp4", "path_B": "b.mp4", "prompt": "p"}
    row |= dict.fromkeys(("VQ", "MQ", "TA", "Overall"), "A")
    return save_csv(folder / "videos.csv", [row])


def save_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def table(folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "caption": f"prompt {n // 2}",
            "image_a": place(folder, f"{n}-a.png", n, 1),
            "image_b": place(folder, f"{n}-b.png", n, 2),
            "winner": ("left", "right", "neither")[n % 3],
        }
        for n in range(COUNT)
    ]


TABLE = SuiteOptions(
    columns=Columns(
        names={"prompt": "caption", "preferred": "winner"},
        labels={"left": 1.0, "right": 0.0, "neither": 0.5},
    )
)


def jsonl(folder: Path) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in table(folder)))
    return path


def inside(folder: Path) -> Path:
    rows = [
        row | {"image_a": png(n, 1), "image_b": png(n, 2)} for n, row in enumerate(table(folder))
    ]
    return save_parquet(folder / "pairs.parquet", rows)


def shard(folder: Path) -> Path:
    files: dict[str, bytes] = {}
    for n, row in enumerate(table(folder)):
        said = {name: row[name] for name in ("caption", "winner")}
        files |= {f"{n}.image_a.png": png(n, 1), f"{n}.image_b.png": png(n, 2)}
        files[f"{n}.json"] = json.dumps(said).encode()
    (folder / "pairs.tar").write_bytes(pack(files))
    return folder / "pairs.tar"


#: By the name of a suite: what writes a sample into a folder and returns what the user names, and
#: what is asked of the suite.
SAMPLES: dict[str, tuple[Callable[[Path], Path], SuiteOptions]] = {
    "hpdv3": (hpdv3, SuiteOptions()),
    "hpdv3-test": (hpdv3, SuiteOptions()),
    "hpdv3-layout": (lambda folder: hpdv3(folder) / "test.json", SuiteOptions()),
    "hpdv2": (hpdv2, SuiteOptions()),
    "pickapic": (pickapic, SuiteOptions()),
    "imagereward": (imagereward, SuiteOptions()),
    "imagereward-hpsv2": (imagereward, SuiteOptions()),
    "imagereward-ratings": (imagereward, SuiteOptions()),
    "genai-bench": (genai_bench, SuiteOptions()),
    "visionreward": (visionreward, SuiteOptions()),
    "videogen-rewardbench": (videos, SuiteOptions()),
    "videoalign": (videos, SuiteOptions()),
    "csv": (lambda folder: save_csv(folder / "pairs.csv", table(folder)), TABLE),
    "jsonl": (jsonl, TABLE),
    "parquet": (inside, TABLE),
    "webdataset": (shard, TABLE),
}
