from __future__ import annotations

import copy
import pickle

import pytest

from librehps.errors import (
    BackendError,
    CheckpointError,
    ConfigError,
    InputError,
    LibreHPSError,
)


def test_the_item_leads_the_message() -> None:
    error = InputError("the file ends early", code="image_truncated", item="cat.png")
    assert str(error) == "cat.png: the file ends early"
    assert error.to_dict() == {
        "code": "image_truncated",
        "item": "cat.png",
        "message": "the file ends early",
    }


def test_at_keeps_the_inner_name() -> None:
    bare = InputError("is empty", code="image_empty")
    assert str(bare) == "is empty"
    assert bare.at("images[3]") is bare
    assert str(bare) == "images[3]: is empty"
    assert str(bare.at("row 7")) == "row 7 (images[3]): is empty"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (InputError, ValueError),
        (ConfigError, ValueError),
        (CheckpointError, Exception),
        (BackendError, RuntimeError),
    ],
)
def test_each_kind_can_be_caught_as_ours_and_as_python_s(
    kind: type[LibreHPSError], builtin: type[Exception]
) -> None:
    assert issubclass(kind, LibreHPSError)
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("kind", [InputError, ConfigError, CheckpointError, BackendError])
def test_an_error_survives_the_way_between_processes(kind: type[LibreHPSError]) -> None:
    error = kind("the file ends early", code="image_truncated", item="cat.png").at("images[3]")
    error.add_note("seen by worker 2")
    for restored in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(restored) is kind
        assert str(restored) == str(error)
        assert restored.to_dict() == error.to_dict()
        assert restored.__notes__ == ["seen by worker 2"]
