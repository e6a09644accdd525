from __future__ import annotations

import json
from typing import Any

import pytest

from librehps.errors import CheckpointError
from librehps.inputs.prompt import DEFAULT_TEMPLATE
from librehps.inputs.resize import PixelBudget
from librehps.model_config import LibreHPSConfig, build_heads, config_json, folder_files
from librehps.modeling.presets import PRESETS

HEADS = {"multi_axis": {"kind": "multi_axis"}, "scalar": {"kind": "scalar"}}
WHOLE = LibreHPSConfig(
    heads=HEADS,
    axes=("overall", "alignment", "coherence", "style"),
    pooling="mean",
    prompt_template=DEFAULT_TEMPLATE,
    pixel_budget=PixelBudget(min_pixels=1024, max_pixels=4096),
    max_prompt_tokens=77,
    trained=False,
)


def test_round_trip_through_json() -> None:
    assert LibreHPSConfig.from_dict(json.loads(json.dumps(WHOLE.to_dict()))) == WHOLE


def test_what_may_be_left_out_has_a_default() -> None:
    config = LibreHPSConfig.from_dict({"format_version": 1, "heads": HEADS})
    assert config == LibreHPSConfig(heads=HEADS)
    assert config.pooling == "last"
    assert config.prompt_template is None
    assert LibreHPSConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"poling": "last"}, "did you mean 'pooling'"),
        ({"axes": ["overal"]}, "did you mean 'overall'"),
        ({"axes": ["beauty"]}, "unknown axis 'beauty'"),
        ({"axes": [["overall"]]}, "unknown axis"),
        ({"axes": "overall"}, "must be list"),
        ({"pooling": "lats"}, "did you mean 'last'"),
        ({"format_version": 2}, "reads 1 to 1"),
        ({"format_version": None}, "format_version"),
        ({"trained": "yes"}, "must be bool"),
        ({"max_prompt_tokens": True}, "must be int"),
        ({"max_prompt_tokens": 0}, "at least 1"),
        ({"heads": {"scalar": 3}}, "'scalar' must be an object"),
        ({"prompt_template": {"text": "no fields"}}, "template"),
        ({"pooling": "marked", "prompt_template": {"text": "{image}{prompt}"}}, "{mark}"),
        ({"prompt_template": {"txt": "{image}{prompt}"}}, "txt"),
        ({"pixel_budget": {"min_pixels": 5, "max_pixels": 2}}, "factor"),
        ({"pixel_budget": {"min": 5}}, "min"),
    ],
)
def test_anything_strange_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        LibreHPSConfig.from_dict(WHOLE.to_dict() | change)
    assert caught.value.code == "ckpt_config"
    assert says in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_the_key_must_be_an_object(data: object) -> None:
    with pytest.raises(CheckpointError, match="must be an object"):
        LibreHPSConfig.from_dict(data)


def test_no_heads_is_an_error_of_its_own() -> None:
    for data in ({"format_version": 1}, {"format_version": 1, "heads": {}}):
        with pytest.raises(CheckpointError) as caught:
            LibreHPSConfig.from_dict(data)
        assert caught.value.code == "heads_missing"


def test_heads_are_built_by_kind() -> None:
    heads = {"ours": {"kind": "multi_axis", "axes": ["style"]}, "scalar": {}}
    built = build_heads(LibreHPSConfig(heads=heads), hidden_size=8)
    assert list(built) == ["ours", "scalar"]
    assert built["ours"].axes == ("style",)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (LibreHPSConfig(heads={"oracle": {}}), "no head is called 'oracle'"),
        (LibreHPSConfig(heads={"scalar": {"layers": 3}}), "no setting 'layers'"),
        (LibreHPSConfig(heads={"a": {"kind": "multi_axis", "axes": ["x"]}}), "unknown axis 'x'"),
        (LibreHPSConfig(heads={"scalar": {}}, axes=("overall", "style")), "its heads score"),
        (LibreHPSConfig(heads={"multi_axis": {"hidden_sizes": [10**30]}}), "weights"),
        (LibreHPSConfig(heads={"axis_tokens": {"hidden_sizes": [2**40]}}), "weights"),
        (LibreHPSConfig(heads={"attention_pooling": {"queries": 2**40}}), "at most 4096"),
    ],
)
def test_heads_that_make_no_sense_are_named(config: LibreHPSConfig, says: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        build_heads(config, hidden_size=8)
    assert caught.value.code == "ckpt_config"
    assert says in str(caught.value)


def test_config_json_is_the_backbones_plus_one_key_and_tied() -> None:
    data = config_json(PRESETS["9b"], WHOLE)
    assert data["librehps"] == WHOLE.to_dict()
    assert data["tie_word_embeddings"] is True
    assert data["text_config"]["tie_word_embeddings"] is True
    assert data.keys() - PRESETS["9b"].to_hf().keys() == {"librehps"}


def test_the_card_says_plainly_when_a_model_is_untrained() -> None:
    def card(config: LibreHPSConfig) -> str:
        files = folder_files(config, tokenizer_json="{}", num_params=5, max_length=9)
        assert set(files) == {
            "tokenizer.json",
            "tokenizer_config.json",
            "preprocessor_config.json",
            "README.md",
        }
        size = json.loads(files["preprocessor_config.json"])["size"]
        assert size == {"shortest_edge": 1024, "longest_edge": 4096}
        return files["README.md"]

    assert "Untrained" in card(WHOLE)
    trained = LibreHPSConfig.from_dict(WHOLE.to_dict() | {"trained": True})
    assert "Untrained" not in card(trained)
