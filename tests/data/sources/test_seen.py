from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from librehps.data.sources.seen import SeenKeys


@given(st.lists(st.text(st.characters(), max_size=3)))
def test_a_key_is_new_once(keys: list[str]) -> None:
    seen, plain = SeenKeys(), set[str]()
    for key in keys:
        assert seen.add(key) == (key not in plain)
        plain.add(key)
    assert len(seen) == len(plain)


def test_it_grows_and_stays_small() -> None:
    tracemalloc.start()
    seen = SeenKeys()
    assert all(seen.add(str(number)) for number in range(600))
    assert not any(seen.add(str(number)) for number in range(600))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 40 * 600


def test_a_hash_of_zero_is_a_key_like_others(monkeypatch) -> None:
    class Zero:
        def __init__(self, *_: object, **__: object) -> None: ...
        def digest(self) -> bytes:
            return bytes(8)

    monkeypatch.setattr("hashlib.blake2b", Zero)
    seen = SeenKeys()
    assert seen.add("a")
    assert not seen.add("a")
