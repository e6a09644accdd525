"""Devices and number formats: what "auto" chooses, here and on machines described in text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from librehps.device import bf16_support, choose_device, choose_dtype, cpu_flags
from librehps.errors import BackendError, ConfigError

CPU = torch.device("cpu")
GENOA = "processor : 0\nflags\t\t: fpu sse2 avx2 avx512f avx512_bf16 avx512vbmi\nbugs : x\n"
SKYLAKE = "processor : 0\nflags\t\t: fpu sse2 avx2 avx512f avx512dq avx512bw avx512vl\n"
SAPPHIRE = "processor : 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile\n"
GRAVITON2 = "processor : 0\nFeatures\t: fp asimd evtstrm aes asimdhp asimddp\n"
GRAVITON3 = "processor : 0\nFeatures\t: fp asimd sve svebf16 i8mm bf16\n"


@pytest.mark.parametrize(
    ("cpuinfo", "native", "named"),
    [
        (GENOA, True, "avx512_bf16"),
        (SAPPHIRE, True, "amx_bf16, avx512_bf16"),
        (GRAVITON3, True, "bf16"),
        (SKYLAKE, False, "none of"),
        (GRAVITON2, False, "none of"),
        # A machine whose second core lacks it, and a file that says nothing.
        (GENOA + SKYLAKE, False, "none of"),
        ("", False, "none of"),
    ],
    ids=["genoa", "sapphire-rapids", "graviton3", "skylake", "graviton2", "mixed", "empty"],
)
def test_bf16_on_a_cpu_needs_the_instructions(cpuinfo: str, native: bool, named: str) -> None:
    support = bf16_support(CPU, read_cpuinfo=lambda: cpuinfo)
    assert support.native is native
    assert named in support.reason


def test_a_system_that_does_not_list_its_instructions_gets_float32() -> None:
    def refuse() -> str:
        raise FileNotFoundError

    assert bf16_support(CPU, read_cpuinfo=refuse).native is False


def test_a_torch_without_onednn_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert bf16_support(CPU, read_cpuinfo=lambda: GENOA).native is False


def test_flags_are_whole_words() -> None:
    assert "bf16" not in cpu_flags("flags : avx512_bf16 svebf16")


def test_auto_on_this_cpu_agrees_with_its_own_description() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    expected = torch.bfloat16 if words & {"avx512_bf16", "amx_bf16", "bf16"} else torch.float32
    assert choose_dtype("auto", CPU) == expected


@pytest.mark.parametrize(
    ("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True), ((12, 0), True)]
)
def test_bf16_on_cuda_is_native_from_ampere(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], native: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert bf16_support(torch.device("cuda")).native is native


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("float32", torch.float32),
        ("bf16", torch.bfloat16),
        ("fp16", torch.float16),
        (torch.float64, torch.float64),
    ],
)
def test_a_named_dtype_is_taken(requested: str | torch.dtype, expected: torch.dtype) -> None:
    assert choose_dtype(requested, CPU) == expected


@pytest.mark.parametrize("requested", ["int8", "half", torch.int64, torch.float8_e4m3fn])
def test_other_dtypes_are_refused(requested: str | torch.dtype) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_dtype(requested, CPU)
    assert caught.value.code == "dtype_unknown"


def test_auto_device_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


def test_a_device_that_is_not_here_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(BackendError, match="1 CUDA devices") as caught:
        choose_device("cuda:1")
    assert caught.value.code == "device_unavailable"


def test_a_word_that_is_no_device_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        choose_device("gpu0")
    assert caught.value.code == "device_unknown"


@pytest.mark.parametrize("name", ["meta", "hpu"])
def test_a_device_that_cannot_compute_here_is_an_error(name: str) -> None:
    with pytest.raises(BackendError, match=name) as caught:
        choose_device(name)
    assert caught.value.code == "device_unavailable"
