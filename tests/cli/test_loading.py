"""Loading for a verb: what must be known about a model is said once, on stderr."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from librehps.cli.loading import load_scorer
from librehps.cli.options import ModelOptions
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint


def load(folder: Path) -> LibreHPS:
    return load_scorer(
        ModelOptions(
            model=str(folder),
            device="cpu",
            dtype="float32",
            attn_impl="sdpa",
            kernel_impl="torch",
            local_files_only=True,
            deterministic=True,
        )
    )


@pytest.mark.parametrize("trained", [True, False])
def test_an_untrained_model_is_called_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: bool
) -> None:
    make_tiny_checkpoint(tmp_path / "model", trained=trained)
    scorer = load(tmp_path / "model")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("untrained" in captured.err) is not trained
    assert (scorer.trained, scorer.deterministic) == (trained, True)


def test_warnings_of_the_loader_become_notes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiny_checkpoint(tmp_path / "model")
    original = LibreHPS.from_pretrained.__func__  # the function under the classmethod

    def warning(cls: type[LibreHPS], *args: object, **options: object) -> LibreHPS:
        warnings.warn("the heads were guessed from their shapes", stacklevel=1)
        return original(cls, *args, **options)

    monkeypatch.setattr(LibreHPS, "from_pretrained", classmethod(warning))
    load(tmp_path / "model")
    assert "librehps: warning: the heads were guessed" in capsys.readouterr().err
