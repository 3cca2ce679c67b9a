"""Records that go into or come out of shards, gathered by several processes or machines; see `copy_shards`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.jobs.outputs.copy_shards import Copying, GatheredRecords, gather_shards, gathered_rows
from facekit.jobs.outputs.rewrite import PackSource, Selection, share_copying
from facekit.output import FolderOutput
from facekit.records import Record, pack_record, unframe, unpack_record
from facekit.records.framing import frame
from facekit.records.tar_shards import TarReader, TarSamples
from facekit.run.ledger import payload_hash
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard

__all__ = ["share_samples", "shared_records"]

AT_ONCE = 256


class SampleCopyTask(NamedTuple):
    """Samples of tar shards that stand together in a selection, and where they go."""

    shard: Shard
    path: Path
    samples: TarSamples
    hashes: bool

    def __repr__(self) -> str:
        return f"shard {self.shard.number} ({len(self.samples.keys)} samples of {len(self.samples.paths)} tars)"


def share_samples(
    output: FolderOutput, source: PackSource | TarSamples, rows: npt.NDArray[np.int64], config: Copying, hashes: bool
) -> GatheredRecords | None:
    """Have some records gathered by whom the config names, in the order of ``rows``.

    Parameters
    ----------
    output : FolderOutput
        Open.
    source : PackSource or TarSamples
    rows : (n,) int64
    config : Copying
    hashes : bool
        Hash the payloads.

    Returns
    -------
    GatheredRecords or None
        None: nobody but this process.

    Raises
    ------
    PartFinished
        The share of the part that was asked for is done.
    """
    if isinstance(source, PackSource):
        chosen = Selection(np.zeros(len(rows), np.int32), rows, source.labels[rows])
        return share_copying(output, [source], chosen, config, hashes, "converting")

    def task_of(shard: Shard, path: Path) -> SampleCopyTask:
        return SampleCopyTask(shard, path, source.chosen(rows[shard.first : shard.stop]), hashes)

    return gather_shards(output, len(rows), task_of, start_worker, config, "converting")


def start_worker(_: None) -> Callable[[SampleCopyTask], Shard]:
    """Return what is done with a task; there is nothing to open."""

    def work(task: SampleCopyTask) -> Shard:
        sizes: list[int] = []
        digests: list[bytes] = []
        with ShardWriter(task.path) as out, TarReader(task.samples) as reader:
            for place in range(len(task.samples.keys)):
                record = reader.read(place)
                framed = frame(pack_record(record.header, record.payload))
                out.write(framed)
                sizes.append(len(framed))
                digests.append(payload_hash(record.payload) if task.hashes else b"")
            out.finish(gathered_rows(np.array(sizes, np.int64), b"".join(digests)))
        return task.shard

    return work


def shared_records(gathered: GatheredRecords, keys: npt.NDArray[np.int64]) -> Iterator[Record]:
    """The gathered records, from the first to the last; (n,) int64 ``keys`` are those that they had."""
    for first in range(0, len(keys), AT_ONCE):
        some = keys[first : first + AT_ONCE].tolist()
        for key, framed in zip(some, gathered.framed(first, first + len(some)), strict=True):
            yield Record(key, *unpack_record(unframe(framed)[0]))
