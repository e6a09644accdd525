"""Photographs to scores through a tiny checkpoint: order, errors, packing, pairs, backbones."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from librehps.errors import BackendError, CheckpointError, ConfigError, InputError
from librehps.heads import MultiAxisHead
from librehps.model import PreferenceModel
from librehps.results import AxisScore, Score
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint
from librehps.testing.tolerances import TOLERANCES, relative_rms

PROMPT = "an astronaut in an orange suit, smiling"
AXES = ("overall", "alignment", "coherence", "style")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    make_tiny_checkpoint(folder)
    return folder


@pytest.fixture(scope="module")
def scorer(folder: Path) -> LibreHPS:
    return LibreHPS.from_pretrained(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """Real photographs of different shapes."""
    cat, astronaut, coffee = skimage.data.cat(), skimage.data.astronaut(), skimage.data.coffee()
    return [cat, astronaut, coffee, cat[:40, :300], coffee[:, :90], astronaut[::3, ::2]]


def numbers(scores: list[Score]) -> torch.Tensor:
    rows = [[score.axis(name) for name in AXES] for score in scores]
    return torch.tensor([[(x.mean, x.sigma or 0.0) for x in row] for row in rows]).double()


def test_one_image_gets_a_score_on_every_axis(scorer: LibreHPS, photographs: list) -> None:
    score = scorer.score_image(image=photographs[0], prompt=PROMPT)
    assert tuple(score.axes) == AXES
    assert score.temporal is None
    assert all(axis.sigma is not None and axis.sigma > 0 for axis in score.axes.values())
    assert score.trained is True


def test_the_score_depends_on_the_image_and_on_the_prompt(
    scorer: LibreHPS, photographs: list
) -> None:
    first = scorer.score_image(image=photographs[0], prompt=PROMPT)
    other_image = scorer.score_image(image=photographs[1], prompt=PROMPT)
    other_prompt = scorer.score_image(image=photographs[0], prompt="a cup of coffee")
    assert len({score.axis("overall").mean for score in (first, other_image, other_prompt)}) == 3


def test_every_kind_of_source_gives_the_same_score(scorer: LibreHPS, tmp_path: Path) -> None:
    pixels = skimage.data.cat()
    path = tmp_path / "cat.png"
    Image.fromarray(pixels).save(path)
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    sources = [str(path), path, path.read_bytes(), Image.fromarray(pixels), pixels, tensor]
    scores = scorer.score_images(images=[*sources, tensor / 255], prompts=PROMPT)
    alone = scorer.score_image(image=path, prompt=PROMPT)
    expected = numbers([alone] * len(scores))
    limit = TOLERANCES["packed_alone_float32"].limit
    assert relative_rms(numbers(scores), expected) <= limit


def test_a_batch_tensor_is_a_list_of_images(scorer: LibreHPS) -> None:
    images = torch.rand(3, 3, 50, 70, generator=torch.Generator().manual_seed(0))
    together = scorer.score_images(images=images, prompts=["a", "b", "c"])
    alone = [
        scorer.score_image(image=image, prompt=prompt)
        for image, prompt in zip(images, "abc", strict=True)
    ]
    limit = TOLERANCES["packed_alone_float32"].limit
    assert relative_rms(numbers(together), numbers(alone)) <= limit


@pytest.mark.parametrize("max_batch_tokens", [1, 100, 8192])
def test_order_is_kept_and_packing_changes_nothing(
    scorer: LibreHPS, photographs: list, max_batch_tokens: int
) -> None:
    prompts = [f"{PROMPT}, version {index}" for index in range(len(photographs))]
    together = scorer.score_images(
        images=photographs, prompts=prompts, max_batch_tokens=max_batch_tokens
    )
    alone = [
        scorer.score_image(image=image, prompt=prompt)
        for image, prompt in zip(photographs, prompts, strict=True)
    ]
    limit = TOLERANCES["packed_alone_float32"].limit
    assert relative_rms(numbers(together), numbers(alone)) <= limit


def test_batches_stay_within_the_budget_of_tokens(
    scorer: LibreHPS, photographs: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    forward = scorer.model.forward

    def recorded(batch: Any, *, deterministic: bool = False) -> Any:
        sizes.append((batch.num_sequences, batch.num_tokens))
        return forward(batch, deterministic=deterministic)

    monkeypatch.setattr(scorer.model, "forward", recorded)
    scorer.score_images(images=photographs, prompts=PROMPT, max_batch_tokens=10_000)
    [(count, tokens)] = sizes
    assert count == len(photographs)
    sizes.clear()
    budget = tokens // 2
    scorer.score_images(images=photographs, prompts=PROMPT, max_batch_tokens=budget)
    assert len(sizes) > 1
    assert sum(count for count, _ in sizes) == len(photographs)
    assert all(tokens <= budget for _, tokens in sizes)
    sizes.clear()
    scorer.score_images(images=photographs, prompts=PROMPT, max_batch_tokens=1)
    assert [count for count, _ in sizes] == [1] * len(photographs)


def test_images_are_prepared_batch_by_batch(
    scorer: LibreHPS, photographs: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    prepare, forward = scorer.processor.prepare, scorer.model.forward

    def preparing(image: Any, prompt: str) -> Any:
        order.append("prepare")
        return prepare(image, prompt)

    def computing(batch: Any, *, deterministic: bool = False) -> Any:
        order.append("compute")
        return forward(batch, deterministic=deterministic)

    monkeypatch.setattr(scorer.processor, "prepare", preparing)
    monkeypatch.setattr(scorer.model, "forward", computing)
    scorer.score_images(images=photographs, prompts=PROMPT, max_batch_tokens=1)
    # One image is looked at ahead, to see whether it still fits.
    ahead = [
        order[:place].count("prepare") for place, what in enumerate(order) if what == "compute"
    ]
    assert ahead == [2, 3, 4, 5, 6, 6]


def test_deterministic_scores_are_equal_to_the_last_bit_in_any_company(
    folder: Path, photographs: list
) -> None:
    scorer = LibreHPS.from_pretrained(folder, device="cpu", dtype="float32", deterministic=True)
    items = [(image, f"version {index}") for index, image in enumerate(photographs)]
    alone = {
        prompt: scorer.score_image(image=image, prompt=prompt).to_dict() for image, prompt in items
    }
    random.Random(3).shuffle(items)
    together = scorer.score_images(
        images=[image for image, _ in items], prompts=[prompt for _, prompt in items]
    )
    assert [score.to_dict() for score in together] == [alone[prompt] for _, prompt in items]


def test_nothing_in_gives_nothing_out(scorer: LibreHPS) -> None:
    assert scorer.score_images(images=[], prompts=PROMPT) == []
    assert len(scorer.rank_images(images=[], prompt=PROMPT)) == 0


def test_a_bad_item_is_raised_by_name(scorer: LibreHPS, photographs: list, tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    with pytest.raises(InputError, match=r"^images\[1\]") as caught:
        scorer.score_images(images=[photographs[0], missing, photographs[1]], prompts=PROMPT)
    assert caught.value.code == "image_missing"


def test_a_bad_item_is_returned_in_its_place(scorer: LibreHPS, photographs: list) -> None:
    images = [photographs[0], b"no picture", photographs[1], torch.full((3, 40, 40), 7.0)]
    prompts = [PROMPT, PROMPT, "   ", PROMPT]
    found = scorer.score_images(images=images, prompts=prompts, on_error="return")
    assert isinstance(found[0], Score)
    errors = [error for error in found[1:] if isinstance(error, InputError)]
    assert [(error.item, error.code) for error in errors] == [
        ("images[1]", "image_unrecognized"),
        ("prompts[2]", "prompt_empty"),
        ("images[3]", "tensor_range"),
    ]
    good = scorer.score_image(image=photographs[0], prompt=PROMPT)
    assert relative_rms(numbers([found[0]]), numbers([good])) <= 1e-5


def test_the_first_bad_item_stops_before_anything_is_computed(
    scorer: LibreHPS, photographs: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("computed although an item of the batch is bad")

    monkeypatch.setattr(scorer.model, "forward", refuse)
    with pytest.raises(InputError, match=r"images\[1\]"):
        scorer.score_images(images=[photographs[0], b"", b""], prompts=PROMPT)


def test_a_bad_prompt_for_all_is_named_once(scorer: LibreHPS, photographs: list) -> None:
    with pytest.raises(InputError, match=r"^prompts: "):
        scorer.score_images(images=photographs[:2], prompts="")
    with pytest.raises(InputError, match=r"^prompt: "):
        scorer.compare_images(image_a=photographs[0], image_b=photographs[1], prompt="")


def test_a_score_that_is_not_finite_is_an_error_of_its_item(
    scorer: LibreHPS, photographs: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = scorer.model.forward

    def poisoned(batch: Any, *, deterministic: bool = False) -> Any:
        outputs = forward(batch, deterministic=deterministic)
        outputs["multi_axis"].mean[1, 2] = float("nan")
        return outputs

    monkeypatch.setattr(scorer.model, "forward", poisoned)
    found = scorer.score_images(images=photographs[:3], prompts=PROMPT, on_error="return")
    assert [isinstance(score, Score) for score in found] == [True, False, True]
    assert isinstance(found[1], InputError)
    assert (found[1].code, found[1].item) == ("score_not_finite", "images[1]")
    with pytest.raises(InputError, match=r"images\[1\]: on coherence, the mean came out as nan"):
        scorer.score_images(images=photographs[:3], prompts=PROMPT)


def test_lists_must_match(scorer: LibreHPS, photographs: list) -> None:
    with pytest.raises(InputError) as caught:
        scorer.score_images(images=photographs, prompts=["one", "two"])
    assert caught.value.code == "length_mismatch"


def test_arguments_go_by_name(scorer: LibreHPS) -> None:
    for call in (scorer.score_image, scorer.score_images, scorer.rank_images):
        with pytest.raises(TypeError, match="positional"):
            call("a cat", ["cat.png"])  # the order that other libraries take
    with pytest.raises(TypeError, match="positional"):
        scorer.compare_images("a.png", "b.png", "a cat")


def test_on_error_is_one_of_two_words(scorer: LibreHPS) -> None:
    with pytest.raises(ConfigError) as caught:
        scorer.score_images(images=[], prompts="", on_error="skip")
    assert caught.value.code == "on_error_unknown"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_batch_holds_at_least_one_token(scorer: LibreHPS, limit: int) -> None:
    with pytest.raises(ConfigError) as caught:
        scorer.score_images(images=[], prompts=PROMPT, max_batch_tokens=limit)
    assert caught.value.code == "max_batch_tokens"


def test_notes_reach_the_score(scorer: LibreHPS, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (60, 60), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    score = scorer.score_image(image=tmp_path / "a.gif", prompt=PROMPT)
    assert any("3 frames" in note for note in score.notes)


def test_progress_goes_to_stderr_only(
    scorer: LibreHPS, photographs: list, capfd: pytest.CaptureFixture[str]
) -> None:
    scorer.score_images(images=photographs[:2], prompts=PROMPT, progress=True)
    assert capfd.readouterr().out == ""


def test_gradients_are_not_kept(scorer: LibreHPS, photographs: list) -> None:
    before = torch.is_grad_enabled()
    scorer.score_image(image=photographs[0], prompt=PROMPT)
    assert torch.is_grad_enabled() is before
    assert not scorer.model.training


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=st.integers(0, 5), right=st.integers(0, 5))
def test_a_comparison_is_antisymmetric_to_the_last_bit(
    scorer: LibreHPS, photographs: list, left: int, right: int
) -> None:
    a, b = photographs[left], photographs[right]
    forward = scorer.compare_images(image_a=a, image_b=b, prompt=PROMPT)
    backward = scorer.compare_images(image_a=b, image_b=a, prompt=PROMPT)
    assert forward.probability_a + backward.probability_a == 1.0
    assert forward.probability == backward.probability >= 0.5
    assert forward.winner == {"a": "b", "b": "a", "tie": "tie"}[backward.winner]
    assert (forward.winner == "tie") == (left == right)


def test_a_calibrator_and_an_axis_are_used(scorer: LibreHPS, photographs: list) -> None:
    asked: list[tuple[AxisScore, AxisScore]] = []

    class Sure:
        def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
            asked.append((score_a, score_b))
            return 0.9 if score_a.mean > score_b.mean else 0.1

    comparison = scorer.compare_images(
        image_a=photographs[0],
        image_b=photographs[1],
        prompt=PROMPT,
        calibrator=Sure(),
        axis="style",
    )
    style = (comparison.score_a.axis("style"), comparison.score_b.axis("style"))
    assert {frozenset(pair) for pair in asked} == {frozenset(style)}
    assert comparison.probability == pytest.approx(0.9)
    assert comparison.winner == ("a" if style[0].mean > style[1].mean else "b")


def test_images_are_ranked_by_their_mean(scorer: LibreHPS, photographs: list) -> None:
    ranking = scorer.rank_images(images=photographs, prompt=PROMPT, axis="coherence")
    scores = scorer.score_images(images=photographs, prompts=PROMPT)
    means = [score.axis("coherence").mean for score in scores]
    assert ranking.order == sorted(range(len(means)), key=lambda index: -means[index])
    assert ranking.axis == "coherence"


@pytest.mark.parametrize("axis", ["temporal", "beauty"])
def test_an_axis_that_is_not_scored_is_refused(
    scorer: LibreHPS, photographs: list, axis: str
) -> None:
    with pytest.raises(ConfigError, match="it scores overall, alignment") as caught:
        scorer.rank_images(images=photographs, prompt=PROMPT, axis=axis)
    assert caught.value.code == "axis_missing"


def test_a_scalar_head_alone_gives_overall_without_sigma(tmp_path: Path, photographs: list) -> None:
    make_tiny_checkpoint(tmp_path / "scalar", heads=("scalar",), trained=False)
    scorer = LibreHPS.from_pretrained(tmp_path / "scalar", device="cpu", dtype="float32")
    score = scorer.score_image(image=photographs[0], prompt=PROMPT)
    assert list(score.axes) == ["overall"]
    assert score.axis("overall").sigma is None
    assert (scorer.trained, score.trained) == (False, False)


def test_the_stock_backbone_gives_the_same_scores(
    folder: Path, scorer: LibreHPS, photographs: list
) -> None:
    stock = LibreHPS.from_pretrained(folder, device="cpu", dtype="float32", backbone="transformers")
    expected = stock.score_images(images=photographs, prompts=PROMPT)
    found = scorer.score_images(images=photographs, prompts=PROMPT)
    limit = TOLERANCES["scores_native_transformers_float32"].limit
    assert relative_rms(numbers(found), numbers(expected)) <= limit


def test_bfloat16_scores_are_near_those_in_float32(
    folder: Path, scorer: LibreHPS, photographs: list
) -> None:
    half = LibreHPS.from_pretrained(folder, device="cpu", dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    found = numbers(half.score_images(images=photographs, prompts=PROMPT))
    expected = numbers(scorer.score_images(images=photographs, prompts=PROMPT))
    limit = TOLERANCES["scores_bfloat16_float32"].limit
    assert 0 < relative_rms(found, expected) <= limit


def test_auto_dtype_is_the_one_of_the_device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from librehps.device import choose_dtype

    scorer = LibreHPS.from_pretrained(folder, device="cpu")
    assert scorer.model.dtype == choose_dtype("auto", torch.device("cpu"))


def test_what_cannot_be_loaded_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With its interpreter triton would run here.
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(CheckpointError):
        LibreHPS.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(ConfigError):
        LibreHPS.from_pretrained(folder, backbone="jax")
    with pytest.raises(BackendError):
        LibreHPS.from_pretrained(folder, device="cpu", kernel_impl="triton")
    with pytest.raises(BackendError):
        LibreHPS.from_pretrained(folder, device="cpu", attn_impl="fa4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError):
        LibreHPS.from_pretrained(tmp_path / "empty")


def test_a_model_of_videos_alone_does_not_score_images(scorer: LibreHPS, photographs: list) -> None:
    heads = {"multi_axis": MultiAxisHead(hidden_size=64, axes=["temporal"])}
    other = LibreHPS(PreferenceModel(scorer.model.model, heads), scorer.processor)
    with pytest.raises(ConfigError, match="nothing of images") as caught:
        other.score_image(image=photographs[0], prompt=PROMPT)
    assert caught.value.code == "axis_missing"


def test_what_is_no_calibration_is_refused_before_anything_is_read(folder: Path) -> None:
    # Without the checks of annotations, which only tests have.
    code = """
import sys
from librehps import LibreHPS
from librehps.errors import ConfigError
def said(call):
    try:
        call()
    except ConfigError as error:
        return error.code
folder = sys.argv[1]
print({said(lambda: LibreHPS.from_pretrained(folder, calibration=one)) for one in (3, "x", {})})
scorer = LibreHPS.from_pretrained(folder)
# There are no such pictures: nothing was looked at.
pair = dict(image_a="a", image_b="b", prompt="p")
wrong = ("x", lambda a, b: 0.5)
print({said(lambda: scorer.compare_images(**pair, calibrator=one)) for one in wrong})
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["{'calibration_unknown'}"] * 2
