"""What a worker does with one shard of an embedding job: records in, a file of vectors and their index rows out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.embeddings import Engine, embed_pictures
from facekit.embeddings.store import index_schema
from facekit.jobs.embed.feed import AHEAD, Batch, decoded_batches
from facekit.jobs.inputs.branches import branch_flags
from facekit.jobs.inputs.ledger import MaskFlags
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.inputs.source import Source
from facekit.run.processes import worker_number
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EmbedTask", "EmbedWorker", "start_worker", "vectors_beside"]


class EmbedTask(NamedTuple):
    """One shard: its records, what is known about them, and where the result goes."""

    shard: Shard
    path: Path
    source: Source
    flags: MaskFlags

    def __repr__(self) -> str:
        keys = self.source.keys
        return f"shard {self.shard.number} ({len(keys)} records of {self.source.path}, keys {keys[0]} to {keys[-1]})"


class EmbedWorker(NamedTuple):
    """What every worker of a job is given.

    Attributes
    ----------
    choice : ModelChoice
    devices : tuple of str
        The workers take them by turns.
    threads : int
        That decode, in each worker.
    open : callable
        Opens the network; importable by name.
    """

    choice: ModelChoice
    devices: tuple[str, ...]
    threads: int
    open: Callable[[ModelChoice], Engine]


def start_worker(worker: EmbedWorker) -> Callable[[EmbedTask], Shard]:
    """Open the model on the device of this worker, and return what is done with a task."""
    import cv2

    cv2.setNumThreads(1)
    device = worker.devices[worker_number() % len(worker.devices)]
    choice = replace(worker.choice, device=device)
    engine = worker.open(choice)
    pool = ThreadPoolExecutor(worker.threads)

    def work(task: EmbedTask) -> Shard:
        run_shard(task, engine, choice, pool, AHEAD * worker.threads)
        return task.shard

    return work


def vectors_beside(path: Path) -> Path:
    """Where the vectors of a shard lie; they are there when the shard is finished."""
    return path.with_name(path.name + ".npy")


def run_shard(task: EmbedTask, engine: Engine, choice: ModelChoice, pool: ThreadPoolExecutor, ahead: int) -> None:
    """Embed a shard: first its vectors are put in place, then the file that says that it is done."""
    batches = decoded_batches(task.source, choice.batch, engine.preprocessing.check, pool, ahead)
    done = [embed_batch(task, batch, engine, choice) for batch in batches]
    save_vectors(vectors_beside(task.path), [vectors for vectors, _ in done if len(vectors)])
    with ShardWriter(task.path) as out:
        out.finish(joined([rows for _, rows in done]))


def embed_batch(
    task: EmbedTask, batch: Batch, engine: Engine, choice: ModelChoice
) -> tuple[npt.NDArray[np.float32], pa.Table]:
    """The vectors of those pictures of a batch that have one, and a row for each of its records."""
    count = len(batch.decoded)
    norms, uncertainty = np.zeros(count, np.float32), None
    vectors, valid = np.empty((0, 0), np.float32), np.zeros(count, np.bool_)
    if len(batch.images):
        flags = branch_flags(choice.branch, task.flags.masked[batch.rows][batch.decoded], batch.images)
        found = embed_pictures(engine, batch.images, flags, choice.branch == "both", choice.flip)
        norms[batch.decoded] = found.norms
        valid[batch.decoded] = np.isfinite(found.norms) & (found.norms > 0)
        vectors = found.vectors[valid[batch.decoded]]
        if found.uncertainty is not None:
            uncertainty = np.zeros(count, np.float32)
            uncertainty[batch.decoded] = found.uncertainty
    return vectors, table(task, batch, norms, uncertainty, valid)


def table(
    task: EmbedTask,
    batch: Batch,
    norms: npt.NDArray[np.float32],
    uncertainty: npt.NDArray[np.float32] | None,
    valid: npt.NDArray[np.bool_],
) -> pa.Table:
    """A row of the index for each record of a batch."""
    import pyarrow as pa

    errors: list[str | None] = [None] * len(valid)
    for place in np.flatnonzero(~valid).tolist():
        errors[place] = batch.errors.get(place) or f"the network gave a vector of norm {float(norms[place]):g}"
    columns = {
        "key": pa.array(task.source.keys[batch.rows]),
        "label": pa.array(task.source.labels[batch.rows]),
        "norm": pa.array(norms, mask=~batch.decoded),
        "masked": pa.array(task.flags.masked[batch.rows]),
        "source_key": pa.array(task.flags.sources[batch.rows]),
        "error": pa.array(errors, pa.string()),
    }
    missing = uncertainty is None
    columns["uncertainty"] = pa.nulls(len(valid)) if missing else pa.array(uncertainty, mask=~batch.decoded)
    schema = index_schema()
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema)


def joined(tables: list[pa.Table]) -> pa.Table:
    """Tables one after another; of none, a table without rows."""
    import pyarrow as pa

    return pa.concat_tables(tables) if tables else index_schema().empty_table()


def save_vectors(path: Path, vectors: list[npt.NDArray[np.float32]]) -> None:
    """Write vectors aside, force them to disk and give them their name."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    joined = np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)
    with open(aside, "wb") as file:
        np.save(file, joined, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
