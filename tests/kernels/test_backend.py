"""Tests of the choice of implementation: by name, with a reason, never a silent fallback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from librehps.errors import BackendError, ConfigError
from librehps.kernels import backend
from librehps.kernels.backend import (
    TORCH_OPS,
    TRITON_OPS,
    choose_attention,
    choose_kernels,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make only these modules findable."""

    def find(name: str) -> Any:
        return object() if name in names else None

    monkeypatch.setattr(backend, "find_spec", find)
    monkeypatch.setattr(backend, "_triton_is_installed", backend._triton_is_installed.__wrapped__)


def capability(monkeypatch: pytest.MonkeyPatch, *, major: int, minor: int) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, minor))


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
@pytest.mark.parametrize("op", [None, *TRITON_OPS, *TORCH_OPS])
def test_auto_takes_only_what_has_run_on_such_a_device(
    op: str | None, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    kernels, attention = choose_kernels("auto", device, op=op), choose_attention("auto", device)
    assert (kernels.name, attention.name) == ("torch", "sdpa")
    assert "until they have run on a GPU" in kernels.reason
    assert device.type in attention.reason


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


def test_arguments_that_triton_cannot_take_are_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "triton")
    assert choose_kernels("auto", CUDA, op="rms_norm", unfit="too wide").name == "torch"
    with pytest.raises(BackendError, match="cannot run here: too wide"):
        choose_kernels("triton", CUDA, op="rms_norm", unfit="too wide")


def test_the_ops_with_a_triton_file_are_the_ones_that_are_listed() -> None:
    folders = [path.parent for path in Path(backend.__file__).parent.glob("*/op.py")]
    found = {path.name for path in folders if (path / f"triton_{path.name}.py").is_file()}
    assert found == set(TRITON_OPS)
    assert {path.name for path in folders} == {"attention", *TRITON_OPS, *TORCH_OPS}


def test_a_name_is_taken_at_its_word() -> None:
    assert choose_kernels("torch", CPU).name == "torch"
    assert choose_attention("sdpa", CPU).name == "sdpa"
    assert choose_attention("eager", CPU).name == "eager"


def test_triton_for_a_whole_model_needs_every_op(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "triton")
    with pytest.raises(BackendError) as caught:
        choose_kernels("triton", CUDA)
    assert caught.value.code == "kernel_unavailable"
    caught.match(f"no triton kernel in this release for: {', '.join(TORCH_OPS)}")
    caught.match("Use kernel_impl='auto' or 'torch'")


def test_triton_by_name_says_everything_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BackendError) as caught:
        choose_kernels("triton", CPU, op="gated_delta_rule")
    caught.match("it needs a CUDA device, and the device is cpu")
    caught.match("the package triton is not installed")
    caught.match("no triton kernel in this release for: gated_delta_rule")


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
    ("name", "package", "wanted"),
    [
        ("fa4", "flash-attn-4", r"Blackwell \(sm_100\)"),
        ("fa2", "flash-attn", r"Ampere or newer \(sm_80\)"),
    ],
)
def test_flash_attention_on_a_cpu_says_everything_that_is_missing(
    name: str, package: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch)
    with pytest.raises(BackendError) as caught:
        choose_attention(name, CPU)
    assert caught.value.code == "attention_unavailable"
    caught.match(f"attn_impl='{name}' cannot run here: this release ships sdpa and eager only")
    caught.match(f"the package {package} is not installed")
    caught.match(f"needs a CUDA device, {wanted}, and the device is cpu")
    caught.match("Use attn_impl='auto', 'sdpa' or 'eager'")


@pytest.mark.parametrize(
    ("name", "found", "too_old_or_new"),
    [
        ("fa4", (9, 0), True),
        ("fa4", (10, 0), False),
        ("fa4", (12, 0), True),
        ("fa2", (7, 5), True),
        ("fa2", (8, 0), False),
        ("fa2", (9, 0), False),
    ],
)
def test_flash_attention_on_a_gpu_names_the_capability_only_where_it_is_at_fault(
    name: str, found: tuple[int, int], too_old_or_new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "flash_attn", "flash_attn.cute")
    capability(monkeypatch, major=found[0], minor=found[1])
    with pytest.raises(BackendError) as caught:
        choose_attention(name, CUDA)
    assert "not installed" not in str(caught.value)
    assert ("this device is sm_" in str(caught.value)) == too_old_or_new


def test_flash_attention_2_is_not_taken_for_4(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "flash_attn")
    capability(monkeypatch, major=10, minor=0)
    with pytest.raises(BackendError, match="flash-attn-4 is not installed"):
        choose_attention("fa4", CUDA)
