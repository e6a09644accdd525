"""The text around a prompt and its image: what the model is asked, and where each part goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import TypeAlias, cast

from librehps.errors import ConfigError, InputError
from librehps.registry import nearest

MAX_PROMPT_BYTES = 65536


@dataclass(frozen=True)
class LiteralText:
    """Text of the template itself: the names of special tokens in it mean those tokens."""

    text: str


@dataclass(frozen=True)
class UserText:
    """The prompt, or a named field: text in which nothing has a meaning of its own."""

    text: str


@dataclass(frozen=True)
class ImageSlot:
    """Where the tokens of the image go."""


@dataclass(frozen=True)
class MarkSlot:
    """Where the token goes whose hidden state can be pooled."""


Segment: TypeAlias = LiteralText | UserText | ImageSlot | MarkSlot

_SLOTS = ("image", "prompt", "mark")


@dataclass(frozen=True)
class PromptTemplate:
    """Text with places for an image, a prompt, and a token to pool.

    The text is what the model reads, with ``{image}`` and ``{prompt}`` once each, ``{mark}`` at
    most once and after both, and any named field of ``fields``. ``{{`` and ``}}`` are braces.
    Names of special tokens count as such in the text, and nowhere else: a field or a prompt that
    contains ``<|im_end|>`` gets its letters.

    Args:
        text: The template.
        fields: Text for each further name in braces.
        mark_token: The token that ``{mark}`` puts in.

    Raises:
        ConfigError: The text does not follow these rules; codes ``template_syntax``,
            ``template_field_unknown``, ``template_field_missing``, ``template_field_repeated``,
            ``template_field_name``, ``template_field_unused``, ``template_mark_position``,
            ``template_type``.
    """

    text: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    mark_token: str = "<|endoftext|>"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", dict(self.fields))
        _check_text(self.text, name="text")
        _check_text(self.mark_token, name="mark_token")
        for name, text in self.fields.items():
            _check_text(text, name=f"field {name!r}")
        _check_names([name for _, name in self._parts() if name is not None], self.fields)

    @property
    def has_mark(self) -> bool:
        """Whether there is a ``{mark}``."""
        return any(name == "mark" for _, name in self._parts())

    def segments(self, prompt: str) -> list[Segment]:
        """Return the parts of the filled-in template, in order."""
        return self._segments(self._parts(), prompt)

    def tail(self) -> list[Segment]:
        """Return the last of the image and the (empty) prompt, and the parts that follow it."""
        parts = self._parts()
        last = max(n for n, (_, name) in enumerate(parts) if name in ("image", "prompt"))
        return self._segments([("", parts[last][1]), *parts[last + 1 :]], "")

    def _segments(self, parts: list[tuple[str, str | None]], prompt: str) -> list[Segment]:
        segments: list[Segment] = []
        for literal, name in parts:
            if literal:
                segments.append(LiteralText(literal))
            if name == "image":
                segments.append(ImageSlot())
            elif name == "mark":
                segments.append(MarkSlot())
            elif name is not None:
                segments.append(UserText(prompt if name == "prompt" else self.fields[name]))
        return segments

    def to_dict(self) -> dict[str, object]:
        """Return what ``from_dict`` reads back, as it stands in a checkpoint's config."""
        return {"text": self.text, "fields": dict(self.fields), "mark_token": self.mark_token}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, object]) -> PromptTemplate:
        """Read a template from a config.

        Raises:
            ConfigError: A key is unknown or missing (code ``template_key``), or as the class does.
        """
        known = ("text", "fields", "mark_token")
        for key in mapping:
            if key not in known:
                raise ConfigError(
                    f"a prompt template has no {key!r}{nearest(key, known)}", code="template_key"
                )
        if "text" not in mapping:
            raise ConfigError("a prompt template needs a 'text'", code="template_key")
        fields = mapping.get("fields", {})
        if not isinstance(fields, Mapping):
            raise ConfigError(
                f"a template's fields are a mapping of texts, found {type(fields).__name__}",
                code="template_type",
            )
        pairs = cast("Mapping[object, object]", fields).items()
        return cls(
            text=_check_text(mapping["text"], name="text"),
            fields={
                _check_text(name, name="name of a field"): _check_text(text, name=f"field {name!r}")
                for name, text in pairs
            },
            mark_token=_check_text(mapping.get("mark_token", cls.mark_token), name="mark_token"),
        )

    def _parts(self) -> list[tuple[str, str | None]]:
        """Cut the text into pairs of literal text and the name in braces that follows it."""
        try:
            parts = list(Formatter().parse(self.text))
        except ValueError as error:
            raise ConfigError(
                f"the template's braces do not match ({error}); write {{{{ and }}}} for braces "
                "that are meant as such",
                code="template_syntax",
            ) from error
        for _, name, spec, conversion in parts:
            if spec or conversion:
                raise ConfigError(
                    f"the template has {{{name}}} with a format; only names are filled in",
                    code="template_syntax",
                )
        return [(literal, name) for literal, name, _, _ in parts]


