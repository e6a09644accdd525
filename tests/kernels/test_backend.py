"""Tests of the choice of implementation: by name, with a reason, never a silent fallback."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.errors import BackendError, ConfigError
from librehps.kernels import backend
from librehps.kernels.backend import choose_attention, choose_kernels

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make only these modules findable."""

    def find(name: str) -> Any:
        return object() if name in names else None

    monkeypatch.setattr(backend, "find_spec", find)


def capability(monkeypatch: pytest.MonkeyPatch, *, major: int, minor: int) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, minor))


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_auto_names_what_runs_and_says_why(device: torch.device) -> None:
    kernels, attention = choose_kernels("auto", device), choose_attention("auto", device)
    assert (kernels.name, attention.name) == ("torch", "sdpa")
    assert device.type in kernels.reason
    assert device.type in attention.reason


def test_a_name_is_taken_at_its_word() -> None:
    assert choose_kernels("torch", CPU).name == "torch"
    assert choose_attention("sdpa", CPU).name == "sdpa"
    assert choose_attention("eager", CPU).name == "eager"


def test_triton_kernels_are_refused_with_what_to_use() -> None:
    with pytest.raises(BackendError, match="torch kernels only; use kernel_impl='auto'") as caught:
        choose_kernels("triton", CUDA)
    assert caught.value.code == "kernel_unavailable"


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
