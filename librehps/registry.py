"""A registry turns a string from a config, a recipe or a command line into a constructor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from librehps.errors import ConfigError

T = TypeVar("T")


def nearest(name: object, known: Iterable[str]) -> str:
    """Return the end of a message about a name that is not known: the nearest one, and all.

    Args:
        name: What was asked for.
        known: What there is, in the order in which to list it.
    """
    names = list(known)
    near = get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"; {hint}known: {', '.join(names) or 'none'}"


class Registry(Generic[T]):
    """Names for parts of one kind. Iterating gives the names in the order of registration.

    Being registered means being tested: the contracts in ``librehps.testing`` run over every entry.

    Args:
        kind: What the entries are, for messages: ``"head"``, ``"token mixer"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under ``name`` and hands it back unchanged.

        Raises:
            ConfigError: ``name`` is taken (code ``name_taken``).
        """

        def decorate(entry: T) -> T:
            if name in self._entries:
                raise ConfigError(
                    f"the {self.kind} {name!r} is already registered", code="name_taken"
                )
            self._entries[name] = entry
            return entry

        return decorate

    def __getitem__(self, name: str) -> T:
        """Return the entry called ``name``.

        Raises:
            ConfigError: No such entry (code ``name_unknown``); lists the known ones.
        """
        if name not in self:
            raise ConfigError(
                f"no {self.kind} is called {name!r:.100}{nearest(name, self._entries)}",
                code="name_unknown",
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        # What a config says may be no text, and not even something that a dict can look up.
        return isinstance(name, str) and name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
