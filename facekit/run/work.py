"""The spine of every job over shards: do those that no earlier run finished, assemble the output, publish it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from facekit.output import FolderOutput
from facekit.run.executors import open_executor
from facekit.run.progress import progress
from facekit.run.protocol import Start
from facekit.run.shards import Shard

__all__ = ["ShardWork", "run_job", "run_shards"]


@dataclass(frozen=True)
class ShardWork:
    """Shards, and who does them.

    Attributes
    ----------
    title : str
        What the progress bar says.
    shards : sequence of Shard
        All of the job, in order.
    task_of : callable
        Makes of a shard and the path of its file what a worker needs to do it; called when the shard's turn comes.
    start, config
        ``start(config)`` makes the function that does a task and answers with its shard; once in each worker.
    workers : int
        Processes at the most.
    ray : bool
        On a Ray cluster instead of this machine.
    """

    title: str
    shards: Sequence[Shard]
    task_of: Callable[[Shard, Path], Any]
    start: Start
    config: Any
    workers: int = 1
    ray: bool = False


def run_job(output: FolderOutput, work: ShardWork, assemble: Callable[[FolderOutput], None]) -> int:
    """Do what is missing of a job, and publish it.

    Parameters
    ----------
    output : FolderOutput
        Opened here, and closed at the end.
    work : ShardWork
    assemble : callable
        Makes the output's folder from the finished shards.

    Returns
    -------
    int
        How many records were done now.
    """
    with output:
        if output.published:
            return 0
        done = run_shards(output, work)
        assemble(output)
        output.publish()
    return done


def run_shards(output: FolderOutput, work: ShardWork) -> int:
    """Have the shards done that are not finished yet.

    Returns
    -------
    int
        How many records were done now.
    """
    finished, total = output.finished(), sum(shard.stop - shard.first for shard in work.shards)
    waiting = [shard for shard in work.shards if shard.number not in finished]
    if not waiting:
        return 0
    count, workers = sum(shard.stop - shard.first for shard in waiting), min(work.workers, len(waiting))
    with (
        progress(work.title, total, total - count) as advance,
        open_executor(workers, work.start, work.config, work.ray) as executor,
    ):
        # A few more than are being worked on: a task holds its records' keys, and there may be ten thousand shards.
        ahead = iter(waiting)
        for shard in islice(ahead, 2 * workers):
            executor.submit(work.task_of(shard, output.shard(shard.number)))
        for _ in waiting:
            done = executor.next_finished()
            advance(done.stop - done.first)
            for shard in islice(ahead, 1):
                executor.submit(work.task_of(shard, output.shard(shard.number)))
    return count
