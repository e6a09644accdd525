"""What a backbone remembers of the sequences it has read, so that they can be continued.

Reading a sequence in two parts, with the state handed over, equals reading it whole, wherever the
cut is. Layers remember differently: attention keeps every key and value, Gated DeltaNet and Mamba-2
a matrix of fixed size per head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from librehps.errors import InputError
from librehps.typing import Float, Int, Tensor


@dataclass(frozen=True)
class AttentionState:
    """Keys and values of all tokens so far.

    Args:
        key: Normalised and rotated keys, sequences end to end.
        value: Values.
        cu_seqlens: Where each sequence starts, and the total.
    """

    key: Float[Tensor, "S G K"]
    value: Float[Tensor, "S G V"]
    cu_seqlens: Int[Tensor, " N_plus_1"]

    def extend(self, new: AttentionState) -> AttentionState:
        """Return a state in which each sequence's ``new`` tokens follow its old ones.

        Raises:
            InputError: The two are not of the same sequences, heads and number format (code
                ``state_mismatch``).
        """
        for name in ("key", "value", "cu_seqlens"):
            old, added = getattr(self, name), getattr(new, name)
            whole = name == "cu_seqlens"
            if old.shape[not whole :] != added.shape[not whole :] or (
                not whole and old.dtype != added.dtype
            ):
                raise InputError(
                    f"{name} has shape {list(old.shape)} in {old.dtype} in the state, and "
                    f"{list(added.shape)} in {added.dtype} in what continues it",
                    code="state_mismatch",
                    item=name,
                )
        sequences = torch.cat((_sequence_of_token(self), _sequence_of_token(new)))
        # A stable sort by sequence keeps old before new and both in their order.
        order = torch.argsort(sequences, stable=True)
        return AttentionState(
            key=torch.cat((self.key, new.key))[order],
            value=torch.cat((self.value, new.value))[order],
            cu_seqlens=self.cu_seqlens + new.cu_seqlens,
        )


def _sequence_of_token(state: AttentionState) -> Int[Tensor, " S"]:
    return torch.repeat_interleave(state.cu_seqlens.diff(), output_size=state.key.shape[0])


@dataclass(frozen=True)
class GatedDeltaNetState:
    """What a Gated DeltaNet layer carries on.

    Args:
        recurrent: The associative memory of each value head, float32.
        conv: The last inputs of the convolution, zeros where the sequence is shorter.
    """

    recurrent: Float[Tensor, "N HV K V"]
    conv: Float[Tensor, "N C W_minus_1"]


@dataclass(frozen=True)
class Mamba2State:
    """What a Mamba-2 layer carries on.

    Args:
        recurrent: The memory of each head, float32.
        conv: The last inputs of the convolution, zeros where the sequence is shorter.
    """

    recurrent: Float[Tensor, "N HV K V"]
    conv: Float[Tensor, "N C W_minus_1"]


@dataclass(frozen=True)
class BackboneState:
    """The state of every layer, first to last; each mixer knows its own kind."""

    layers: tuple[Any, ...]


def check_state(state: object, kind: type[Any]) -> None:
    """Raise unless ``state`` is of the kind that a layer carries on.

    Raises:
        InputError: It is another layer's (code ``state_mismatch``).
    """
    if not isinstance(state, kind):
        raise InputError(
            f"a layer that carries on a {kind.__name__} was given a {type(state).__name__}",
            code="state_mismatch",
        )
