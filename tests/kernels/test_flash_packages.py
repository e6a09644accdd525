"""What the flash attention packages need, and what is said where it is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from types import ModuleType
from typing import Any

import pytest
import torch

from librehps.errors import BackendError
from librehps.kernels import flash_packages
from librehps.kernels.flash_packages import FLASH_PACKAGES

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
FITTING: dict[str, Any] = {"dtype": torch.bfloat16, "widths": (64, 64)}


def takes_everything(
    q: Any, k: Any, v: Any, cu_seqlens_q: Any, cu_seqlens_k: Any, max_seqlen_q: Any = None,
    max_seqlen_k: Any = None, softmax_scale: Any = None, causal: Any = None,
    deterministic: Any = None,
) -> None: ...  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    flash_packages._version.cache_clear()
    flash_packages._load.cache_clear()
    yield
    flash_packages._version.cache_clear()
    flash_packages._load.cache_clear()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the capability of the device and what is installed."""

    def pretend(capability: tuple[int, int], *distributions: str, function: Any = None) -> None:
        def version(distribution: str) -> str:
            if distribution in distributions:
                return "1.2.3"
            raise PackageNotFoundError(distribution)

        monkeypatch.setattr(flash_packages, "version", version)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        for name in ("flash_attn", "flash_attn.cute"):
            module = ModuleType(name)
            vars(module)["flash_attn_varlen_func"] = function
            # None makes the import fail.
            monkeypatch.setitem(sys.modules, name, module if function else None)

    return pretend


@pytest.mark.parametrize("name", ["fa2", "fa4"])
def test_a_package_that_fits_gives_its_function(machine: Callable[..., None], name: str) -> None:
    package = FLASH_PACKAGES[name]
    machine((9, 0), package.distribution, function=takes_everything)
    assert package.missing(CUDA, **FITTING) == []
    assert package.function(CUDA, **FITTING) is takes_everything


@pytest.mark.parametrize(
    ("name", "capability", "fits"),
    [
        ("fa4", (8, 9), False),
        ("fa4", (9, 0), True),
        ("fa4", (10, 0), True),
        ("fa4", (10, 3), True),
        ("fa4", (12, 0), False),
        ("fa2", (7, 5), False),
        ("fa2", (8, 0), True),
        ("fa2", (12, 0), True),
    ],
)
def test_the_device_is_named_where_it_is_at_fault(
    machine: Callable[..., None], name: str, capability: tuple[int, int], fits: bool
) -> None:
    package = FLASH_PACKAGES[name]
    machine(capability, package.distribution, function=takes_everything)
    found = package.missing(CUDA)
    assert (found == []) is fits
    if not fits:
        assert found[0].endswith(f"this one is sm_{capability[0]}{capability[1]}")


def test_the_older_package_is_not_taken_for_the_newer(machine: Callable[..., None]) -> None:
    machine((10, 0), "flash-attn", function=takes_everything)
    assert FLASH_PACKAGES["fa4"].absent() == "the package flash-attn-4 is not installed"
    assert FLASH_PACKAGES["fa2"].absent() is None


def test_a_package_that_does_not_import_is_not_there(machine: Callable[..., None]) -> None:
    machine((9, 0), "flash-attn")
    (found,) = FLASH_PACKAGES["fa2"].missing(CUDA, **FITTING)
    assert found.startswith("the package flash-attn cannot be imported (ModuleNotFoundError: ")
    with pytest.raises(BackendError, match="attn_impl='fa2' cannot run here: the package") as error:
        FLASH_PACKAGES["fa2"].function(CUDA, **FITTING)
    assert error.value.code == "attention_unavailable"


def test_another_signature_is_found_before_it_is_called(machine: Callable[..., None]) -> None:
    def older(q: Any, k: Any, v: Any, cu_seqlens_q: Any, cu_seqlens_k: Any, causal: Any) -> None:
        pytest.fail("called")

    machine((9, 0), "flash-attn-4", function=older)
    (found,) = FLASH_PACKAGES["fa4"].missing(CUDA, **FITTING)
    assert found == (
        "flash-attn-4 1.2.3 has no argument softmax_scale, deterministic; this release is written "
        "for 4.0.0b36"
    )


def test_nothing_is_imported_for_tensors_that_do_not_fit(machine: Callable[..., None]) -> None:
    machine((9, 0), "flash-attn", "flash-attn-4")
    for package in FLASH_PACKAGES.values():
        assert "cannot be imported" not in " ".join(package.missing(CPU, **FITTING))
        assert "cannot be imported" not in " ".join(package.missing(CUDA, dtype=torch.float32))
