"""What a worker does with one shard of a masking job: records in; framed records, ledger rows and meshes out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError, RecordError
from facekit.faces.cache import MeshCache, MeshCacheWriter
from facekit.faces.estimators import KeyedMeshes, MeshSource
from facekit.faces.gate import gate
from facekit.faces.mesh import MeshEstimator
from facekit.images import decode, encode_like
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import SourceRecord, read_records
from facekit.jobs.mask.config import MaskConfig
from facekit.records import Record, pack_record
from facekit.records.framing import frame
from facekit.run.ledger import LedgerRow, payload_hash, table
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MaskTask", "MaskWorker", "Wear", "draw_type", "limit_threads", "start_worker"]

logger = logging.getLogger(__name__)


STOPS = (ImportError, MemoryError, OSError, RecordError)
"""Errors that are not about one picture: the job ends, and can be taken up when they are mended."""


class Params(Protocol):
    """What was drawn for one worn mask."""

    @property
    def type(self) -> str: ...

    def to_json(self) -> str: ...


class Wear(Protocol):
    """Draws one worn mask of a type and renders it: picture, vertices, type, generator -> picture, parameters."""

    def __call__(
        self,
        image: npt.NDArray[np.uint8],
        vertices: npt.NDArray[np.float32],
        type: str,
        rng: np.random.Generator,
    ) -> tuple[npt.NDArray[np.uint8], Params]: ...


class MaskWorker(NamedTuple):
    """What every worker of a job is given: settings, and how to make the two things that look at pictures."""

    config: MaskConfig
    fingerprint: str
    """Binds the mesh cache to its source."""
    estimator: Callable[[], MeshEstimator]
    wear: Callable[[MaskConfig], Wear]


class MaskTask(NamedTuple):
    """One shard: its records, how many masks each is to wear, and where the result goes."""

    shard: Shard
    path: Path
    source: Source
    copies: npt.NDArray[np.uint16]
    already_masked: dict[int, tuple[str | None, str | None, float | None]]
    """Type, params and score of the pictures that wear a mask already, by key."""

    def __repr__(self) -> str:
        keys = self.source.keys
        return f"shard {self.shard.number} ({len(keys)} records of {self.source.path}, keys {keys[0]} to {keys[-1]})"


class Outcome(NamedTuple):
    """One line of the ledger, and the framed record that belongs to it, if there is one."""

    row: LedgerRow
    framed: bytes | None = None


def start_worker(worker: MaskWorker) -> Callable[[MaskTask], Shard]:
    """Open what a worker keeps open, and return what it does with a task."""
    limit_threads()
    estimate, wear = worker.estimator(), worker.wear(worker.config)
    known: list[MeshSource] = []
    if worker.config.mesh_cache is not None and Path(worker.config.mesh_cache).exists():
        known.append(MeshCache(worker.config.mesh_cache, worker.fingerprint))

    def work(task: MaskTask) -> Shard:
        if worker.config.mesh_cache is None:
            run_shard(task, worker.config, KeyedMeshes(estimate, known), wear)
            return task.shard
        with MeshCacheWriter(meshes_beside(task.path), worker.fingerprint) as part:
            run_shard(task, worker.config, KeyedMeshes(estimate, known, part), wear)
        return task.shard

    return work


def limit_threads() -> None:
    """One thread for OpenCV: workers are the parallelism, and a shard's bytes must not depend on a pool."""
    import cv2

    cv2.setNumThreads(1)


def meshes_beside(path: Path) -> Path:
    """Where the meshes that were found for a shard are kept."""
    return path.with_name(path.name + ".meshes")


def run_shard(task: MaskTask, config: MaskConfig, meshes: KeyedMeshes, wear: Wear) -> None:
    """Work through a shard and leave its file."""
    rows = ShardRows()
    with ShardWriter(task.path) as out:
        pictures, labels = task.source.pictures.tolist(), task.source.labels.tolist()
        entries = zip(read_records(task.source), task.copies.tolist(), pictures, labels, strict=True)
        for source, copies, picture, label in entries:
            key = source.record.key
            if key in task.already_masked:
                outcomes: Iterable[Outcome] = [kept_masked(source, *task.already_masked[key])]
            elif picture:
                outcomes = mask_picture(source, copies, config, meshes, wear)
            else:
                outcomes = [kept(source, "layout")]
            for row, framed in outcomes:
                offset = out.write(framed) if framed is not None else -1
                rows.append(row, offset, label, source.record.header.id)
        out.finish(rows.table())


