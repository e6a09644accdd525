"""The errors that librehps raises on purpose.

Each carries a stable ``code`` for programs and, where one input of several is at fault, the
``item`` that names it. A message says what was found, what the limit is, and what to do.
"""

from __future__ import annotations

from typing import Any


class LibreHPSError(Exception):
    """Base of every error raised on purpose.

    Args:
        message: What was found, the limit, and what to do about it.
        code: Stable machine-readable name, such as ``"image_truncated"``.
        item: The input at fault, such as ``"images[3]"`` or a path; prefixed to the message.
    """

    def __init__(self, message: str, *, code: str, item: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.item = item

    def __str__(self) -> str:
        return self.message if self.item is None else f"{self.item}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class without its keyword arguments: an error that was raised
        # in a worker process could then not be handed to its parent.
        return _restored, (type(self), self.message, self.code, self.item), self.__dict__

    def at(self, item: str) -> LibreHPSError:
        """Name the input at fault, keeping a name that is already there as the inner part."""
        self.item = item if self.item is None else f"{item} ({self.item})"
        return self

    def to_dict(self) -> dict[str, str | None]:
        """Return ``{"code", "item", "message"}`` for JSON output."""
        return {"code": self.code, "item": self.item, "message": self.message}


def _restored(
    kind: type[LibreHPSError], message: str, code: str, item: str | None
) -> LibreHPSError:
    return kind(message, code=code, item=item)


class InputError(LibreHPSError, ValueError):
    """An image, a prompt or a tensor that cannot be scored."""


class ConfigError(LibreHPSError, ValueError):
    """A setting, a name or a combination of them that makes no sense."""


class CheckpointError(LibreHPSError):
    """A checkpoint folder that is missing, damaged, hostile or not understood."""


class BackendError(LibreHPSError, RuntimeError):
    """A device, kernel or attention implementation that was asked for and is not available here."""
