"""Decoding every picture of a pack by several processes or machines: what is found of a shard is kept in a journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.jobs.packs.check_verdicts import Verdict, Verdicts, judged
from facekit.output import FolderOutput
from facekit.records.structure import Structure
from facekit.run.choice import ExecutorChoice
from facekit.run.shard_file import ShardWriter, read_rows
from facekit.run.shards import Shard, cut, shard_size
from facekit.run.work import ShardWork, run_share

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CheckTask", "shared_verdicts"]


class CheckTask(NamedTuple):
    """One shard: where its records lie, and where what is found goes."""

    shard: Shard
    path: Path
    rec: Path
    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        return f"shard {self.shard.number} ({len(self.starts)} records of {self.rec} from byte {self.starts[0]})"


def shared_verdicts(output: FolderOutput, workers: int, executor: ExecutorChoice) -> Verdicts:
    """Have the pictures looked at by whom is named.

    Parameters
    ----------
    output : FolderOutput
        Open; keeps the journal.
    workers : int
    executor : ExecutorChoice

    Returns
    -------
    Verdicts
        May raise PartFinished, when the share of the part that was asked for is done.
    """

    def verdicts(rec: Path, records: Structure, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, list[Verdict]]]:
        shards = cut(len(rows), shard_size(len(rows)))

        def task_of(shard: Shard, path: Path) -> CheckTask:
            part = rows[shard.first : shard.stop]
            return CheckTask(shard, path, rec, records.offsets[part], records.stops[part])

        run_share(output, ShardWork("decoding", shards, task_of, start_worker, None, workers, executor))
        for shard in shards:
            yield shard.first, [Verdict(**row) for row in read_rows(output.shard(shard.number)).to_pylist()]

    return verdicts


def start_worker(_: None) -> Callable[[CheckTask], Shard]:
    """Return what is done with a task; there is nothing to open."""

    def work(task: CheckTask) -> Shard:
        found = [one for _, some in judged(task.rec, task.starts, task.stops, 1) for one in some]
        with ShardWriter(task.path) as out:
            out.finish(_table(found))
        return task.shard

    return work


def _table(found: list[Verdict]) -> pa.Table:
    import pyarrow as pa

    kinds = (pa.int32(), pa.int32(), pa.string(), pa.bool_(), pa.binary(), pa.string())
    columns = zip(*found, strict=True)
    return pa.table({name: pa.array(column, kind) for name, column, kind in zip(Verdict._fields, columns, kinds)})
