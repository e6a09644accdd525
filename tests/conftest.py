"""Shapes and types are checked at run time in the tests, and only there."""

from __future__ import annotations

import os

import pytest

# Threads that spin while they wait make tiny models a hundred times slower on a busy machine. Read
# once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if os.environ.get("JAXTYPING_DISABLE", "0") != "1":
    from jaxtyping import install_import_hook

    install_import_hook("librehps", "beartype.beartype")


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> None:
    """Keep tests comparable between machines: two threads, like the machine that CI runs on."""
    import torch

    torch.set_num_threads(2)
