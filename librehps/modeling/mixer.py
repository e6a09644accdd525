"""A token mixer moves information between the tokens of a sequence; layers choose one by name.

``layer_types`` in the config names the mixer of each layer. To add one, write a module that meets
``TokenMixer`` and register it::

    class MyMixer(nn.Module):
        module_name = "my_mixer"  # its name inside the layer, hence in the checkpoint
        ...

    MIXERS.register("my_mixer")(MyMixer)
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from librehps.modeling.config import Qwen3_5TextConfig
from librehps.registry import Registry
from librehps.typing import Float, Int, Tensor

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines of the rotary angles, each ``[T, R]`` in the dtype of the hidden states."""


@runtime_checkable
class TokenMixer(Protocol):
    """What a layer asks of its mixer. It must treat every packed sequence as if it were alone."""

    def __call__(
        self,
        x: Float[Tensor, "T D"],
        /,
        *,
        rotary: Rotary,
        cu_seqlens: Int[Tensor, " N_plus_1"],
        state: Any = None,
        return_state: bool = False,
    ) -> tuple[Float[Tensor, "T D"], Any]:
        """Mix the tokens of each sequence, causally.

        Args:
            x: Normalised hidden states, sequences end to end.
            rotary: Cosines and sines of the tokens' positions.
            cu_seqlens: Where each sequence starts, and the total.
            state: What an earlier call returned for the same sequences, to continue them.
            return_state: Whether to return the state after the last token of each sequence.

        Returns:
            The mixed states, and the new state or ``None``.
        """
        ...


@runtime_checkable
class MixerConstructor(Protocol):
    """What the registry holds: usually the mixer's class."""

    @property
    def module_name(self) -> str:
        """Name of the mixer inside its layer, hence in the checkpoint."""
        ...

    def num_params(self, config: Qwen3_5TextConfig, /) -> int:
        """Count the parameters of one such mixer."""
        ...

    def __call__(
        self, config: Qwen3_5TextConfig, *, layer_index: int, attn_impl: str, kernel_impl: str
    ) -> Any:
        """Build the mixer of layer ``layer_index``; it is an ``nn.Module`` and a ``TokenMixer``."""
        ...


MIXERS: Registry[MixerConstructor] = Registry("token mixer")
"""Token mixers by the names that ``layer_types`` uses."""