def mask_picture(
    source: SourceRecord, copies: int, config: MaskConfig, meshes: KeyedMeshes, wear: Wear
) -> Iterator[Outcome]:
    """What becomes of one picture: itself, its masked copies, or the reasons why there are none."""
    if copies == 0:
        yield kept(source, "copy")
        return
    outcomes = list(masked_copies(source, copies, config, meshes, wear))
    if config.mode == "add":
        yield kept(source, "copy")
        yield from outcomes
    else:
        # In place of a picture that cannot be masked stands the picture; its row says why.
        yield from (outcome if outcome.framed else Outcome(outcome.row, source.framed) for outcome in outcomes)


def masked_copies(
    source: SourceRecord, copies: int, config: MaskConfig, meshes: KeyedMeshes, wear: Wear
) -> Iterator[Outcome]:
    """As many outcomes as copies were asked for: masked pictures, or the reason why there is none."""
    record, done = source.record, 0
    try:
        image = decode(record.payload)
        mesh = meshes(record.key, image)
        reason = gate(mesh, image.shape)
        if reason is not None:
            yield from [Outcome(row_of(source, "refused", score=mesh.presence, reason=reason))] * copies
            return
        for copy in range(copies):
            rng = np.random.default_rng([config.seed, record.key, copy])
            worn, params = wear(image, mesh.vertices, draw_type(rng, config.types), rng)
            yield masked(record, encode_like(worn, record.payload), params, mesh.presence)
            done += 1
    except STOPS:
        raise
    except Exception as error:
        # One odd picture must not end a run of days: its rows say what went wrong, and the summary counts them.
        logger.info("key %d was not masked: %s", record.key, error, exc_info=not isinstance(error, FacekitError))
        yield from [Outcome(row_of(source, "error", reason=f"{type(error).__name__}: {error}"))] * (copies - done)


def masked(record: Record, payload: bytes, params: Params, score: float) -> Outcome:
    """A masked copy: the record with another payload."""
    row = LedgerRow(None, record.key, payload_hash(payload), "mask", params.type, params.to_json(), score)
    return Outcome(row, frame(pack_record(record.header, payload)))


def draw_type(rng: np.random.Generator, types: tuple[tuple[str, float], ...]) -> str:
    """A mask type, by weight."""
    names, weights = zip(*types, strict=True)
    edges = np.cumsum(weights)
    return str(names[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))])


def kept(source: SourceRecord, action: str) -> Outcome:
    """The record as it was read, byte for byte."""
    return Outcome(row_of(source, action), source.framed)


def kept_masked(source: SourceRecord, type: str | None, params: str | None, score: float | None) -> Outcome:
    """A picture that wears a mask already, byte for byte; its row goes on saying which."""
    return Outcome(row_of(source, "mask", type=type, params=params, score=score), source.framed)


def row_of(source: SourceRecord, action: str, **more: Any) -> LedgerRow:
    """A row about a record whose payload did not change."""
    return LedgerRow(None, source.record.key, payload_hash(source.record.payload), action, **more)


class ShardRows:
    """The rows of a shard: ledger columns, and three that are needed to put the output together."""

    def __init__(self) -> None:
        self._rows: list[LedgerRow] = []
        self._places: list[tuple[int, int, int]] = []

    def append(self, row: LedgerRow, offset: int, label: int, id: int) -> None:
        """Add a row, the offset in the shard (-1: it wrote no record), and class and ``header.id`` of its record."""
        self._rows.append(row)
        self._places.append((offset, label, id))

    def table(self) -> pa.Table:
        """Everything as an Arrow table."""
        import pyarrow as pa

        offsets, labels, ids = zip(*self._places, strict=True)
        rows = table(self._rows)
        rows = rows.append_column("offset", pa.array(offsets, pa.int64()))
        rows = rows.append_column("label", pa.array(labels, pa.int64()))
        return rows.append_column("id", pa.array(ids, pa.uint64()))
