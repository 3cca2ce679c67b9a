"""What a command would read and write, told instead of done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from facekit.output.inputs import Input
from facekit.output.system import free_bytes

__all__ = ["DryRun", "Plan", "dry_run", "is_dry", "stop_if_dry"]

_ASKED: ContextVar[bool] = ContextVar("dry_run", default=False)


@dataclass(frozen=True)
class Plan:
    """What a command would do.

    Attributes
    ----------
    command : str
        That writes; ``clean --model`` begins with ``embed``.
    destination : str
        What it would write.
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
        That a new run would take, about; None where not all of it was measured here by ``facekit cost``.
    """

    command: str
    destination: str
    reads: tuple[str, ...]
    files: int
    bytes_read: int
    bytes_needed: int
    bytes_free: int
    unfinished: bool
    pictures: int | None
    steps: dict[str, int]
    seconds: float | None = None


class DryRun(Exception):
    """Raised where a job would begin to write, when it was asked only to tell. It is no error.

    Attributes
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(f"nothing is written to {plan.destination}")
        self.plan = plan


@contextmanager
def dry_run() -> Iterator[None]:
    """Make every job that is called inside raise `DryRun` before it writes."""
    token = _ASKED.set(True)
    try:
        yield
    finally:
        _ASKED.reset(token)


def is_dry() -> bool:
    """Whether only the plan is wanted."""
    return _ASKED.get()


def stop_if_dry(
    command: str,
    target: Path | str,
    inputs: tuple[Input, ...],
    needed: int,
    unfinished: bool = False,
    pictures: int | None = None,
    steps: Mapping[str, int] | None = None,
) -> None:
    """End here where only the plan is wanted; see `Plan`. A ``target`` that is no path is an address in a store.

    Raises
    ------
    DryRun
    """
    if not _ASKED.get():
        return
    sizes = [os.stat(file).st_size for one in inputs for file in one.files() if os.path.exists(file)]
    reads = tuple(dict.fromkeys(one.path for one in inputs))
    free = free_bytes(target) if isinstance(target, Path) else -1
    known = (needed, free, unfinished, pictures, dict(steps or {}))
    raise DryRun(Plan(command, str(target), reads, len(sizes), sum(sizes), *known))
