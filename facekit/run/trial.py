"""How long shards will take, told from a few of their records, which are really done and thrown away: for plans.

A worker does them in this process, as the run would, below the system's temporary folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

from facekit.compiled import KERNELS, is_compiled, kernels_of
from facekit.output.dry_run import Forecast
from facekit.run.processors import processors
from facekit.run.shards import Shard
from facekit.run.work import ShardWork

__all__ = ["OTHERS", "SHARED", "Pace", "forecast_shards", "in_processes", "milliseconds", "try_shards"]

BUDGET, MOST = 1.2, 48
"""Seconds that a trial may take once a worker has begun, and records of a shard at the most."""

SHARED = "not estimated: it depends on who shares the work"
OTHERS = "what other programs do meanwhile counts too"
APART = "putting together what the workers made comes on top"
DONE = "seconds: every shard is done, and what is left is putting them together"
UNCOMPILED = "not estimated: the kernels are not compiled yet; facekit doctor --compile does it, once"


class Pace(NamedTuple):
    """How fast one process is.

    Attributes
    ----------
    records : int
        That were timed.
    each : float
        Seconds of one of them.
    start : float
        Seconds of a worker before its first record.
    """

    records: int
    each: float
    start: float


def forecast_shards(
    work: ShardWork,
    told: Forecast,
    finished: set[int],
    task_of: Callable[[Shard, Path], Any] | None = None,
    rooms: tuple[str, ...] = (),
) -> Forecast:
    """What a dry run tells of shards, having done some of their records.

    Parameters
    ----------
    work : ShardWork
    told : Forecast
        What is known besides.
    finished : set of int
        Numbers of the shards that an earlier run has done.
    task_of : callable, optional
        In place of that of ``work``, where that one writes elsewhere than where it is told to.
    rooms : tuple of str
        Of `facekit.compiled.KERNELS`: nothing is tried while some of their kernels are not compiled.

    Returns
    -------
    Forecast
    """
    waiting = [shard for shard in work.taken() if shard.number not in finished]
    left, total = (sum(shard.stop - shard.first for shard in some) for some in (waiting, work.taken()))
    if left < total:
        told = replace(told, counts={**told.counts, "done before": total - left})
    if not waiting:
        return replace(told, timed=DONE)
    if work.executor.is_shared:
        return replace(told, timed=SHARED)
    if not all(is_compiled(kernel) for room in rooms for module in KERNELS[room] for kernel in kernels_of(module)):
        return replace(told, timed=UNCOMPILED)
    pace = try_shards(work, waiting, task_of or work.task_of)
    workers = min(work.workers, len(waiting), processors())
    times: dict[str, float | None] = {"start": pace.start, work.title: pace.each * left / workers}
    return replace(told, times=times, timed="; ".join((in_processes(pace, workers), OTHERS, APART)))


def in_processes(pace: Pace, workers: int) -> str:
    """What was timed, for a person."""
    pictures, processes = ("" if number == 1 else ending for number, ending in ((pace.records, "s"), (workers, "es")))
    said = f"timed on {pace.records} picture{pictures}, {milliseconds(pace.each)} each"
    return f"{said}; shared by {workers} process{processes}"


def milliseconds(seconds: float) -> str:
    """A short time in words.

    >>> milliseconds(0.00123), milliseconds(2.1)
    ('1.23 ms', '2,100 ms')
    """
    return f"{1e3 * seconds:,.0f} ms" if seconds >= 0.1 else f"{1e3 * seconds:.3g} ms"


def try_shards(work: ShardWork, shards: Sequence[Shard], task_of: Callable[[Shard, Path], Any]) -> Pace:
    """Time some records of the first, the middle and the last of some shards.

    Parameters
    ----------
    work : ShardWork
    shards : sequence of Shard
        At least one.
    task_of : callable
        Makes of a shard, and of the path for its file, what a worker needs to do it.

    Returns
    -------
    Pace
    """
    places = sorted({0, len(shards) // 2, len(shards) - 1})
    with TemporaryDirectory(prefix="facekit-trial-") as folder:
        numbers = count()
        do, starting = _timed(lambda: work.start(work.config))

        def seconds(shard: Shard, records: int) -> float:
            some = Shard(shard.number, shard.first, min(shard.first + records, shard.stop))
            return _timed(lambda: do(task_of(some, Path(folder, str(next(numbers))))))[1]

        # Kernels and networks are loaded with the first record, which says nothing of the others.
        first, one = seconds(shards[0], 1), seconds(shards[0], 1)
        records = int(min(BUDGET / len(places) / one, MOST)) if one > 0 else MOST
        starting += max(first - one, 0)
        if not records:
            return Pace(1, one, starting)
        spent = sum(seconds(shards[place], records) for place in places)
        timed = sum(min(records, shards[place].stop - shards[place].first) for place in places)
    return Pace(timed, spent / timed, starting)


def _timed(do: Callable[[], Any]) -> tuple[Any, float]:
    started = perf_counter()
    found = do()
    return found, perf_counter() - started
