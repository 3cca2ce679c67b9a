"""How far a job is: a bar on a terminal; elsewhere a line of the log now and then, and nothing of quick jobs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Literal, Protocol

__all__ = ["Advance", "by_position", "draw_bars", "duration", "progress", "shows_progress", "silent"]

Unit = Literal["records", "bytes", "kernels"]


class Advance(Protocol):
    """Takes the number of records (or bytes) just finished, and where it is known how many of them were refused."""

    def __call__(self, count: int, /, refused: int | None = None) -> None: ...


EVERY = 60.0
"""Seconds after which a line is due."""

AT_LEAST = 10.0
"""Seconds between two lines at the least, whatever tenth of the job is reached."""

_log = logging.getLogger(__name__)
_bars = True


def draw_bars(allowed: bool) -> None:
    """Whether bars may be drawn where stderr is a terminal; if not, lines are logged there too."""
    global _bars
    _bars = allowed


def shows_progress() -> bool:
    """Whether a bar is drawn: stderr is a terminal. A process may also have none at all, or one that is closed."""
    try:
        return _bars and sys.stderr is not None and sys.stderr.isatty()
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


def silent(count: int, /, refused: int | None = None) -> None:
    """Report nothing."""


@contextmanager
def progress(title: str, total: int, done: int = 0, unit: Unit = "records") -> Iterator[Advance]:
    """Show how far a job is; the value is called with the number of records (or bytes) just finished.

    Parameters
    ----------
    title : str
        What is being done.
    total, done : int
        Records in all, and those that an earlier run finished (they do not count in the rate).
    unit : {"records", "bytes", "kernels"}
        What is counted.
    """
    if not shows_progress():
        yield _Lines(title, total, done, unit)
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
        so_far: int | None = None

        def advance(count: int, /, refused: int | None = None) -> None:
            nonlocal so_far
            if refused is not None:
                so_far = (so_far or 0) + refused
            bar.advance(task, count)
            speed = bar.tasks[0].speed
            said = [f"{speed:,.0f} {unit}/s"] if speed else []
            said += [] if so_far is None else [f"{so_far:,} refused"]
            bar.update(task, rate=", ".join(said))

        yield advance


class _Lines:
    """Logs a line once a minute, and at each tenth of a job that takes longer.

    Its record has the same as fields: title, unit, done, total, rate (a second), seconds_left, and refused, which is
    None where nothing can be. What an earlier run did or refused counts in done alone.
    """

    def __init__(self, title: str, total: int, done: int, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._before, self._done = done, done
        self._refused: int | None = None
        self._started = self._said = monotonic()
        self._tenth = self._tenths()

    def __call__(self, count: int, /, refused: int | None = None) -> None:
        self._done += count
        if refused is not None:
            self._refused = (self._refused or 0) + refused
        now, tenth = monotonic(), self._tenths()
        waited = now - self._said
        if waited >= EVERY or (tenth > self._tenth and waited >= AT_LEAST):
            self._said, self._tenth = now, tenth
            self._say((self._done - self._before) / max(now - self._started, 1e-9))

    def _tenths(self) -> int:
        return 10 * self._done // max(self._total, 1)

    def _say(self, rate: float) -> None:
        left = max(self._total - self._done, 0) / rate if rate else None
        fields = {
            "title": self._title,
            "unit": self._unit,
            "done": self._done,
            "total": self._total,
            "rate": round(rate, 3),
            "seconds_left": None if left is None else round(left),
            "refused": self._refused,
        }
        share = 100 * self._done // max(self._total, 1)
        _log.info(
            "%s: %s of %s %s (%d%%), %s/s, %s%s",
            self._title,
            self._amount(self._done),
            self._amount(self._total),
            self._unit,
            share,
            self._amount(round(rate, 1) if rate < 10 else round(rate)),
            "nothing yet" if left is None else f"{duration(left)} left" if left else "done",
            "" if self._refused is None else f", {self._refused:,} refused",
            extra={"fields": fields},
        )

    def _amount(self, count: float) -> str:
        return f"{count:,.{int(count % 1 > 0)}f}" if self._unit != "bytes" else f"{count / 1e6:,.1f} M"


def duration(seconds: float) -> str:
    """A time span in its two largest units.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str

    Examples
    --------
    >>> [duration(span) for span in (0.4, 75, 3600, 200_000)]
    ['0 s', '1 min 15 s', '1 h 0 min', '2 d 7 h']
    """
    whole = round(seconds)
    for large, small, size, rest in (("d", "h", 86_400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size} {large} {whole % size // rest} {small}"
    return f"{whole} s"
