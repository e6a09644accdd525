from __future__ import annotations

import pytest

from librehps.errors import InputError
from librehps.kernels.attention.prefixes import check_prefixes


def test_a_sequence_needs_a_key_for_each_query() -> None:
    check_prefixes([3, 1], [3, 7])
    with pytest.raises(InputError, match="sequence 1 has fewer keys") as caught:
        check_prefixes([3, 2], [3, 1])
    assert (caught.value.code, caught.value.item) == ("boundaries", "cu_seqlens_k")
