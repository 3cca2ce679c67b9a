"""What a worker does with one shard of an embedding job: records in, a file of vectors and their index rows out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.embeddings import Engine, embed_pictures
from facekit.embeddings.store import index_schema
from facekit.errors import FacekitError
from facekit.images import decode
from facekit.jobs.inputs.ledger import MaskFlags
from facekit.jobs.inputs.model import ModelChoice, open_engine
from facekit.jobs.inputs.source import Source, read_records
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EmbedTask", "start_worker", "vectors_beside"]


class EmbedTask(NamedTuple):
    """One shard: its records, what is known about them, and where the result goes."""

    shard: Shard
    path: Path
    source: Source
    flags: MaskFlags

    def __repr__(self) -> str:
        keys = self.source.keys
        return f"shard {self.shard.number} ({len(keys)} records of {self.source.path}, keys {keys[0]} to {keys[-1]})"


class Picture(NamedTuple):
    """A record on its way, with the picture or the reason why there is none."""

    key: int
    label: int
    masked: bool
    source_key: int
    image: npt.NDArray[np.uint8] | None
    error: str | None = None


def start_worker(choice: ModelChoice) -> Callable[[EmbedTask], Shard]:
    """Open the model, and return what is done with a task."""
    engine = open_engine(choice)

    def work(task: EmbedTask) -> Shard:
        run_shard(task, engine, choice)
        return task.shard

    return work


def vectors_beside(path: Path) -> Path:
    """Where the vectors of a shard lie; they are there when the shard is finished."""
    return path.with_name(path.name + ".npy")


def run_shard(task: EmbedTask, engine: Engine, choice: ModelChoice) -> None:
    """Embed a shard: first its vectors are put in place, then the file that says that it is done."""
    rows: list[dict[str, Any]] = []
    vectors = [
        block
        for batch in batches(pictures(task, engine), choice.batch)
        for block in embed_batch(batch, engine, choice, rows)
    ]
    save_vectors(vectors_beside(task.path), vectors)
    with ShardWriter(task.path) as out:
        out.finish(table(rows))


def pictures(task: EmbedTask, engine: Engine) -> Iterator[Picture]:
    """The records of a shard, decoded; one that is no picture, or of a wrong size, says so."""
    known = zip(task.source.labels.tolist(), task.flags.masked.tolist(), task.flags.sources.tolist(), strict=True)
    for (record, _), (label, masked, source_key) in zip(read_records(task.source), known, strict=True):
        try:
            image = decode(record.payload)
            engine.preprocessing.check(image)
            yield Picture(record.key, label, masked, source_key, image)
        except FacekitError as error:
            yield Picture(record.key, label, masked, source_key, None, str(error))


def batches(entries: Iterator[Picture], size: int) -> Iterator[list[Picture]]:
    """Lists of up to ``size``."""
    batch: list[Picture] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def embed_batch(
    batch: list[Picture], engine: Engine, choice: ModelChoice, rows: list[dict[str, Any]]
) -> Iterator[npt.NDArray[np.float32]]:
    """Embed a batch, append a row for each of its pictures, and give the vectors of those that have one."""
    seen = [entry for entry in batch if entry.image is not None]
    rows += [row_of(entry, error=entry.error) for entry in batch if entry.image is None]
    if not seen:
        return
    branch = choice.branch or "ledger"
    flags = np.array([entry.masked if branch == "ledger" else branch == "masked" for entry in seen])
    images = np.stack([entry.image for entry in seen if entry.image is not None])
    done = embed_pictures(engine, images, flags, branch == "both", choice.flip)
    valid = np.isfinite(done.norms) & (done.norms > 0)
    uncertainty = [None] * len(seen) if done.uncertainty is None else done.uncertainty.tolist()
    for entry, norm, deviation, good in zip(seen, done.norms.tolist(), uncertainty, valid.tolist(), strict=True):
        error = None if good else f"the network gave a vector of norm {norm:g}"
        rows.append(row_of(entry, norm=norm, uncertainty=deviation, error=error))
    yield done.vectors[valid]


def row_of(
    entry: Picture, norm: float | None = None, uncertainty: float | None = None, error: str | None = None
) -> dict[str, Any]:
    """A row of the index."""
    return {"key": entry.key, "label": entry.label, "norm": norm, "uncertainty": uncertainty, "masked": entry.masked,
            "source_key": entry.source_key, "error": error}  # fmt: skip


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as an Arrow table."""
    import pyarrow as pa

    return pa.Table.from_pylist(rows, index_schema())


def save_vectors(path: Path, vectors: list[npt.NDArray[np.float32]]) -> None:
    """Write vectors aside, force them to disk and give them their name."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    joined = np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)
    with open(aside, "wb") as file:
        np.save(file, joined, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
