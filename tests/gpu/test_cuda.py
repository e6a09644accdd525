"""What the CPU tests show, once more on a CUDA device: `make gpu` runs these.

Tolerances are the ones of the CPU. bfloat16 is held to the table's own entry for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from librehps import LibreHPS
from librehps.errors import InputError
from librehps.kernels.attention import attention
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.selective_scan import selective_scan
from librehps.testing.agreement import results_and_gradients
from librehps.testing.tiny import make_tiny_checkpoint
from librehps.testing.tolerances import relative_rms

# Without the flash attention packages auto says so, which is no fault here.
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:attn_impl='auto' runs:UserWarning"),
]

LENGTHS = [1, 2, 63, 64, 65, 127]
TOTAL = sum(LENGTHS)


@pytest.fixture(scope="module")
def cu_seqlens() -> torch.Tensor:
    return torch.tensor([0, *LENGTHS]).cumsum(0).to(torch.int32)


@pytest.fixture(autouse=True)
def exact_float32() -> Iterator[None]:
    """Keep float32 products in float32: TF32 would hide real errors behind its own."""
    # Not by monkeypatch, which would delete what is no attribute of the object's own.
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def test_boundaries_that_do_not_rise_are_refused_before_a_launch() -> None:
    x = torch.zeros(5, 8, device="cuda")
    for values in ([0, 3, 2, 5], [0, 6], [1, 5]):
        with pytest.raises(InputError, match="rise strictly") as caught:
            causal_conv1d(
                x, torch.zeros(8, 4, device="cuda"), cu_seqlens=torch.tensor(values).cuda()
            )
        assert caught.value.item == "cu_seqlens"


def demand_equal_on_both(
    op: Callable[..., Any], tensors: dict[str, torch.Tensor], bounds: torch.Tensor, **options: Any
) -> None:
    """Results and every gradient on the CPU and on the GPU."""
    expected = results_and_gradients(op, tensors, cu_seqlens=bounds, **options)
    there = {name: tensor.cuda() for name, tensor in tensors.items()}
    actual = results_and_gradients(op, there, cu_seqlens=bounds.cuda(), **options)
    assert set(actual) == {"y0", "y1", *tensors}
    for name, value in expected.items():
        assert relative_rms(actual[name], value) < 1e-5, name


def test_gated_delta_rule_and_its_gradients(cu_seqlens: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"q": (TOTAL, 2, 128), "k": (TOTAL, 2, 128), "v": (TOTAL, 4, 128)}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    tensors["g"] = -torch.rand(TOTAL, 4, generator=generator)
    tensors["beta"] = torch.rand(TOTAL, 4, generator=generator)
    demand_equal_on_both(gated_delta_rule, tensors, cu_seqlens)


def test_selective_scan_and_its_gradients(cu_seqlens: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "x": (TOTAL, 4, 64),
        "dt": (TOTAL, 4),
        "A": (4,),
        "B": (TOTAL, 2, 128),
        "C": (TOTAL, 2, 128),
        "D": (4,),
        "z": (TOTAL, 4, 64),
        "dt_bias": (4,),
        "initial_state": (len(LENGTHS), 4, 128, 64),
    }
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    tensors["A"] = -tensors["A"].exp()
    demand_equal_on_both(selective_scan, tensors, cu_seqlens, dt_softplus=True)


def test_the_kernels_of_the_selective_scan_with_more_programs_than_a_gpu_has_places() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"x": (4096, 16, 64), "dt": (4096, 16), "A": (16,)}
    shapes |= {"B": (4096, 1, 128), "C": (4096, 1, 128), "z": (4096, 16, 64)}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    tensors["A"] = -tensors["A"].exp()
    tensors = {name: tensor.cuda() for name, tensor in tensors.items()}
    bounds = torch.tensor([0, 1000, 1037, 2500, 4096], dtype=torch.int32, device="cuda")
    options: dict[str, Any] = {"cu_seqlens": bounds, "dt_softplus": True}
    first, second = (
        results_and_gradients(selective_scan, tensors, impl="triton", **options) for _ in range(2)
    )
    expected = results_and_gradients(selective_scan, tensors, impl="torch", **options)
    for name, value in expected.items():
        assert torch.equal(first[name], second[name]), name
        assert relative_rms(first[name], value) < 1e-5, name


def test_convolution_and_attention(cu_seqlens: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(1)
    x, weight = torch.randn(TOTAL, 96, generator=generator), torch.randn(96, 4, generator=generator)
    expected, _ = causal_conv1d(x, weight, cu_seqlens=cu_seqlens, activation="silu")
    actual, _ = causal_conv1d(
        x.cuda(), weight.cuda(), cu_seqlens=cu_seqlens.cuda(), activation="silu"
    )
    assert relative_rms(actual.cpu(), expected) < 1e-5

    q, k = (
        torch.randn(TOTAL, 4, 64, generator=generator),
        torch.randn(TOTAL, 2, 64, generator=generator),
    )
    v = torch.randn(TOTAL, 2, 64, generator=generator)
    results = {
        device: attention(
            *(t.to(device) for t in (q, k, v)),
            cu_seqlens_q=cu_seqlens.to(device),
            cu_seqlens_k=cu_seqlens.to(device),
            causal=True,
            scale=0.125,
        ).cpu()
        for device in ("cpu", "cuda")
    }
    assert relative_rms(results["cuda"], results["cpu"]) < 1e-5


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu") / "tiny"
    make_tiny_checkpoint(folder)
    return folder


def test_scores_agree_with_the_cpu(checkpoint: Path) -> None:
    generator = torch.Generator().manual_seed(2)
    images = [torch.rand(3, 96, 64 + 32 * i, generator=generator) for i in range(5)]
    prompts = [f"picture number {i}" for i in range(5)]

    def means(device: str, dtype: str, *, deterministic: bool = False) -> torch.Tensor:
        scorer = LibreHPS.from_pretrained(
            checkpoint, device=device, dtype=dtype, deterministic=deterministic
        )
        scores = scorer.score_images(images=images, prompts=prompts)
        return torch.tensor([score.overall.mean for score in scores])

    expected = means("cpu", "float32")
    assert relative_rms(means("cuda", "float32"), expected) < 1e-5
    assert relative_rms(means("cuda", "bfloat16"), expected) < 5e-2
    first = means("cuda", "bfloat16", deterministic=True)
    assert torch.equal(first, means("cuda", "bfloat16", deterministic=True))
