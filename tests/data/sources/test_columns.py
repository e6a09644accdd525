from __future__ import annotations

import pytest

from librehps.data.sources.columns import Columns
from librehps.errors import ConfigError


def test_a_field_stands_under_its_own_name_or_another() -> None:
    columns = Columns(names={"prompt": "caption"})
    assert (columns.column("prompt"), columns.column("image_a")) == ("caption", "image_a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"names": {"promt": "x"}}, "did you mean 'prompt'"),
        ({"record": "rating", "names": {"image_a": "x"}}, "a rating has no 'image_a'"),
        ({"record": "pair"}, "cannot become a 'pair'"),
        ({"record": "ranking", "axes": {"style": "x"}}, "no shares of votes"),
        ({"axes": {"stile": "x"}}, "did you mean 'style'"),
        ({"labels": {"a": 1.5}}, "from 0 to 1"),
        ({"labels": {"a": float("nan")}}, "from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Columns(**settings)
    assert caught.value.code == "data_columns"