def check_prompt(prompt: object, *, max_bytes: int = MAX_PROMPT_BYTES) -> str:
    """Return ``prompt`` if it is text that can be scored.

    Args:
        prompt: What the caller gave.
        max_bytes: Limit on its length in UTF-8.

    Raises:
        InputError: It is not a string (code ``prompt_type``), too long (``prompt_too_long``), has
            half of a surrogate pair (``prompt_encoding``), or nothing but blanks
            (``prompt_empty``).
    """
    if not isinstance(prompt, str):
        raise InputError(f"a prompt is a string, found {type(prompt).__name__}", code="prompt_type")
    # The number of characters is known at once; of a text that is far too long, no copy is made.
    num_bytes = len(prompt)
    if num_bytes <= max_bytes:
        try:
            num_bytes = len(prompt.encode())
        except UnicodeEncodeError as error:
            raise InputError(
                f"the prompt is not valid Unicode: half of a surrogate pair at character "
                f"{error.start}",
                code="prompt_encoding",
            ) from error
    if num_bytes > max_bytes:
        unit = "bytes" if num_bytes > len(prompt) else "characters"
        raise InputError(
            f"the prompt has {num_bytes} {unit}; at most {max_bytes} bytes are taken, and nothing "
            "is cut off silently: shorten it",
            code="prompt_too_long",
        )
    if not prompt.strip():
        raise InputError("the prompt is empty; say what the image should show", code="prompt_empty")
    return prompt


def _check_text(text: object, *, name: str) -> str:
    if not isinstance(text, str):
        raise ConfigError(
            f"a template's {name} is a string, found {type(text).__name__}", code="template_type"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"a template's {name} is not valid Unicode ({error.reason})", code="template_type"
        ) from error
    return text


def _check_names(names: list[str], fields: Mapping[str, str]) -> None:
    """Raise unless the names in braces are what a template needs and what its fields give."""
    known = (*_SLOTS, *fields)
    for name in fields:
        if name in _SLOTS or not name.isidentifier():
            raise ConfigError(
                f"a template's field cannot be called {name!r}: {', '.join(_SLOTS)} are taken, and "
                "a name is made of letters, digits and underscores",
                code="template_field_name",
            )
        if name not in names:
            raise ConfigError(
                f"the template has no place for its field {name!r}", code="template_field_unused"
            )
    for name in names:
        if name not in known:
            raise ConfigError(
                f"the template has a place for {name!r}, which is not among its fields"
                f"{nearest(name, known)}",
                code="template_field_unknown",
            )
    for name in _SLOTS:
        if names.count(name) > 1:
            raise ConfigError(
                f"the template has {{{name}}} {names.count(name)} times; once is the limit",
                code="template_field_repeated",
            )
        if name != "mark" and name not in names:
            raise ConfigError(f"the template has no {{{name}}}", code="template_field_missing")
    if "mark" in names and names.index("mark") < max(map(names.index, ("image", "prompt"))):
        raise ConfigError(
            "{mark} stands before the image or the prompt, where its token cannot see them; move "
            "it behind both",
            code="template_mark_position",
        )


DEFAULT_TEMPLATE = PromptTemplate(
    text=(
        "<|im_start|>user\n{instruction}\n{prompt}\n<|vision_start|>{image}<|vision_end|><|im_end|>\n"
        "<|im_start|>assistant\n{mark}"
    ),
    fields={
        "instruction": (
            "Below are a text and a picture that an image generator made from it. Judge the "
            "picture as a person would: overall, how well it shows what the text says, whether "
            "everything in it holds together, and how good it looks.\nText:"
        )
    },
)
"""A chat turn with the prompt before the image, so that images of one prompt share a prefix."""
