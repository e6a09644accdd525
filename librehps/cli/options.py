"""Options that several verbs share, and how examples are shown in the help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer


class Backbone(StrEnum):
    """Who runs the backbone."""

    native = "native"
    transformers = "transformers"


PromptOption = Annotated[
    str, typer.Option("--prompt", "-p", metavar="TEXT", help="What the images should show.")
]
RevisionOption = Annotated[
    str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a Hugging Face id.")
]
OfflineOption = Annotated[
    bool, typer.Option("--local-files-only", help="Never use the network, only what is cached.")
]
BatchTokensOption = Annotated[
    int, typer.Option("--batch-tokens", metavar="N", min=1, help="Most tokens packed in one batch.")
]
ResultsOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", show_default=False, help="Folder of the results.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder of scores that are kept; scores in --out if not given."
    ),
]
AxisOption = Annotated[str, typer.Option(metavar="NAME", help="The axis that decides.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model scores and how it runs: the options of every verb that scores.

    The help texts say what each is; they mean what they do in ``LibreHPS.from_pretrained``.
    """

    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="FOLDER|ID",
            help="Checkpoint folder, a Hugging Face id such as owner/name, or nano: the small "
            "model in the package, which knows drawn shapes and nothing of photographs.",
        ),
    ] = "nano"
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1.")] = "auto"
    dtype: Annotated[
        str, typer.Option(metavar="NAME", help="auto, bfloat16, float32, float16.")
    ] = "auto"
    attn_impl: Annotated[str, typer.Option(metavar="NAME", help="auto, sdpa, eager, fa4, fa2.")] = (
        "auto"
    )
    kernel_impl: Annotated[str, typer.Option(metavar="NAME", help="auto, torch, triton.")] = "auto"
    backbone: Annotated[
        Backbone, typer.Option(help="transformers runs the stock model under the same heads.")
    ] = Backbone.native
    revision: RevisionOption = None
    local_files_only: OfflineOption = False
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Score one by one: the same bits in any company."),
    ] = False


def with_model_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Return a verb whose parameter ``chosen: ModelOptions`` is an option for each of its fields.

    The options take the place of ``chosen`` in the order of the help.

    Args:
        verb: A function for the command line with keyword-only parameters, ``chosen`` among them.
    """
    hints = get_type_hints(ModelOptions, include_extras=True)
    chosen = [
        Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(ModelOptions)
    ]
    shown: list[Parameter] = []
    for parameter in signature(verb, eval_str=True).parameters.values():
        shown += chosen if parameter.name == "chosen" else [parameter]

    own = Signature(shown)

    def run(*args: Any, **options: Any) -> None:
        given = own.bind(*args, **options)
        given.apply_defaults()
        values = {parameter.name: given.arguments.pop(parameter.name) for parameter in chosen}
        verb(*given.args, **given.kwargs, chosen=ModelOptions(**values))

    run.__doc__ = verb.__doc__
    # Typer reads both, to make the options and to convert their values.
    run.__signature__ = own
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run


def examples(*lines: str) -> str:
    """Return an epilog that shows ``lines`` as they are."""
    # A line with nothing but this mark keeps the help from refilling the paragraph.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
