"""What the doctor finds is what the machine says."""

from __future__ import annotations

from importlib import metadata

import pytest
import torch

from librehps.cli.environment import default_device, device_facts, devices, versions
from librehps.device import bf16_support, choose_dtype

CPU = torch.device("cpu")


def test_versions_are_those_installed() -> None:
    found = versions()
    assert found["torch"] == metadata.version("torch")
    assert found["python"] is not None
    assert found["flash-attn-4"] is None or found["flash-attn-4"][0].isdigit()


def test_the_cpu_is_described() -> None:
    facts = device_facts(CPU)
    assert (facts.device, facts.capability) == ("cpu", None)
    assert facts.bf16 is bf16_support(CPU).native
    assert facts.dtype == str(choose_dtype("auto", CPU)).removeprefix("torch.")
    assert (facts.attention, facts.kernels) == ("sdpa", "torch")
    assert facts.attention_reason
    assert facts.kernels_reason
    assert "GiB" in facts.memory or facts.memory == "not known"


def test_every_device_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        name, major, minor, total_memory = "Pretend 9000", 10, 0, 96 * 2**30

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _=None: (10, 0))
    cpu, first, second = devices()
    assert [cpu.device, first.device, second.device] == ["cpu", "cuda:0", "cuda:1"]
    assert (second.name, second.capability, second.memory) == ("Pretend 9000", "10.0", "96.0 GiB")
    assert (second.bf16, second.dtype) == (True, "bfloat16")
    assert default_device() == "cuda"
