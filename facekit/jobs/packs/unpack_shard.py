"""What a worker does with one shard of unpacking: its pictures become files in the output, which is kept until all are.

A shard that was interrupted writes the same names again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from facekit.errors import RecordError
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.packs.unpack_names import Origin, file_name
from facekit.output import flush_files
from facekit.records.tar_shards import picture_suffix
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["UnpackTask", "start_worker"]


class UnpackTask(NamedTuple):
    """One shard: its records, where its file goes, what is known of their names, and the folder of the pictures."""

    shard: Shard
    path: Path
    source: Source
    origins: list[Origin]
    folder: Path

    def __repr__(self) -> str:
        keys = self.source.keys
        return f"shard {self.shard.number} ({len(keys)} records of {self.source.path}, keys {keys[0]} to {keys[-1]})"


def start_worker(_: None) -> Callable[[UnpackTask], Shard]:
    """Return what is done with a task; there is nothing to open."""

    def work(task: UnpackTask) -> Shard:
        run_shard(task)
        return task.shard

    return work


def run_shard(task: UnpackTask) -> None:
    """Write the pictures of a shard, then the file that says that it is done."""
    names: list[str] = []
    labels = task.source.labels.tolist()
    for (record, _), label, origin in zip(read_records(task.source), labels, task.origins, strict=True):
        names.append(file_name(origin, record.key, label, picture_suffix(record.payload)))
        _write(task.folder / names[-1], record.payload)
    flush_files([task.folder / name for name in names])
    with ShardWriter(task.path) as out:
        out.finish(_rows(task.source, names))


def _write(path: Path, payload: bytes) -> None:
    try:
        try:
            path.write_bytes(payload)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(payload)
    except OSError as error:
        raise RecordError(f"writing failed: {error.strerror}", path) from error


def _rows(source: Source, names: list[str]) -> pa.Table:
    import pyarrow as pa

    return pa.table({"key": source.keys, "label": source.labels, "name": [os.fsencode(name) for name in names]})
