"""What a command would read and write, told instead of done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from pathlib import Path

from facekit.output.inputs import Input, files_of
from facekit.output.system import free_bytes

__all__ = ["NOTHING_MORE", "DryRun", "Forecast", "Plan", "dry_run", "in_earnest", "is_dry", "stop_if_dry"]

_ASKED: ContextVar[bool] = ContextVar("dry_run", default=False)


@dataclass(frozen=True)
class Forecast:
    """What only the command itself knows of its run; each field is explained in `Plan`.

    Attributes
    ----------
    pictures : int or None
    steps : dict of str to int
    counts : dict of str to int
    writes : tuple of str
    memory : dict of str to int
    memory_free : int
    device : str or None
    times : dict of str to float or None
    timed : str or None
    """

    pictures: int | None = None
    steps: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    writes: tuple[str, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)
    memory_free: int = -1
    device: str | None = None
    times: Mapping[str, float | None] = field(default_factory=dict)
    timed: str | None = None


NOTHING_MORE = Forecast()
"""Of a command that knows no more than its files."""


@dataclass(frozen=True)
class Plan:
    """What a command would do.

    Attributes
    ----------
    command : str
        That writes; ``clean --model`` begins with ``embed``.
    destination : str or None
        What it would write; None where it only prints.
    reads : tuple of str
        What it would read, as it was named.
    files, bytes_read : int
        Files of these on the disk, and their size.
    bytes_needed : int
        That it would write at the most, what is kept on the way included.
    bytes_free : int
        Of the destination's disk; -1: not known.
    unfinished : bool
        Whether a run that was interrupted lies there, from which this one would go on.
    pictures : int or None
        That it would read; None where only reading would tell.
    steps : dict of str to int
        Steps of ``facekit cost`` that it would do, with their pictures (of ``pairs of centres`` the pairs).
    seconds : float or None
        That this run would take, about: the sum of ``times`` where there are some, else by what ``facekit cost``
        measured here; None where a part of it is not known.
    counts : dict of str to int
        What it would do, by name: images, pairs, steps, epochs, rounds.
    writes : tuple of str
        What it would write, where that is more than the destination: names in it or beside it, and what they are.
    memory : dict of str to int
        Bytes on ``device``, by what they are for. ``peak`` was measured, and is of all of it.
    memory_free : int
        Bytes of it that are free now; -1: not known.
    device : str or None
        Where the network would run.
    times : dict of str to float or None
        Seconds of each part; None where it is not estimated.
    timed : str or None
        What the times come from, or why there are none and how they are found out.
    """

    command: str
    destination: str | None
    reads: tuple[str, ...]
    files: int
    bytes_read: int
    bytes_needed: int
    bytes_free: int
    unfinished: bool
    pictures: int | None
    steps: dict[str, int]
    seconds: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    writes: tuple[str, ...] = ()
    memory: dict[str, int] = field(default_factory=dict)
    memory_free: int = -1
    device: str | None = None
    times: dict[str, float | None] = field(default_factory=dict)
    timed: str | None = None


class DryRun(Exception):
    """Raised where a job would begin to write, when it was asked only to tell. It is no error.

    Attributes
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(f"nothing is written to {plan.destination or 'anything'}")
        self.plan = plan


@contextmanager
def dry_run() -> Iterator[None]:
    """Make every job that is called inside raise `DryRun` before it writes."""
    token = _ASKED.set(True)
    try:
        yield
    finally:
        _ASKED.reset(token)


@contextmanager
def in_earnest() -> Iterator[None]:
    """Let a job that is called inside do what it does: a command that is planned looks at its inputs with it."""
    token = _ASKED.set(False)
    try:
        yield
    finally:
        _ASKED.reset(token)


def is_dry() -> bool:
    """Whether only the plan is wanted."""
    return _ASKED.get()


def stop_if_dry(
    command: str,
    target: Path | str | None,
    inputs: tuple[Input, ...],
    needed: int,
    unfinished: bool = False,
    forecast: Forecast = NOTHING_MORE,
) -> None:
    """End here where only the plan is wanted; see `Plan`. A ``target`` that is no path is an address in a store.

    Raises
    ------
    DryRun
    """
    if not _ASKED.get():
        return
    named = {os.path.realpath(file) for one in inputs for file in list(one.files()) or files_of(Path(one.path))}
    sizes = [os.stat(file).st_size for file in named if os.path.isfile(file)]
    reads = tuple(dict.fromkeys(one.path for one in inputs))
    free = free_bytes(target) if isinstance(target, Path) else -1
    said = {one.name: getattr(forecast, one.name) for one in fields(forecast)}
    said |= {name: dict(value) for name, value in said.items() if isinstance(value, Mapping)}
    times = tuple(forecast.times.values())
    seconds = None if not times or None in times else sum(time for time in times if time is not None)
    where = None if target is None else str(target)
    raise DryRun(Plan(command, where, reads, len(sizes), sum(sizes), needed, free, unfinished, seconds=seconds, **said))
