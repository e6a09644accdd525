"""Tests of the choice of implementation: by name, with a reason, never a silent fallback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from librehps.errors import BackendError, ConfigError
from librehps.kernels import backend, flash_packages
from librehps.kernels.backend import (
    TRITON_OPS,
    choose_attention,
    choose_kernels,
    warn_of_fallback,
)
from librehps.kernels.flash_packages import FLASH_PACKAGES

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make only these modules findable."""

    def find(name: str) -> Any:
        return object() if name in names else None

    monkeypatch.setattr(backend, "find_spec", find)
    monkeypatch.setattr(backend, "_triton_is_installed", backend._triton_is_installed.__wrapped__)


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the capability of CUDA devices and the packages that load."""

    def pretend(capability: tuple[int, int], *packages: str) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        found = {FLASH_PACKAGES[name].distribution: "1.0" for name in packages}
        monkeypatch.setattr(flash_packages, "_version", found.get)
        monkeypatch.setattr(flash_packages, "_load", lambda package: len)

    backend._warn.cache_clear()
    return pretend


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
@pytest.mark.parametrize("op", [None, *TRITON_OPS])
def test_auto_takes_only_kernels_that_have_run_on_such_a_device(
    op: str | None, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    kernels = choose_kernels("auto", device, op=op)
    assert kernels.name == "torch"
    assert "until they have run on a GPU" in kernels.reason


@pytest.mark.parametrize("op", TRITON_OPS)
def test_triton_by_name_runs_on_cuda_and_in_the_interpreter(
    op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert choose_kernels("triton", CUDA, op=op).name == "triton"
    with pytest.raises(BackendError, match="needs a CUDA device, and the device is cpu"):
        choose_kernels("triton", CPU, op=op)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert choose_kernels("triton", CPU, op=op).name == "triton"


def test_the_interpreter_is_given_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    for device in (CPU, CUDA):
        with pytest.raises(BackendError, match="computes wrongly in bfloat16"):
            choose_kernels("triton", device, dtype=torch.bfloat16)
        assert choose_kernels("triton", device, dtype=torch.float16).name == "triton"
        assert choose_kernels("auto", device, dtype=torch.bfloat16).name == "torch"
    monkeypatch.delenv("TRITON_INTERPRET")
    assert choose_kernels("triton", CUDA, dtype=torch.bfloat16).name == "triton"


def test_arguments_that_triton_cannot_take_are_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "triton")
    assert choose_kernels("auto", CUDA, op="rms_norm", unfit="too wide").name == "torch"
    with pytest.raises(BackendError, match="cannot run here: too wide"):
        choose_kernels("triton", CUDA, op="rms_norm", unfit="too wide")


def test_the_ops_with_a_triton_file_are_the_ones_that_are_listed() -> None:
    folders = [path.parent for path in Path(backend.__file__).parent.glob("*/op.py")]
    found = {path.name for path in folders if (path / f"triton_{path.name}.py").is_file()}
    assert found == set(TRITON_OPS)
    assert {path.name for path in folders} == {"attention", *TRITON_OPS}


def test_a_name_is_taken_at_its_word() -> None:
    assert choose_kernels("torch", CPU).name == "torch"
    assert choose_attention("sdpa", CPU).name == "sdpa"
    assert choose_attention("eager", CPU).name == "eager"


def test_triton_for_a_whole_model_is_triton_for_every_op(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "triton")
    assert choose_kernels("triton", CUDA).name == "triton"
    with pytest.raises(BackendError, match="no triton kernel in this release for: fft") as caught:
        choose_kernels("triton", CUDA, op="fft")
    assert caught.value.code == "kernel_unavailable"
    caught.match("Use kernel_impl='auto' or 'torch'")


def test_triton_by_name_says_everything_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BackendError) as caught:
        choose_kernels("triton", CPU, op="attention")
    caught.match("it needs a CUDA device, and the device is cpu")
    caught.match("the package triton is not installed")
    caught.match("no triton kernel in this release for: attention")


@pytest.mark.parametrize("name", ["", "Torch", "fla", "sdpa"])
def test_an_unknown_kernel_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name!r}; known: auto, triton, torch") as caught:
        choose_kernels(name, CPU)
    assert caught.value.code == "kernel_unknown"


@pytest.mark.parametrize("name", ["", "SDPA", "flash_attention_2", "torch", "fa3"])
def test_an_unknown_attention_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name!r}; known: auto, fa4, fa2, sdpa") as caught:
        choose_attention(name, CPU)
    assert caught.value.code == "attention_unknown"


@pytest.mark.parametrize(
    ("capability", "packages", "expected", "is_fallback"),
    [
        ((10, 0), ("fa4", "fa2"), "fa4", False),
        ((10, 3), ("fa2",), "fa2", True),
        ((10, 0), (), "sdpa", True),
        ((9, 0), ("fa4",), "fa4", False),
        ((9, 0), ("fa2",), "fa2", True),
        ((8, 6), ("fa4", "fa2"), "fa2", False),
        ((8, 0), ("fa4",), "sdpa", True),
        ((12, 0), ("fa4", "fa2"), "fa2", False),
        ((7, 5), ("fa4", "fa2"), "sdpa", False),
    ],
)
def test_auto_takes_the_fastest_attention_that_is_here(
    flash: Callable[..., None],
    capability: tuple[int, int],
    packages: tuple[str, ...],
    expected: str,
    is_fallback: bool,
) -> None:
    flash(capability, *packages)
    choice = choose_attention("auto", CUDA, dtype=torch.bfloat16, widths=(256, 256))
    assert (choice.name, choice.is_fallback) == (expected, is_fallback)
    assert f"on sm_{capability[0]}{capability[1]}" in choice.reason
    assert ("is not installed" in choice.reason) == is_fallback


def test_auto_on_a_cpu_is_sdpa_and_asks_for_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_packages, "_version", pytest.fail)
    choice = choose_attention("auto", CPU, dtype=torch.bfloat16)
    assert (choice.name, choice.is_fallback) == ("sdpa", False)
    assert "cpu" in choice.reason


def test_tensors_that_no_package_takes_are_no_fallback(flash: Callable[..., None]) -> None:
    flash((9, 0))
    wide = choose_attention("auto", CUDA, dtype=torch.bfloat16, widths=(512, 512))
    exact = choose_attention("auto", CUDA, dtype=torch.float32)
    for choice in (wide, exact):
        assert (choice.name, choice.is_fallback) == ("sdpa", False)
    assert "keys have 512" in wide.reason
    assert "not float32" in exact.reason


def test_a_fallback_is_said_once_for_each_reason(
    flash: Callable[..., None], recwarn: pytest.WarningsRecorder
) -> None:
    warn_of_fallback(choose_attention("sdpa", CUDA))
    flash((9, 0), "fa4")
    warn_of_fallback(choose_attention("auto", CUDA))
    assert len(recwarn) == 0
    for packages in ((), ("fa2",)):
        flash((9, 0), *packages)
        for _ in range(3):
            warn_of_fallback(choose_attention("auto", CUDA))
    first, second = (str(warning.message) for warning in recwarn)
    assert first.startswith("attn_impl='auto' runs sdpa: not fa4: the package flash-attn-4 is not")
    assert second.startswith("attn_impl='auto' runs fa2: not fa4: the package flash-attn-4 is not")
    assert "\n" not in first


@pytest.mark.parametrize("name", ["fa4", "fa2"])
def test_flash_attention_by_name_runs_or_says_everything_that_is_missing(
    flash: Callable[..., None], name: str
) -> None:
    flash((9, 0), name)
    assert choose_attention(name, CUDA, dtype=torch.float16) == backend.Choice(
        name, "asked for by name"
    )
    flash((9, 0))
    with pytest.raises(BackendError) as caught:
        choose_attention(name, CPU, dtype=torch.float32)
    assert caught.value.code == "attention_unavailable"
    caught.match(f"attn_impl='{name}' cannot run here: it needs a CUDA device")
    caught.match("the device is cpu")
    caught.match("not float32")
    caught.match(f"the package {FLASH_PACKAGES[name].distribution} is not installed")
    caught.match("Use attn_impl='auto', 'sdpa' or 'eager'")
