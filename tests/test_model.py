from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from librehps.errors import CheckpointError, ConfigError
from librehps.heads import AttentionPoolingHead, AxisTokensHead, Head, MultiAxisHead, ScalarHead
from librehps.inputs.batch import Batch, Sample
from librehps.inputs.prompt import PromptTemplate
from librehps.model import PreferenceModel
from librehps.modeling import checkpoint_writer
from librehps.modeling.checkpoint import INDEX_NAME, SINGLE_NAME
from librehps.modeling.precision import keeps_float32
from librehps.testing.tiny import (
    make_tiny_checkpoint,
    make_tiny_hf_checkpoint,
    tiny_config,
    tiny_heads,
    tiny_model,
    tiny_processor,
)
from librehps.testing.tolerances import TOLERANCES, relative_rms

PACKED = TOLERANCES["packed_alone_float32"].limit
WORDS = ("a", "red fox", "in the snow", "three", "blue circles,", "<|image_pad|>", "é", "7")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Thirty prompts of 1 to 40 words with images of many sizes; two of them without an image."""
    processor = tiny_processor()
    rng = np.random.default_rng(0)
    prepared: list[Sample] = []
    for n in range(28):
        height, width = (int(side) for side in rng.integers(20, 400, 2))
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        prompt = " ".join(rng.choice(WORDS, size=1 + n * 40 // 28))
        prepared.append(processor.prepare(image, prompt).sample)
    for length in (1, 65):
        ids = torch.from_numpy(rng.integers(0, 256, length))
        places = torch.arange(length).expand(3, -1).contiguous()
        none = torch.zeros(0, 3, dtype=torch.int64)
        prepared.append(
            Sample(input_ids=ids, positions=places, patches=None, grid_thw=none, pooled=length - 1)
        )
    return prepared


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "ckpt"
    make_tiny_checkpoint(path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may damage."""
    target = tmp_path / "ckpt"
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def edit_tensors(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / SINGLE_NAME)
    edit(tensors)
    save_file(tensors, folder / SINGLE_NAME, metadata={"format": "pt"})


