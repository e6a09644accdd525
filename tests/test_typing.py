from __future__ import annotations

import subprocess
import sys

STAND_INS = """
import sys
sys.modules["jaxtyping"] = None  # as if it were not installed
from librehps.typing import Bool, Float, Int, Tensor
assert Float[Tensor, "T D"] is Tensor
assert Int[Tensor, "T"] is Tensor and Bool[Tensor, "T"] is Tensor
"""


def test_shapes_need_no_extra_package_in_use() -> None:
    subprocess.run([sys.executable, "-c", STAND_INS], check=True)


def test_shapes_are_checked_in_the_tests() -> None:
    import jaxtyping
    import torch

    from librehps.typing import Float, Tensor

    assert Float is jaxtyping.Float
    assert isinstance(torch.zeros(2, 3), Float[Tensor, "T D"])
    assert not isinstance(torch.zeros(2), Float[Tensor, "T D"])
