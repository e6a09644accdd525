"""Array types and the one legend of dimension names.

Shapes are written in signatures as ``Float[Tensor, "T D"]``. The names mean the same everywhere:

===== =============================================================================
``N``  sequences in a packed batch (one sequence = one prompt with its image)
``T``  tokens of all sequences, packed end to end; ``S`` for the key side of attention
``D``  width of the hidden states; ``F`` width of the MLP
``H``  query or key heads; ``G`` key/value heads; ``HV`` value heads
``K``  width of a key head; ``V`` width of a value head
``C``  channels; ``W`` taps of a convolution
``I``  images; ``P`` patches of all images; ``M`` merged vision tokens (``P / 4``)
``A``  axes that a head scores; ``Q`` queries of attention pooling
===== =============================================================================

Annotations are never evaluated in use (every module has ``from __future__ import annotations``);
the tests evaluate them with jaxtyping and beartype, which therefore are test dependencies only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ModuleNotFoundError:

        class Float:
            """Stands in for jaxtyping's type: ``Float[array, shape]`` is ``array``."""

            def __class_getitem__(cls, item):
                return item[0]

        Bool = Int = Float

__all__ = ["Bool", "Float", "Int", "Tensor"]
