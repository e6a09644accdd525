"""One prepared sequence, and many of them packed end to end without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch

from librehps.errors import InputError
from librehps.typing import Float, Int, Tensor


@dataclass(frozen=True, eq=False)
class Sample:
    """One sequence: a prompt with its images, ready to be packed.

    Args:
        input_ids: int64 token ids; an image is a run of image tokens, one per merged patch.
        positions: int64 rotary positions on the axes time, height and width.
        patches: float32 patches of all images, or None without images.
        grid_thw: int64 patch grid (time, height, width) of each image; ``[0, 3]`` without images.
        pooled: Index of the token whose hidden state the "marked" pooling reads.

    Raises:
        InputError: The parts contradict each other (code ``sample_inconsistent``).
    """

    input_ids: Int[Tensor, " T"]
    positions: Int[Tensor, "3 T"]
    patches: Float[Tensor, "P patch_dim"] | None
    grid_thw: Int[Tensor, "I 3"]
    pooled: int

    def __post_init__(self) -> None:
        tokens = self.input_ids.shape[0]
        in_grids = int(self.grid_thw.prod(dim=1).sum())
        in_patches = 0 if self.patches is None else self.patches.shape[0]
        faults = {
            "there are no tokens": tokens == 0,
            f"there are {tokens} tokens but positions for {self.positions.shape[-1]}": (
                self.positions.shape != (3, tokens)
            ),
            f"token {self.pooled} is to be pooled but there are {tokens}": (
                not 0 <= self.pooled < max(tokens, 1)
            ),
            f"the grids stand for {in_grids} patches but there are {in_patches}": (
                in_grids != in_patches
            ),
        }
        for fault, found in faults.items():
            if found:
                raise InputError(fault, code="sample_inconsistent")

    @property
    def num_tokens(self) -> int:
        """How many tokens the sequence has, image tokens included."""
        return self.input_ids.shape[0]


@dataclass(frozen=True)
class _Span:
    """Where one sequence lies in a batch, and the place of its marked token in itself."""

    tokens: slice
    images: slice
    patches: slice
    pooled: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Sequences packed end to end: no padding, and a boundary where one ends and the next begins.

    Tokens of sequence ``n`` are ``cu_seqlens[n] : cu_seqlens[n + 1]``. Its images are the next
    ``images_per_sequence[n]`` rows of ``grid_thw``, and their patches follow in the same order.

    Args:
        input_ids: int64 token ids.
        positions: int64 rotary positions; each sequence starts again at 0.
        pooled_index: int64 index into the packed tokens of each sequence's marked token.
        cu_seqlens: int32 boundaries, from 0 to T.
        patches: Patches of all images, float32 until ``to(dtype=...)``; None without images.
        grid_thw: int64 patch grid of each image; ``[0, 3]`` without images.
        images_per_sequence: How many images each sequence has.
    """

    input_ids: Int[Tensor, " T"]
    positions: Int[Tensor, "3 T"]
    # Before cu_seqlens: the checker must know N when it comes to N+1.
    pooled_index: Int[Tensor, " N"]
    cu_seqlens: Int[Tensor, " N+1"]
    patches: Float[Tensor, "P patch_dim"] | None
    grid_thw: Int[Tensor, "I 3"]
    images_per_sequence: tuple[int, ...]

    @classmethod
    def pack(cls, samples: Sequence[Sample]) -> Batch:
        """Lay sequences end to end, in the order given.

        Raises:
            InputError: There is no sequence (code ``batch_empty``).
        """
        if not samples:
            raise InputError("a batch needs at least one sequence", code="batch_empty")
        lengths = torch.tensor([sample.num_tokens for sample in samples])
        ends = lengths.cumsum(0)
        pooled = torch.tensor([sample.pooled for sample in samples])
        patches = [sample.patches for sample in samples if sample.patches is not None]
        return cls(
            input_ids=torch.cat([sample.input_ids for sample in samples]),
            positions=torch.cat([sample.positions for sample in samples], dim=1),
            cu_seqlens=torch.cat([ends.new_zeros(1), ends]).to(torch.int32),
            patches=torch.cat(patches) if patches else None,
            grid_thw=torch.cat([sample.grid_thw for sample in samples]),
            images_per_sequence=tuple(sample.grid_thw.shape[0] for sample in samples),
            pooled_index=ends - lengths + pooled,
        )

    def split(self) -> list[Batch]:
        """Return each sequence as a batch of its own.

        The tensors are fresh contiguous copies: nothing, not even the alignment of the memory, is
        left of the neighbours, so what is computed from them is what the sequence gives alone.
        """
        return [self._copied([span]) for span in self._spans()]

    def take(self, sequences: Sequence[int]) -> Batch:
        """Return some of the sequences, in the order given, as a batch of fresh copies.

        Raises:
            InputError: None is asked for (code ``batch_empty``).
        """
        if not sequences:
            raise InputError("a batch needs at least one sequence", code="batch_empty")
        spans = self._spans()
        return self._copied([spans[n] for n in sequences])

    def _spans(self) -> list[_Span]:
        bounds: list[int] = self.cu_seqlens.tolist()
        pooled: list[int] = self.pooled_index.tolist()
        images = [0, *accumulate(self.images_per_sequence)]
        patches = [0, *accumulate(self.grid_thw.prod(dim=1).tolist())]
        return [
            _Span(
                tokens=slice(bounds[n], bounds[n + 1]),
                images=slice(images[n], images[n + 1]),
                patches=slice(patches[images[n]], patches[images[n + 1]]),
                pooled=pooled[n] - bounds[n],
            )
            for n in range(self.num_sequences)
        ]

    def _copied(self, spans: Sequence[_Span]) -> Batch:
        bounds = [0, *accumulate(span.tokens.stop - span.tokens.start for span in spans)]
        patches = None
        if self.patches is not None and any(span.images.start < span.images.stop for span in spans):
            patches = _copy([self.patches[span.patches] for span in spans])
        return Batch(
            input_ids=_copy([self.input_ids[span.tokens] for span in spans]),
            positions=_copy([self.positions[:, span.tokens] for span in spans], dim=1),
            cu_seqlens=self.cu_seqlens.new_tensor(bounds),
            patches=patches,
            grid_thw=_copy([self.grid_thw[span.images] for span in spans]),
            images_per_sequence=tuple(span.images.stop - span.images.start for span in spans),
            pooled_index=self.pooled_index.new_tensor(
                [first + span.pooled for first, span in zip(bounds, spans, strict=False)]
            ),
        )

    def to(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Batch:
        """Return the batch on ``device``, its patches in ``dtype``.

        Everything but the patches keeps its integer type. ``None`` leaves things as they are.
        """
        patches = self.patches
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            positions=self.positions.to(device),
            cu_seqlens=self.cu_seqlens.to(device),
            patches=None if patches is None else patches.to(device=device, dtype=dtype),
            grid_thw=self.grid_thw.to(device),
            pooled_index=self.pooled_index.to(device),
        )

    @property
    def num_sequences(self) -> int:
        """How many sequences are packed."""
        return len(self.images_per_sequence)

    @property
    def num_tokens(self) -> int:
        """How many tokens all sequences have together."""
        return self.input_ids.shape[0]


def _copy(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    if len(parts) > 1:
        return torch.cat([*parts], dim=dim)
    # clone() alone would keep the strides of the packed tensor where it can.
    return parts[0].clone(memory_format=torch.contiguous_format)
