"""A progress bar on stderr with rate and time left; silent where stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

__all__ = ["Advance", "by_position", "progress", "shows_progress", "silent"]

Advance = Callable[[int], None]


def shows_progress() -> bool:
    """Whether stderr is a terminal; a process may also have none at all, or one that is closed."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


def by_position(advance: Advance, step: int = 1 << 20) -> Callable[[int], None]:
    """What is to be called with positions instead of counts: it advances by what they have grown.

    Parameters
    ----------
    advance : callable
    step : int
        Growth below this waits, so that a bar is not drawn anew at every record.
    """
    shown = 0

    def reached(position: int) -> None:
        nonlocal shown
        if position >= shown + step:
            advance(position - shown)
            shown = position

    return reached


def silent(count: int) -> None:
    """Report nothing."""


@contextmanager
def progress(title: str, total: int, done: int = 0, unit: Literal["records", "bytes"] = "records") -> Iterator[Advance]:
    """Show how far a job is; the value is called with the number of records (or bytes) just finished.

    Parameters
    ----------
    title : str
        What is being done.
    total, done : int
        Records in all, and those that an earlier run finished (they do not count in the rate).
    unit : {"records", "bytes"}
        What is counted.
    """
    if not shows_progress():
        yield silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    counts: tuple[ProgressColumn, ProgressColumn] = (MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    if unit == "bytes":
        counts = (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn(compact=True))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, rate="")

        def advance(count: int) -> None:
            bar.advance(task, count)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:,.0f} records/s" if speed else "")

        yield advance
