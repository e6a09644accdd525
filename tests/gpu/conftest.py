"""Where the GPU lane runs: on a GPU, or on the CPU when the lane itself is rehearsed."""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture(scope="session")
def lane_device() -> torch.device:
    """Set by scripts/gpu_lane.sh."""
    return torch.device(os.environ.get("GPU_LANE_DEVICE", "cuda"))
