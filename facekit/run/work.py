"""The middle of every job: have the shards done that no earlier run has finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from facekit.run.executors import open_executor
from facekit.run.journal import Journal
from facekit.run.progress import progress
from facekit.run.protocol import Start
from facekit.run.shards import Shard

__all__ = ["do_shards"]


def do_shards(
    doing: str,
    shards: Sequence[Shard],
    journal: Journal,
    task_of: Callable[[Shard], Any],
    workers: int,
    start: Start,
    config: Any,
    ray: bool = False,
) -> int:
    """Have the shards done that are not in the journal yet.

    Parameters
    ----------
    doing : str
        What the progress bar says.
    shards : sequence of Shard
        All of the job, in order.
    journal : Journal
        Knows which are finished.
    task_of : callable
        Makes of a shard what a worker needs to do it; called when the shard's turn comes.
    workers : int
        Processes at the most.
    start, config
        ``start(config)`` makes the function that does a task and answers with its shard; once in each worker.
    ray : bool
        On a Ray cluster instead of this machine.

    Returns
    -------
    int
        How many records were done now.
    """
    finished, total = journal.finished(), sum(shard.stop - shard.first for shard in shards)
    waiting = [shard for shard in shards if shard.number not in finished]
    if not waiting:
        return 0
    count, workers = sum(shard.stop - shard.first for shard in waiting), min(workers, len(waiting))
    with progress(doing, total, total - count) as advance, open_executor(workers, start, config, ray) as executor:
        # A few more than are being worked on: a task holds its records' keys, and there may be ten thousand shards.
        ahead = iter(waiting)
        for shard in islice(ahead, 2 * workers):
            executor.submit(task_of(shard))
        for _ in waiting:
            done = executor.next_finished()
            advance(done.stop - done.first)
            for shard in islice(ahead, 1):
                executor.submit(task_of(shard))
    return count
