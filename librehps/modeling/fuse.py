"""Vision into text: merged rows take the place of placeholder tokens."""

from __future__ import annotations

from collections.abc import Callable

from librehps.errors import InputError
from librehps.typing import Bool, Float, Int, Tensor


def fuse_vision(
    embeddings: Float[Tensor, "T D"],
    vision: Float[Tensor, "M D"] | None,
    *,
    placeholders: Bool[Tensor, " T"],
) -> Float[Tensor, "T D"]:
    """Replace the embeddings of the placeholders, in order, by the rows of ``vision``.

    Args:
        embeddings: Token embeddings of all sequences.
        vision: Merged rows of all pictures, in the order of the sequences; cast to the dtype of
            the embeddings.
        placeholders: Which tokens stand for a row.

    Raises:
        InputError: There are not as many rows as placeholders (code ``vision_token_mismatch``).
    """
    num_placeholders = int(placeholders.sum())
    num_rows = 0 if vision is None else vision.shape[0]
    if num_placeholders != num_rows:
        raise InputError(
            f"the tokens have {num_placeholders} places for vision, but there are {num_rows} rows",
            code="vision_token_mismatch",
        )
    if vision is None:
        return embeddings
    return embeddings.masked_scatter(placeholders[:, None], vision.to(embeddings.dtype))


def encode_vision(
    encode: Callable[[Tensor, Tensor], Tensor],
    patches: Float[Tensor, "P patch_dim"] | None,
    grid_thw: Int[Tensor, "I 3"] | None,
) -> Float[Tensor, "M D"] | None:
    """Encode the pictures of a batch; None where it has none.

    Args:
        encode: The vision tower.
        patches: Patches of all pictures.
        grid_thw: Frames, rows and columns of patches of each picture.

    Raises:
        InputError: Patches without grids, or grids without patches (code ``grid_mismatch``).
    """
    num_grids = 0 if grid_thw is None else grid_thw.shape[0]
    num_patches = 0 if patches is None else patches.shape[0]
    if num_patches == 0 and num_grids == 0:
        return None
    if patches is None or grid_thw is None:
        raise InputError(
            f"there are {num_grids} grids and {'no' if patches is None else 'some'} patches; "
            "pictures need both",
            code="grid_mismatch",
        )
    return encode(patches, grid_thw)
