"""The clusters inside identities, found by workers or by parts: a range of identities is a shard.

Identities are clustered each for itself, so the nodes are those of one process, bit for bit.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.cluster import ChunkNodes, Clustering, cluster_chunks
from facekit.clean.identity_groups import Chunk, IdentityGroups, iterate_chunks
from facekit.clean.settings import CleanSettings
from facekit.clean.vectors import Vectors
from facekit.embeddings import is_features, open_features
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.features import FeatureRows
from facekit.output import FolderOutput
from facekit.run.shard_file import ShardWriter, read_records
from facekit.run.shards import Shard
from facekit.run.work import ShardWork, run_share

__all__ = ["share_clustering"]

SHARD_ROWS = 1 << 17
"""Faces of a shard at the least: a few CPU seconds at 512 numbers each."""


class NodeTask(NamedTuple):
    """A range of identities.

    Attributes
    ----------
    shard : Shard
        Of the rows, identity after identity.
    path : Path
    rows : (n,) int64
        Where their vectors are in the store, -1: nowhere.
    starts : (i + 1,) int64
        Where each identity starts among them.
    usable : (n,) bool or None
    settings : CleanSettings
    """

    shard: Shard
    path: Path
    rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    usable: npt.NDArray[np.bool_] | None
    settings: CleanSettings

    def __repr__(self) -> str:
        return f"shard {self.shard.number} ({len(self.starts) - 1} identities, {len(self.rows)} faces)"


class ArrayRows:
    """Rows of an array in another order, read when they are asked for."""

    def __init__(self, array: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> None:
        self._array, self._rows, self.shape = array, rows, (len(rows), array.shape[1])

    def __getitem__(self, wanted: Any) -> npt.NDArray[Any]:
        return np.asarray(self._array[self._rows[wanted]])


def share_clustering(output: FolderOutput, config: CleanConfig) -> Clustering:
    """Have the clusters found by whom the config names.

    Parameters
    ----------
    output : FolderOutput
        Keeps what is done.
    config : CleanConfig
        `features`, `workers` and `executor` are read.

    Returns
    -------
    callable
        Raises PartFinished where the share of the part that was asked for is done.
    """

    def clustering(
        vectors: Vectors, identities: IdentityGroups, settings: CleanSettings, usable: npt.NDArray[np.bool_] | None
    ) -> Iterator[ChunkNodes]:
        chunks = [*iterate_chunks(identities, SHARD_ROWS)]
        stops = np.cumsum([chunk.starts[-1] for chunk in chunks]).tolist()
        shards = [Shard(at, first, stop) for at, (first, stop) in enumerate(zip([0, *stops], stops))]
        alone = settings if config.workers == 1 else dataclasses.replace(settings, threads=1)

        def task_of(shard: Shard, path: Path) -> NodeTask:
            chunk = chunks[shard.number]
            some = None if usable is None else usable[chunk.rows]
            return NodeTask(shard, path, _rows_in_store(vectors, chunk), chunk.starts, some, alone)

        work = ShardWork("clustering", shards, task_of, start_worker, config.features, config.workers, config.executor)
        run_share(output, work)
        for chunk, shard in zip(chunks, shards, strict=True):
            yield _read(output.shard(shard.number), chunk)

    return clustering


def _rows_in_store(vectors: Vectors, chunk: Chunk) -> npt.NDArray[np.int64]:
    rows = np.arange(chunk.rows.start, chunk.rows.stop) if isinstance(chunk.rows, slice) else chunk.rows
    return vectors.rows[rows] if isinstance(vectors, FeatureRows) else rows


def start_worker(path: str) -> Callable[[NodeTask], Shard]:
    """Open the vectors, and return what is done with a task."""
    features = open_features(path) if is_features(Path(path)) else None
    array = np.zeros((0, 0)) if features is not None else np.load(path, mmap_mode="r", allow_pickle=False)

    def work(task: NodeTask) -> Shard:
        vectors: Vectors = FeatureRows(features, task.rows) if features is not None else ArrayRows(array, task.rows)
        identities = IdentityGroups(np.arange(len(task.starts) - 1), task.starts, None)
        found = _together([*cluster_chunks(vectors, identities, task.settings, task.usable)])
        _write(task.path, found)
        return task.shard

    return work


def _together(found: list[ChunkNodes]) -> ChunkNodes:
    """The nodes of chunks that follow one another, numbered through."""
    order, labels = [], []
    rows, nodes = 0, 0
    for chunk in found:
        order.append(chunk.order + rows)
        labels.append(np.where(chunk.labels >= 0, chunk.labels + nodes, -1))
        rows, nodes = rows + len(chunk.norms), nodes + len(chunk.size)
    others = (np.concatenate(column) for column in zip(*(chunk[3:] for chunk in found), strict=True))
    return ChunkNodes(slice(0, rows), np.concatenate(order), np.concatenate(labels), *others)


def _write(path: Path, found: ChunkNodes) -> None:
    import pyarrow as pa

    memory = io.BytesIO()
    np.savez(memory, *found[1:])
    with ShardWriter(path) as out:
        out.write(memory.getbuffer())
        out.finish(pa.table({"bytes": [memory.getbuffer().nbytes]}))


def _read(path: Path, chunk: Chunk) -> ChunkNodes:
    """The nodes of a finished shard, with rows and identities of the whole."""
    with np.load(io.BytesIO(read_records(path)), allow_pickle=False) as stored:
        found = ChunkNodes(chunk.rows, *(stored[name] for name in stored.files))
    return found._replace(identity=found.identity + chunk.identities.start)