def edit_config(folder: Path, edit: Callable[[dict[str, object]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))


def error_of(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        PreferenceModel.from_pretrained(folder)
    return caught.value


@pytest.mark.parametrize("pooling", ["last", "mean", "marked"])
def test_packed_in_any_order_scores_as_alone(samples: list[Sample], pooling: str) -> None:
    model = tiny_model(pooling=pooling)
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(5)).tolist()
    assert len(order) == 30
    batch = Batch.pack([samples[n] for n in order])
    with torch.inference_mode():
        alone = [model(Batch.pack([samples[n]])) for n in order]
        packed = model(batch)
        exact = model(batch, deterministic=True)
    for name in ("multi_axis", "scalar"):
        means = torch.cat([out[name].mean for out in alone])
        assert relative_rms(packed[name].mean, means) <= PACKED
        assert torch.equal(exact[name].mean, means)
    sigmas = torch.cat([out["multi_axis"].sigma for out in alone])
    assert torch.equal(exact["multi_axis"].sigma, sigmas)
    assert relative_rms(packed["multi_axis"].sigma, sigmas) <= PACKED
    assert exact["scalar"].sigma is None
    # The scores differ between sequences: agreement is no accident of a constant.
    assert means.std() > 1e-3


def test_heads_of_several_tokens_are_saved_and_loaded(
    tmp_path: Path, samples: list[Sample]
) -> None:
    heads = {
        "attention": AttentionPoolingHead(hidden_size=48),
        "tokens": AxisTokensHead(hidden_size=48),
        "shared": AxisTokensHead(hidden_size=48, axes=("style", "overall"), shared=True),
        "scalar": ScalarHead(hidden_size=48),
    }
    model = tiny_model(heads=heads)
    assert "attention_head.queries" in model.state_dict()
    model.save_pretrained(tmp_path / "ckpt", processor=tiny_processor())
    again = PreferenceModel.from_pretrained(tmp_path / "ckpt")
    batch = Batch.pack(samples[:3])
    expected = model(batch)
    for name, out in again(batch).items():
        assert torch.equal(out.mean, expected[name].mean), name
    assert again.heads["shared"].to_config() == model.heads["shared"].to_config()


def test_tokens_of_the_user_are_not_read_as_the_template_s(tmp_path: Path) -> None:
    heads = {"tokens": AxisTokensHead(hidden_size=48), "scalar": ScalarHead(hidden_size=48)}
    model = tiny_model(heads=heads)
    short = tiny_processor(template=PromptTemplate(text="{prompt}{image}<|im_end|>{mark}"))
    with pytest.raises(ConfigError, match="'tokens' reads the last 4 tokens, and only 2") as caught:
        model.save_pretrained(tmp_path / "ckpt", processor=short)
    assert caught.value.code == "template_tail_short"
    assert not (tmp_path / "ckpt").exists()


def test_prompt_and_image_both_matter() -> None:
    model, processor = tiny_model(), tiny_processor()
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    pairs = [(images[0], "a fox"), (images[0], "a ship"), (images[1], "a fox")]
    batch = Batch.pack([processor.prepare(image, prompt).sample for image, prompt in pairs])
    first, other_prompt, other_image = model(batch)["scalar"].mean[:, 0].tolist()
    assert abs(first - other_prompt) > 1e-4
    assert abs(first - other_image) > 1e-4


def test_names_are_those_in_the_file() -> None:
    names = set(tiny_model().state_dict())
    assert {
        "model.language_model.embed_tokens.weight",
        "model.visual.patch_embed.proj.weight",
        "multi_axis_head.weight",
        "scalar_head.bias",
    } <= names
    assert all(name.startswith(("model.", "multi_axis_head.", "scalar_head.")) for name in names)


def test_properties() -> None:
    model = tiny_model(dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert model.device == torch.device("cpu")
    assert model.axes == ("overall", "alignment", "coherence", "style")
    assert list(model.heads) == ["multi_axis", "scalar"]


@pytest.mark.parametrize(
    ("heads", "pooling", "code"),
    [
        ({}, "last", "heads_missing"),
        ({"lm": ScalarHead(hidden_size=48)}, "last", "head_name"),
        ({"a.b": ScalarHead(hidden_size=48)}, "last", "head_name"),
        ({"scalar": ScalarHead(hidden_size=48)}, "first", "name_unknown"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(
    heads: dict[str, Head], pooling: str, code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        PreferenceModel(tiny_model().model, heads, pooling=pooling)
    assert caught.value.code == code


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_loading_keeps_float32_where_it_matters(
    tmp_path: Path, stored: torch.dtype, dtype: torch.dtype
) -> None:
    saved = make_tiny_checkpoint(tmp_path / "a", dtype=stored, sharded=True).state_dict()
    model = PreferenceModel.from_pretrained(tmp_path / "a", dtype=dtype)
    assert not model.training
    assert model.state_dict().keys() == saved.keys()
    for name, tensor in model.state_dict().items():
        wide = keeps_float32(name) or "_head." in name
        assert tensor.dtype == (torch.float32 if wide else dtype), name
        assert torch.equal(tensor, saved[name].to(tensor.dtype)), name


def test_a_hugging_face_folder_needs_heads_and_takes_fresh_ones(
    tmp_path: Path, samples: list[Sample]
) -> None:
    backbone = make_tiny_hf_checkpoint(
        tmp_path / "hf", sharded=True, config=tiny_config(tied=False)
    )
    error = error_of(tmp_path / "hf")
    assert error.code == "heads_missing"
    assert "librehps init" in str(error)
    heads = tiny_heads(["multi_axis"], hidden_size=48)
    model = PreferenceModel.from_pretrained(tmp_path / "hf", heads=heads)
    assert not model.trained
    expected = PreferenceModel(backbone, heads).eval()
    batch = Batch.pack(samples[:2])
    assert torch.equal(model(batch)["multi_axis"].mean, expected(batch)["multi_axis"].mean)
    # Saved with its heads it is a reward checkpoint, still untrained.
    model.save_pretrained(tmp_path / "reward", processor=tiny_processor())
    again = PreferenceModel.from_pretrained(tmp_path / "reward")
    assert not again.trained
    assert torch.equal(again(batch)["multi_axis"].mean, model(batch)["multi_axis"].mean)


def test_fresh_heads_take_the_place_of_stored_ones(folder: Path) -> None:
    heads = {"other": MultiAxisHead(hidden_size=48, axes=("style",))}
    model = PreferenceModel.from_pretrained(folder, heads=heads)
    assert list(model.heads) == ["other"]
    assert not model.trained


def test_heads_are_inferred_with_a_warning_when_the_config_is_silent(
    folder: Path, copy: Path, samples: list[Sample]
) -> None:
    edit_config(copy, lambda config: config.pop("librehps"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PreferenceModel.from_pretrained(copy)
    said = " ".join(str(warning.message) for warning in caught)
    assert "multi_axis_head was taken for linear 48 -> 8" in said
    assert "scalar_head was taken for linear 48 -> 1" in said
    expected = PreferenceModel.from_pretrained(folder)
    batch = Batch.pack(samples[:2])
    for name, out in expected(batch).items():
        assert torch.equal(model(batch)[name].mean, out.mean)
    # What was inferred is written down when it is saved.
    model.save_pretrained(copy, processor=tiny_processor())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PreferenceModel.from_pretrained(copy).trained


def rename(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors.update({new: tensors.pop(old)})


HEAD = "multi_axis_head.weight"
NORM = "model.language_model.norm.weight"


@pytest.mark.parametrize(
    ("edit", "code", "named"),
    [
        (lambda t: t.pop(NORM), "ckpt_missing_tensor", "language_model.norm.weight"),
        (lambda t: t.update(x=torch.ones(1)), "ckpt_unexpected_tensor", "x"),
        (lambda t: t.update({"model.x": torch.ones(1)}), "ckpt_unexpected_tensor", "model.x"),
        (lambda t: t.update({"rm_head.w": torch.ones(1)}), "ckpt_unexpected_tensor", "rm_head.w"),
        (lambda t: t.update({NORM: torch.ones(47)}), "ckpt_shape", NORM),
        (lambda t: t.update({HEAD: torch.ones(8, 47)}), "ckpt_shape", HEAD),
        (lambda t: t.update({HEAD: torch.ones(7, 48)}), "ckpt_shape", HEAD),
        (lambda t: t[HEAD][3, 5].fill_(float("nan")), "weight_not_finite", HEAD),
        (lambda t: t[NORM][7].fill_(float("inf")), "weight_not_finite", NORM),
        (lambda t: t.update({HEAD: t[HEAD].to(torch.int8)}), "ckpt_dtype", HEAD),
        (lambda t: t.update({NORM: t[NORM].to(torch.int8)}), "ckpt_dtype", NORM),
        (lambda t: t.pop(HEAD), "ckpt_missing_tensor", HEAD),
        (lambda t: [t.pop(HEAD), t.pop("multi_axis_head.bias")], "heads_missing", "multi_axis"),
        (rename(HEAD, "multi_axis_head.0.weight"), "ckpt_missing_tensor", HEAD),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    copy: Path, edit: Callable[[dict[str, torch.Tensor]], object], code: str, named: str
) -> None:
    edit_tensors(copy, edit)
    error = error_of(copy)
    assert error.code == code
    assert named in str(error)


@pytest.mark.parametrize(
    ("edit", "code", "named"),
    [
        (lambda c: c["librehps"].update(axes=["overall", "beauty"]), "ckpt_config", "beauty"),
        (lambda c: c["librehps"].update(heds={}), "ckpt_config", "did you mean 'heads'"),
        (lambda c: c["librehps"].pop("heads"), "heads_missing", "heads"),
        (lambda c: c["librehps"]["heads"].update(new={"kind": "scalar"}), "heads_missing", "new"),
        (lambda c: c["librehps"]["heads"].pop("scalar"), "ckpt_unexpected_tensor", "scalar_head"),
        (lambda c: c["librehps"].update(format_version=9), "ckpt_config", "9"),
        (lambda c: c.update(librehps=None), "ckpt_config", "object"),
        (lambda c: c.update(model_type="llama"), "ckpt_config", "llama"),
        (lambda c: c.pop("text_config"), "ckpt_config", "text_config"),
        (lambda c: c["text_config"].update(hidden_size=64), "ckpt_config", "hidden_size"),
        (lambda c: c["text_config"].update(vocab_size=513), "ckpt_shape", "513"),
        (lambda c: c["text_config"].update(vocab_size=10**18), "ckpt_config", "cannot be built"),
        (
            lambda c: c["vision_config"].update(spatial_merge_size=10**12),
            "ckpt_config",
            "cannot be built",
        ),
        (
            lambda c: c["librehps"]["heads"]["scalar"].update(hidden_sizes=[10**9, 10**9]),
            "heads_missing",
            "scalar_head.2.weight",
        ),
        (lambda c: c["text_config"].update(layer_types=["mamba3"] * 4), "ckpt_config", "mamba3"),
    ],
)
def test_a_config_that_does_not_fit_is_named(
    copy: Path, edit: Callable[[dict[str, object]], object], code: str, named: str
) -> None:
    edit_config(copy, edit)
    error = error_of(copy)
    assert error.code == code
    assert named in str(error)


def test_a_missing_or_truncated_config_is_named(copy: Path) -> None:
    path = copy / "config.json"
    path.write_text(path.read_text()[:100])
    assert error_of(copy).code == "ckpt_config"
    path.unlink()
    assert error_of(copy).code == "ckpt_missing"
    assert error_of(copy / "nowhere").code == "ckpt_missing"


def test_unknown_heads_in_a_silent_config_stop_with_the_list(copy: Path) -> None:
    edit_config(copy, lambda config: config.pop("librehps"))
    edit_tensors(copy, rename(HEAD, "multi_axis_head.lora_A"))
    error = error_of(copy)
    assert error.code == "heads_not_understood"
    assert "multi_axis_head.lora_A: [8, 48]" in str(error)


def test_an_unknown_backbone_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="'native' or 'transformers'") as caught:
        PreferenceModel.from_pretrained(folder, backbone="jax")
    assert caught.value.code == "backbone_unknown"


def test_saving_again_gives_the_same_folder(folder: Path, tmp_path: Path) -> None:
    model = PreferenceModel.from_pretrained(folder)
    model.save_pretrained(tmp_path / "again", processor=tiny_processor())
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_interrupted_save_leaves_the_old_checkpoint(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    written: list[object] = []
    original = checkpoint_writer._flush

    def fails_at_the_third_file(file: object) -> None:
        written.append(file)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        original(file)

    monkeypatch.setattr(checkpoint_writer, "_flush", fails_at_the_third_file)
    with pytest.raises(OSError, match="No space left"):
        tiny_model(seed=1).save_pretrained(
            copy, processor=tiny_processor(), max_shard_bytes=100_000
        )
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == ["ckpt"]
    assert not (copy / INDEX_NAME).exists()


def test_gradients_reach_every_weight_but_the_pictures_where_there_are_none(
    samples: list[Sample],
) -> None:
    model = tiny_model()
    model(Batch.pack(samples[-1:]))["scalar"].mean.sum().backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert all(name.startswith(("model.visual.", "multi_axis_head.")) for name in without)
