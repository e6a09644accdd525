from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from librehps.training.journal import Journal, draw_curves, read_journal

AXES = {"axes": {"overall": {"accuracy": 0.7}}}


def test_lines_of_steps_that_are_done_again_are_dropped(tmp_path: Path) -> None:
    with Journal(tmp_path, tensorboard=False) as journal:
        for step in (1, 2, 3):
            journal.write("train", step, {"loss": 1.0 / step})
    # A stop in the middle of a line.
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    with Journal(tmp_path, step=2, tensorboard=False) as journal:
        journal.write("train", 3, {"loss": 9.0})
    rows = read_journal(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] == 9.0


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.write("validation", 4, {"loss": 0.5, **AXES})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        "validation/loss",
        "validation/axes/overall/accuracy",
    }
    assert events.Scalars("validation/loss")[0].step == 4


def test_curves_are_drawn(tmp_path: Path) -> None:
    with Journal(tmp_path, tensorboard=False) as journal:
        for step in range(1, 40):
            journal.write("train", step, {"loss": 1.0 / step})
        journal.write("validation", 39, {"loss": 0.4, **AXES})
    with Image.open(draw_curves(tmp_path)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] > pixels.shape[0] > 200
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_before_the_first_line_there_is_no_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()


def test_what_is_no_line_of_a_log_is_passed_over(tmp_path: Path) -> None:
    good = b'{"kind": "train", "step": 1, "loss": 0.5}'
    odd = (b"12", b"[1]", b"null", b"\xff\xfe", b"{}", b'{"kind": "train", "step": "1"}', b'{"ki')
    (tmp_path / "log.jsonl").write_bytes(b"\n".join((*odd[:3], good, *odd[3:])))
    assert read_journal(tmp_path) == [{"kind": "train", "step": 1, "loss": 0.5}]
    with Journal(tmp_path, step=1, tensorboard=False) as journal:
        journal.write("train", 2, {"loss": 0.25})
    assert [row["step"] for row in read_journal(tmp_path)] == [1, 2]
