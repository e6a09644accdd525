"""A whole model through the triton kernels: images to scores, and the gradients of a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from librehps.errors import BackendError
from librehps.inputs.batch import Batch
from librehps.inputs.prompt import PromptTemplate
from librehps.inputs.resize import PixelBudget
from librehps.losses import LogisticNormal
from librehps.model import PreferenceModel
from librehps.modeling.config import Qwen3_5Config
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint, tiny_config, tiny_processor
from librehps.testing.tolerances import TOLERANCES, relative_rms
from librehps.training.objective import pair_scores

# Sequences of 7, 19 and 5 tokens: the chunks of both recurrent layers end within the second.
SIZES = ((64, 64), (96, 64), (32, 64))
PROMPTS = ("a", "a red fox in the snow, at night", "b")


def small_config() -> Qwen3_5Config:
    """A layer of each kind, of as few heads as may show which of them is taken for another."""
    config = tiny_config(layer_types=("linear_attention", "mamba2", "full_attention"))
    assert config.text.mamba2 is not None
    text = replace(
        config.text,
        num_attention_heads=2,
        num_key_value_heads=1,
        linear_num_key_heads=1,
        linear_num_value_heads=2,
        mamba2=replace(config.text.mamba2, num_heads=2, n_groups=1),
    )
    return replace(config, text=text, vision=replace(config.vision, depth=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triton") / "tiny"
    template = PromptTemplate(text="{image}{prompt}{mark}")
    processor = tiny_processor(template=template, budget=PixelBudget(32 * 32, 96 * 64))
    make_tiny_checkpoint(folder, config=small_config(), processor=processor)
    return folder


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


def load(folder: Path, device: torch.device, kernel_impl: str) -> LibreHPS:
    return LibreHPS.from_pretrained(
        folder, device=device, dtype="float32", kernel_impl=kernel_impl, attn_impl="sdpa"
    )


def test_images_of_odd_lengths_in_one_pack_get_the_same_scores(
    folder: Path, images: list[np.ndarray], triton_device: torch.device
) -> None:
    numbers: dict[str, torch.Tensor] = {}
    for name in ("torch", "triton"):
        scorer = load(folder, triton_device, name)
        scores = scorer.score_images(images=images, prompts=list(PROMPTS))
        rows = [[(x.mean, x.sigma) for x in score.axes.values()] for score in scores]
        numbers[name] = torch.tensor(rows).double()
    # The scores differ between sequences: agreement is no accident of a constant.
    assert numbers["torch"].std(dim=0).min() > 1e-3
    limit = TOLERANCES["scores_triton_torch_float32"].limit
    assert relative_rms(numbers["triton"], numbers["torch"]) <= limit


def gradients(model: PreferenceModel, batch: Batch) -> dict[str, torch.Tensor]:
    """Of the loss of a pair: the first sequence was preferred to the second."""
    outputs = model(batch)
    loss = outputs["scalar"].mean.square().sum()
    scores = pair_scores(outputs["multi_axis"])
    target = torch.ones_like(scores.a.mean)
    loss += LogisticNormal()(scores.a, scores.b, target).sum()
    loss.backward()
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in model.named_parameters()
    }


def test_a_step_of_training_has_the_same_gradients(
    folder: Path, images: list[np.ndarray], triton_device: torch.device
) -> None:
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name in ("torch", "triton"):
        scorer = load(folder, triton_device, name)
        samples = [
            scorer.processor.prepare(image, prompt).sample
            for image, prompt in zip(images[1:], PROMPTS[1:], strict=True)
        ]
        found[name] = gradients(scorer.model, Batch.pack(samples).to(device=triton_device))
    limit = TOLERANCES["gradients_triton_torch_float32"].limit
    assert found["triton"].keys() == found["torch"].keys()
    for name, expected in found["torch"].items():
        assert expected.any(), name
        assert relative_rms(found["triton"][name], expected) <= limit, name


def test_the_interpreter_is_not_given_what_it_computes_wrongly(
    folder: Path, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(BackendError, match="wrongly in bfloat16"):
        LibreHPS.from_pretrained(
            folder, device="cpu", dtype="bfloat16", kernel_impl="triton"
        ).score_image(image=images[0], prompt=PROMPTS[0])
