"""What a head is: the axes, the output, the protocol and the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from librehps.errors import ConfigError
from librehps.registry import Registry, nearest
from librehps.typing import Float, Tensor

__all__ = ["AXES", "HEADS", "Head", "HeadOutput", "check_axes", "read_settings"]

#: Every axis that a score can have, in the order in which they are shown.
AXES = ("overall", "alignment", "coherence", "style", "temporal")


@dataclass(frozen=True)
class HeadOutput:
    """The scores of one head for a batch.

    Args:
        mean: Score per sequence and axis, in log-odds, float32.
        sigma: Standard deviation of the score's noise, in log-odds and positive, float32; None
            where the head has no such output.
        axes: Names of the columns.
    """

    mean: Float[Tensor, "N A"]
    sigma: Float[Tensor, "N A"] | None
    axes: tuple[str, ...]

    def axis(self, name: str) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"] | None]:
        """Return the mean and the sigma of one axis.

        Raises:
            ConfigError: The head does not score that axis (code ``axis_unknown``).
        """
        if name not in self.axes:
            raise ConfigError(
                f"this head has no axis {name!r}; it has {', '.join(self.axes)}",
                code="axis_unknown",
            )
        column = self.axes.index(name)
        return self.mean[:, column], None if self.sigma is None else self.sigma[:, column]


@runtime_checkable
class Head(Protocol):
    """A module from hidden states to a `HeadOutput`, one row per sequence.

    It is fed a pooled vector per sequence, ``[N, D]``. One that wants more tokens of each has the
    attribute ``last_tokens`` besides and is a ``SequenceHead``.

    An implementation is an ``nn.Module``; computes in float32 (or in float64 where its parameters
    are float64) whatever it is fed; and is rebuilt by ``from_config(head.to_config(), ...)``.
    """

    axes: tuple[str, ...]

    def __call__(self, hidden: Any, /) -> HeadOutput:
        """Score a batch: of pooled hidden states, or of ``Sequences``."""
        ...

    def to_config(self) -> dict[str, Any]:
        """Return the constructor's settings as JSON data, with the registered name as ``kind``."""
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, hidden_size: int) -> Head:
        """Build an untrained head from what `to_config` returned.

        Raises:
            ConfigError: An unknown key, an unknown axis, or a value out of range.
        """
        ...


#: Heads by the name that a checkpoint's config gives as ``kind``.
HEADS: Registry[type[Head]] = Registry("head")


def check_axes(axes: Sequence[str]) -> tuple[str, ...]:
    """Return ``axes`` as a tuple of known names without repeats.

    Raises:
        ConfigError: Empty or repeated (code ``axes_repeated``), or a name that is none of `AXES`
            (``axis_unknown``).
    """
    names = tuple(axes)
    for name in names:
        if name not in AXES:
            raise ConfigError(f"unknown axis {name!r}{nearest(name, AXES)}", code="axis_unknown")
    if not names or len(set(names)) != len(names):
        raise ConfigError(
            f"axes must be at least one name and none twice, not {list(names)}",
            code="axes_repeated",
        )
    return names


def read_settings(
    config: Mapping[str, Any], *, kind: str, known: Mapping[str, str]
) -> dict[str, Any]:
    """Return the settings in a head's config, after checking their names and types.

    Args:
        config: What `Head.to_config` returned, or a checkpoint's config says.
        kind: The registered name of the head that is being built.
        known: Its settings and their types: ``"widths"``, ``"names"``, ``"name"``, ``"flag"``,
            ``"count"`` or ``"number"``.

    Raises:
        ConfigError: The wrong ``kind`` (code ``head_kind``), an unknown key (``head_key``) or a
            value of the wrong type (``head_value``).
    """
    if config.get("kind", kind) != kind:
        raise ConfigError(
            f"a config of kind {config['kind']!r} cannot build a {kind} head", code="head_kind"
        )
    for key, value in config.items():
        if key == "kind":
            continue
        if key not in known:
            raise ConfigError(
                f"the {kind} head has no setting {key!r}; it has {', '.join(known)}",
                code="head_key",
            )
        if not _TYPES[known[key]](value):
            raise ConfigError(
                f"the {kind} head's {key!r} is of the wrong type: {value!r}", code="head_value"
            )
    return {key: config[key] for key in known if key in config}


def _is_list_of(value: Any, kind: type) -> bool:
    # type() and not isinstance(): in JSON true is no width, though bool is an int in Python.
    return isinstance(value, list | tuple) and all(type(item) is kind for item in value)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "widths": lambda value: _is_list_of(value, int),
    "names": lambda value: _is_list_of(value, str),
    "name": lambda value: isinstance(value, str),
    "flag": lambda value: isinstance(value, bool),
    "count": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
}
