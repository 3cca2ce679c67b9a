"""The spine of every job over shards: do those that no earlier run finished, assemble the output, publish it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from facekit.output import FolderOutput
from facekit.run.choice import LOCAL, ExecutorChoice, PartDone, PartFinished
from facekit.run.executors import open_executor
from facekit.run.memory import release_freed
from facekit.run.progress import progress
from facekit.run.protocol import Start
from facekit.run.shards import Shard

__all__ = ["ShardWork", "run_job", "run_shards", "run_share"]


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
    executor : ExecutorChoice
        Where they work, and which part of the shards is done.
    gpus : int
        Graphics cards that each worker needs to itself.
    count_refused : callable, optional
        How many records of a finished shard's file were refused; None where none can be.
    """

    title: str
    shards: Sequence[Shard]
    task_of: Callable[[Shard, Path], Any]
    start: Start
    config: Any
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    gpus: int = 0
    count_refused: Callable[[Path], int] | None = None

    def taken(self) -> list[Shard]:
        """The shards that are this run's to do."""
        part = self.executor.part
        return [shard for shard in self.shards if part is None or part.takes(shard.number)]


def run_job(
    output: FolderOutput,
    work: ShardWork,
    assemble: Callable[[FolderOutput], None],
    listed_in: str | None = None,
) -> int:
    """Do what is missing of a job, and publish it; of a part, do its share and publish nothing.

    Parameters
    ----------
    output : FolderOutput
        Opened here, and closed at the end.
    work : ShardWork
    assemble : callable
        Makes the output's folder from the finished shards.
    listed_in : str, optional
        See `FolderOutput.publish`.

    Returns
    -------
    int
        How many records were done now.

    Raises
    ------
    PartFinished
        The share of the part that was asked for is done.
    """
    with output:
        if output.published:
            return 0
        done = run_share(output, work)
        assemble(output)
        output.publish(listed_in)
    return done


def run_share(output: FolderOutput, work: ShardWork) -> int:
    """As `run_shards`; of a part, nothing follows.

    Raises
    ------
    PartFinished
        The share of the part that was asked for is done.
    """
    waiting, part = len(_missing(output, work)), work.executor.part
    done = run_shards(output, work)
    release_freed()  # of planning, and of a worker that was this process: what follows would come on top of it
    if part is not None:
        finished, wanted = output.finished(), {shard.number for shard in work.shards}
        raise PartFinished(PartDone(part, str(output.staging), waiting, done, len(finished & wanted), len(wanted)))
    return done


def _missing(output: FolderOutput, work: ShardWork) -> list[Shard]:
    finished = output.finished()
    return [shard for shard in work.taken() if shard.number not in finished]


def run_shards(output: FolderOutput, work: ShardWork) -> int:
    """Have the shards done that are not finished yet.

    Returns
    -------
    int
        How many records were done now.
    """
    waiting, total = _missing(output, work), sum(shard.stop - shard.first for shard in work.taken())
    if not waiting:
        return 0
    count, workers = sum(shard.stop - shard.first for shard in waiting), min(work.workers, len(waiting))
    instructions = output.settings.get("instruction_set")
    with (
        progress(work.title, total, total - count) as advance,
        open_executor(
            workers, work.start, work.config, work.executor, instructions=instructions, gpus=work.gpus
        ) as executor,
    ):
        # A few more than are being worked on: a task holds its records' keys, and there may be ten thousand shards.
        ahead = iter(waiting)
        for shard in islice(ahead, 2 * workers):
            executor.submit(work.task_of(shard, output.shard(shard.number)))
        for _ in waiting:
            done = executor.next_finished()
            count_refused = work.count_refused
            advance(
                done.stop - done.first,
                None if count_refused is None else count_refused(output.shard(done.number)),
            )
            for shard in islice(ahead, 1):
                executor.submit(work.task_of(shard, output.shard(shard.number)))
    return count
