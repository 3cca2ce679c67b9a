"""Blocks of images that decisions keep, read and compared with what was decided about: here, or by others as shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import SourceRecord, read_records
from facekit.jobs.outputs.copy_shards import Copying
from facekit.output import FolderOutput
from facekit.run.ledger import payload_hash
from facekit.run.shard_blocks import record_blocks
from facekit.run.shard_file import ShardWriter, read_rows
from facekit.run.shards import Shard
from facekit.run.work import ShardWork, run_share

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Block", "BlockTask", "Share", "another_pack", "read_block", "share_blocks", "shared_blocks"]


class Share(NamedTuple):
    """Who reads the blocks, and the output that keeps them."""

    output: FolderOutput
    config: Copying


class Block(NamedTuple):
    """Records in the order in which they are to stand.

    Attributes
    ----------
    framed : bytearray or memoryview
        May be changed.
    sizes : (n,) int64
        Bytes of each.
    ids : (n,) uint64
        ``header.id``, as it was read.
    """

    framed: bytearray | memoryview
    sizes: npt.NDArray[np.int64]
    ids: npt.NDArray[np.uint64]


class BlockTask(NamedTuple):
    """One shard: its records in the order in which they are to stand, what their payloads must be, where it goes."""

    shard: Shard
    path: Path
    source: Source
    hashes: npt.NDArray[np.uint8]

    def __repr__(self) -> str:
        return f"shard {self.shard.number} ({len(self.source)} records of {self.source.path})"


def read_block(source: Source, hashes: npt.NDArray[np.uint8]) -> Block:
    """Read records, in whatever order they are wanted, as they follow each other in the file.

    Parameters
    ----------
    source : Source
        The records.
    hashes : (n, 16) uint8
        Of the payloads that were decided about.

    Raises
    ------
    FacekitError
        A payload is another.
    """
    physical = np.argsort(source.offsets, kind="stable")
    read: list[SourceRecord] = [*read_records(source.select_rows(physical))]
    found = [read[at] for at in np.argsort(physical)]
    for (record, _), known in zip(found, hashes, strict=True):
        if payload_hash(record.payload) != known.tobytes():
            raise another_pack(source, record.key)
    ids = np.array([record.header.id for record, _ in found], np.uint64)
    sizes = np.array([len(framed) for _, framed in found], np.int64)
    return Block(bytearray().join(framed for _, framed in found), sizes, ids)


def another_pack(source: Source, key: int) -> FacekitError:
    """What is wrong where the picture of a key is not the one that was decided about."""
    return FacekitError(
        f"{source.name}, key {key}: the picture is not the one that was decided about; "
        "these decisions belong to another pack (try --match hash)"
    )


def share_blocks(share: Share, tasks: Callable[[Shard, Path], BlockTask], shards: list[Shard]) -> bool:
    """Have the blocks read by whom the config names; False where that is this process alone.

    Raises
    ------
    PartFinished
        The share of the part that was asked for is done.
    """
    workers, executor = share.config.workers, share.config.executor
    if workers == 1 and not executor.is_shared and not share.output.finished():
        return False
    run_share(share.output, ShardWork("reading", shards, tasks, start_worker, None, workers, executor))
    return True


def start_worker(_: None) -> Callable[[BlockTask], Shard]:
    """Return what is done with a task; there is nothing to open."""

    def work(task: BlockTask) -> Shard:
        block = read_block(task.source, task.hashes)
        with ShardWriter(task.path) as out:
            out.write(block.framed)
            out.finish(_table(block))
        return task.shard

    return work


def _table(block: Block) -> pa.Table:
    import pyarrow as pa

    return pa.table({"size": block.sizes, "id": block.ids})


def shared_blocks(path: Path) -> Iterator[tuple[slice, Block]]:
    """The records of a finished shard, some at a time, and which they are; each block lasts until the next."""
    rows = read_rows(path)
    sizes, ids = rows["size"].to_numpy(), rows["id"].to_numpy()
    for some, framed, _ in record_blocks(path, np.cumsum(sizes) - sizes):
        yield some, Block(framed, sizes[some], ids[some])
