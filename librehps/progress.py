"""A bar on stderr for work that takes a while."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["ignore", "progress_bar"]


def ignore(count: int) -> None:
    """Count nothing, where no progress is shown."""


@contextmanager
def progress_bar(
    label: str, total: int, *, shown: bool = True, unit: str = "", each: float = 1.0
) -> Generator[Callable[[int], None]]:
    """Show a bar; what is yielded is called with the number of items finished since the last call.

    Args:
        label: What is being done.
        total: How many items there are.
        shown: False shows nothing.
        unit: What the rate counts; the items if it is empty.
        each: How many of that an item has.
    """
    if not shown:
        yield ignore
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """How many are done in a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{each * task.speed:.1f} {unit}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)
