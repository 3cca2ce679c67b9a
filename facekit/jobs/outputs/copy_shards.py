"""Copying records by shards, where several processes or machines share it: what each gathers, and how it is taken up.

A shard holds the framed records of a range of a selection, in order and as they were read, with their sizes and hashes.
What is written anew in them (labels, ids) depends on what stands before, and is done when the pack is put together. One
process alone gathers them on the spot, and writes each byte once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from facekit.jobs.outputs.ledger_rows import hash_block
from facekit.output import FolderOutput
from facekit.records.rewrite import Extents, read_extents
from facekit.run.choice import ExecutorChoice
from facekit.run.protocol import Start
from facekit.run.shard_file import ShardWriter, open_shard, read_rows
from facekit.run.shards import Shard, cut
from facekit.run.work import ShardWork, run_share

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Copying", "GatheredRecords", "Run", "gather_records", "gather_shards", "gathered_rows"]

SHARD_RECORDS = 16_384
"""Of a shard: at 7 kB a record some 115 MB, a second or two of a disk."""

HASH_BYTES = 16


class Copying(Protocol):
    """A config of a command that copies records."""

    @property
    def workers(self) -> int: ...

    @property
    def executor(self) -> ExecutorChoice: ...


class Run(NamedTuple):
    """Records of one file, in the order in which they are to stand."""

    rec: Path
    where: Extents


class CopyTask(NamedTuple):
    """One shard: where its records lie, and where it goes."""

    shard: Shard
    path: Path
    runs: tuple[Run, ...]
    hashes: bool

    def __repr__(self) -> str:
        files = ", ".join(sorted({str(run.rec) for run in self.runs}))
        return f"shard {self.shard.number} ({self.shard.stop - self.shard.first} records of {files})"


def gather_records(
    output: FolderOutput,
    count: int,
    runs_of: Callable[[int, int], Iterator[Run]],
    config: Copying,
    hashes: bool,
    title: str,
) -> GatheredRecords | None:
    """Have the records of a selection gathered by others.

    Parameters
    ----------
    output : FolderOutput
        Open.
    count : int
        Records of the selection.
    runs_of : callable
        Gives what is to be read for a range of the selection.
    config : Copying
    hashes : bool
        Hash the payloads.
    title : str
        What the progress bar says.

    Returns
    -------
    GatheredRecords or None
        None: nobody else works on it, so the records are best read where they are written.

    Raises
    ------
    PartFinished
        The share of the part that was asked for is done.
    """

    def task_of(shard: Shard, path: Path) -> CopyTask:
        return CopyTask(shard, path, tuple(runs_of(shard.first, shard.stop)), hashes)

    return gather_shards(output, count, task_of, start_worker, config, title)


def gather_shards(
    output: FolderOutput,
    count: int,
    task_of: Callable[[Shard, Path], Any],
    start: Start,
    config: Copying,
    title: str,
) -> GatheredRecords | None:
    """As `gather_records`, whatever a worker does to gather; its shards end with `gathered_rows`."""
    if config.workers == 1 and not config.executor.is_shared and not output.finished():
        return None
    shards = cut(count, SHARD_RECORDS)
    run_share(output, ShardWork(title, shards, task_of, start, None, config.workers, config.executor))
    return GatheredRecords([output.shard(shard.number) for shard in shards])


def start_worker(_: None) -> Callable[[CopyTask], Shard]:
    """Return what is done with a task; there is nothing to open."""

    def work(task: CopyTask) -> Shard:
        gather_shard(task)
        return task.shard

    return work


def gather_shard(task: CopyTask) -> None:
    """Read the records of a shard and leave its file."""
    sizes: list[npt.NDArray[np.int64]] = []
    digests: list[bytes] = []
    with ShardWriter(task.path) as out, ThreadPoolExecutor(1) as pool:
        for run in task.runs:
            for rows, block, starts in read_extents(run.rec, run.where):
                out.write(block)
                sizes.append(run.where.sizes[rows].astype(np.int64))
                digests.append(hash_block(block, starts, pool) if task.hashes else b"")
        out.finish(gathered_rows(np.concatenate(sizes), b"".join(digests)))


def gathered_rows(sizes: npt.NDArray[np.int64], digests: bytes) -> pa.Table:
    """What stands behind the records of a shard: (n,) their framed sizes, and their hashes, or nothing."""
    import pyarrow as pa

    columns = {"size": pa.array(sizes)}
    if digests:
        columns["hash"] = pa.Array.from_buffers(pa.binary(HASH_BYTES), len(sizes), [None, pa.py_buffer(digests)])
    return pa.table(columns)


class _Opened(NamedTuple):
    """A shard that is being taken up."""

    number: int
    path: Path
    stops: npt.NDArray[np.int64]
    hashes: memoryview


class GatheredRecords:
    """The records of a selection, as finished shards hold them; read from the first to the last.

    Parameters
    ----------
    paths : sequence of Path
        Of the shards.
    start : int
        Place in the selection that is to be 0.
    """

    def __init__(self, paths: Sequence[Path], start: int = 0) -> None:
        self._paths, self._start = paths, start
        self._opened: _Opened | None = None

    def since(self, start: int) -> GatheredRecords:
        """Those from a place on, which becomes 0: of several packs of one selection."""
        return GatheredRecords(self._paths, self._start + start)

    def read(self, first: int, stop: int, buffer: memoryview) -> None:
        """Read the framed records from one place of the selection to another."""
        filled = 0
        for shard, low, high in self._parts(first, stop):
            start = int(shard.stops[low - 1]) if low else 0
            length = int(shard.stops[high - 1]) - start
            with open(shard.path, "rb", buffering=0) as file:
                file.seek(start)
                while length:
                    read = file.readinto(buffer[filled : filled + length])
                    if not read:
                        open_shard(shard.path)  # says that it is not whole
                        raise OSError(f"{shard.path} became shorter while it was read")
                    filled, length = filled + read, length - read

    def framed(self, first: int, stop: int) -> Iterator[bytes]:
        """The framed records from one place of the selection to another, one after another."""
        for shard, low, high in self._parts(first, stop):
            start = int(shard.stops[low - 1]) if low else 0
            stops = (shard.stops[low:high] - start).tolist()
            block = memoryview(bytearray(stops[-1]))
            at = shard.number * SHARD_RECORDS + low - self._start
            self.read(at, at + high - low, block)
            yield from (bytes(block[begin:end]) for begin, end in zip([0, *stops], stops))

    def digests(self, first: int, stop: int) -> bytes:
        """Their hashes, 16 bytes each, one after another."""
        parts = self._parts(first, stop)
        return b"".join(bytes(shard.hashes[low * HASH_BYTES : high * HASH_BYTES]) for shard, low, high in parts)

    def _parts(self, first: int, stop: int) -> Iterator[tuple[_Opened, int, int]]:
        first, stop = first + self._start, stop + self._start
        while first < stop:
            number, low = divmod(first, SHARD_RECORDS)
            high = min(stop - number * SHARD_RECORDS, SHARD_RECORDS)
            yield self._open(number), low, high
            first = number * SHARD_RECORDS + high

    def _open(self, number: int) -> _Opened:
        if self._opened is None or self._opened.number != number:
            path = self._paths[number]
            rows = read_rows(path)
            hashes = memoryview(b"")
            if "hash" in rows.column_names:
                column = rows["hash"].combine_chunks()
                hashes = memoryview(column.buffers()[1])[column.offset * HASH_BYTES :]
            self._opened = _Opened(number, path, np.cumsum(rows["size"].to_numpy()), hashes)
        return self._opened
