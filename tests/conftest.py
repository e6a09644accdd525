"""Shapes and types are checked at run time in the tests, and only there."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

# Threads that spin while they wait make tiny models a hundred times slower on a busy machine. Read
# once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

# Without a GPU the triton kernels run in triton's interpreter. Read once, when triton is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# How long an example takes says how busy the machine is.
settings.register_profile("librehps", deadline=None)
settings.load_profile("librehps")

# Its wheels are for Linux. There it comes with the test extra, and its absence is an error.
collect_ignore_glob = [] if sys.platform == "linux" else ["**/test_triton_*.py"]

if os.environ.get("JAXTYPING_DISABLE", "0") != "1":
    from jaxtyping import install_import_hook

    install_import_hook("librehps", "beartype.beartype")


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> None:
    """Keep tests comparable between machines: two cores, like the machine that CI runs on.

    Where several processes share the tests, each has a core of its own.
    """
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture(scope="session")
def triton_device() -> torch.device:
    """Where triton kernels run here: a GPU, or the CPU in triton's interpreter."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


# The interpreter computes wrongly in bfloat16, so that only a GPU can show anything about it.
@pytest.fixture(
    scope="session",
    params=[torch.float64, torch.float32, torch.float16]
    + [torch.bfloat16] * torch.cuda.is_available(),
    ids=str,
)
def kernel_dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """Every dtype in which triton kernels can be judged here."""
    return request.param
