"""Options that several verbs share, and how examples are shown in the help."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Backbone(StrEnum):
    """Who runs the backbone."""

    native = "native"
    transformers = "transformers"


MODEL_HELP = "Checkpoint folder, or a Hugging Face id such as owner/name."

ModelOption = Annotated[str, typer.Option("--model", "-m", metavar="FOLDER|ID", help=MODEL_HELP)]
PromptOption = Annotated[
    str, typer.Option("--prompt", "-p", metavar="TEXT", help="What the images should show.")
]
DeviceOption = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1.")]
DtypeOption = Annotated[str, typer.Option(metavar="NAME", help="auto, bfloat16, float32, float16.")]
AttentionOption = Annotated[
    str, typer.Option("--attn-impl", metavar="NAME", help="auto, sdpa, eager, fa4, fa2.")
]
KernelsOption = Annotated[
    str, typer.Option("--kernel-impl", metavar="NAME", help="auto, torch, triton.")
]
BackboneOption = Annotated[
    Backbone, typer.Option(help="transformers runs the stock model under the same heads.")
]
RevisionOption = Annotated[
    str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a Hugging Face id.")
]
OfflineOption = Annotated[
    bool, typer.Option("--local-files-only", help="Never use the network, only what is cached.")
]
DeterministicOption = Annotated[
    bool, typer.Option("--deterministic", help="Score one by one: the same bits in any company.")
]
BatchTokensOption = Annotated[
    int, typer.Option("--batch-tokens", metavar="N", min=1, help="Most tokens packed in one batch.")
]
AxisOption = Annotated[str, typer.Option(metavar="NAME", help="The axis that decides.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")]


def examples(*lines: str) -> str:
    """Return an epilog that shows ``lines`` as they are."""
    # A line with nothing but this mark keeps the help from refilling the paragraph.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
