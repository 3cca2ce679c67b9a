"""A progress bar on stderr with rate and time left; silent where stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Advance", "progress", "silent"]

Advance = Callable[[int], None]


def silent(count: int) -> None:
    """Report nothing."""


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show how far a job is; the value is called with the number of records just finished.

    Parameters
    ----------
    title : str
        What is being done.
    total, done : int
        Records in all, and those that an earlier run finished (they do not count in the rate).
    """
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, rate="")

        def advance(count: int) -> None:
            bar.advance(task, count)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:,.0f} records/s" if speed else "")

        yield advance
