"""The contracts fail for parts that break them; that good parts pass is tested beside those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from librehps.heads import (
    AttentionPoolingHead,
    AxisTokensHead,
    HeadOutput,
    MultiAxisHead,
    ScalarHead,
    Sequences,
)
from librehps.heads.pooling import last
from librehps.modeling.mixer import MIXERS
from librehps.testing.contracts import check_head, check_mixer, check_pooling
from librehps.testing.tiny import tiny_config


class Leaky(ScalarHead):
    """A row depends on the others."""

    def forward(self, pooled: torch.Tensor) -> HeadOutput:
        return super().forward(pooled - pooled.mean(0) if len(pooled) else pooled)


class Negative(MultiAxisHead):
    """Sigma is not positive."""

    def forward(self, pooled: torch.Tensor) -> HeadOutput:
        out = super().forward(pooled)
        assert out.sigma is not None
        return HeadOutput(mean=out.mean, sigma=-out.sigma, axes=out.axes)


class Idle(ScalarHead):
    """A parameter without influence."""

    def __init__(self, *, hidden_size: int, **settings: Any) -> None:
        super().__init__(hidden_size=hidden_size, **settings)
        self.idle = nn.Parameter(torch.ones(1))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, hidden_size: int) -> ScalarHead:
        return cls(hidden_size=hidden_size)


class Deaf(ScalarHead):
    """Nothing of its input reaches its score; the parameters get a gradient all the same."""

    def forward(self, pooled: torch.Tensor) -> HeadOutput:
        return super().forward(torch.ones_like(pooled))


class Mixing(AttentionPoolingHead):
    """One softmax over the whole pack."""

    def forward(self, sequences: Sequences) -> HeadOutput:
        hidden = sequences.hidden
        if len(hidden) == 0:
            return super().forward(sequences)
        weights = (hidden.float() @ self.queries.T).softmax(0)
        pooled = (weights.T @ hidden.float()).flatten()
        return self.readout(pooled.expand(len(sequences.cu_seqlens) - 1, -1))


class Curious(AxisTokensHead):
    """Reads more tokens than it says."""

    def forward(self, sequences: Sequences) -> HeadOutput:
        out = super().forward(sequences)
        seen = sequences.hidden.float().mean() if len(sequences.hidden) else 0.0
        return HeadOutput(mean=out.mean + 1e-6 * seen, sigma=out.sigma, axes=out.axes)


class Forgetful(ScalarHead):
    """Its config does not rebuild it."""

    def to_config(self) -> dict[str, Any]:
        return {"kind": "forgotten"}


@pytest.mark.parametrize(
    ("head", "kind", "says"),
    [
        (Leaky, "scalar", "depend"),
        (Negative, "multi_axis", "positive"),
        (Idle, "scalar", "idle gets no gradient"),
        (Forgetful, "scalar", "kind"),
        (Deaf, "scalar", "bradley_terry .* its gradient|no gradient"),
        (Mixing, "attention_pooling", "depend on the others"),
        (Curious, "axis_tokens", "depend on what the others hold"),
    ],
)
def test_a_head_that_breaks_the_contract_fails(head: Any, kind: str, says: str) -> None:
    if head in (Leaky, Negative, Forgetful):
        head.from_config = classmethod(
            lambda cls, config, *, hidden_size: cls(hidden_size=hidden_size)
        )
    with pytest.raises(AssertionError, match=says):
        check_head(head, kind=kind)


def whole_mean(
    hidden: torch.Tensor, *, cu_seqlens: torch.Tensor, pooled_index: torch.Tensor
) -> torch.Tensor:
    return last(hidden, cu_seqlens=cu_seqlens, pooled_index=pooled_index) * 0 + hidden.mean(0)


def doubled(
    hidden: torch.Tensor, *, cu_seqlens: torch.Tensor, pooled_index: torch.Tensor
) -> torch.Tensor:
    return 2 * last(hidden, cu_seqlens=cu_seqlens, pooled_index=pooled_index)


@pytest.mark.parametrize(("pooling", "says"), [(whole_mean, "neighbours"), (doubled, "sum to 1")])
def test_a_pooling_that_breaks_the_contract_fails(pooling: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_pooling(pooling)


@pytest.mark.parametrize("name", list(MIXERS))
def test_every_registered_mixer_keeps_the_contract(name: str) -> None:
    check_mixer(name, config=tiny_config(layer_types=(name,)).text)


class Blurring(nn.Module):
    """Averages over the whole pack, future and neighbours included."""

    module_name = "blurring"

    def __init__(self, config: Any, *, layer_index: int, attn_impl: str, kernel_impl: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.hidden_size))

    @staticmethod
    def num_params(config: Any) -> int:
        return config.hidden_size

    def forward(
        self,
        x: torch.Tensor,
        *,
        rotary: Any,
        cu_seqlens: Any,
        state: Any = None,
        return_state: bool = False,
    ) -> tuple[torch.Tensor, Any]:
        return (x + x.mean(0)) * self.weight, None


def test_a_mixer_that_leaks_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MIXERS._entries, "blurring", Blurring)
    with pytest.raises(AssertionError, match="in a pack differs"):
        check_mixer("blurring", config=tiny_config().text)
