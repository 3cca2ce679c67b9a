"""One file of samples -> one shard file of the run: framed records as they come, and the ledger rows that go with them.

Memory does not grow with the file: a picture at a time, rows in Arrow arrays of a few thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from facekit.errors import FacekitError, RecordError
from facekit.jobs.inputs.sample_files import read_samples, refuse_changed_file, tried_again
from facekit.records import pack_record
from facekit.records.framing import frame
from facekit.records.tar_members import Sample, whole_key
from facekit.run.ledger import LedgerRow, payload_hash, schema
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard
from facekit.stores import Stored

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Kept", "SampleTask", "as_it_is", "write_sample_shard"]

ROWS = 4096


class SampleTask(NamedTuple):
    """A file to be read, and where the result goes."""

    shard: Shard
    path: Path
    file: Stored

    def __repr__(self) -> str:
        return f"file {self.shard.number} ({self.file.address})"


class Kept(NamedTuple):
    """What became of a picture: its payload, or None and why; and what the ledger says of it."""

    payload: bytes | None
    hash: bytes
    action: str = "copy"
    params: str | None = None
    score: float | None = None
    reason: str | None = None


def as_it_is(sample: Sample) -> Kept:
    """Every payload, byte for byte."""
    return Kept(sample.payload, payload_hash(sample.payload))


def write_sample_shard(task: SampleTask, keep: Callable[[Sample], Kept]) -> Shard:
    """Read a file and leave its shard; where the store fails in the middle, once more from the beginning.

    Raises
    ------
    RecordError
        The file is damaged, or changed while it was read.
    StoreError
        The store does not answer.
    """
    tried_again(lambda: _write(task, keep))
    return task.shard


def _write(task: SampleTask, keep: Callable[[Sample], Kept]) -> None:
    import pyarrow as pa

    tables: list[pa.Table] = []
    rows: list[tuple[Any, ...]] = []
    with ShardWriter(task.path) as out:
        for sample in read_samples(task.file):
            rows.append(_row(sample, keep(sample), out, task.file.address))
            if len(rows) == ROWS:
                tables.append(_table(rows))
                rows = []
        refuse_changed_file(task.file)
        out.finish(pa.concat_tables([*tables, _table(rows)]))


def _row(sample: Sample, kept: Kept, out: ShardWriter, address: str) -> tuple[Any, ...]:
    key = whole_key(sample.name)
    ledger = LedgerRow(None, key, kept.hash, kept.action, None, kept.params, kept.score, kept.reason)
    header = sample.header()
    follows = header.id in (-1, key)
    offset = -1
    if kept.payload is not None:
        try:
            record = pack_record(header._replace(id=0) if header.id < 0 else header, kept.payload)
            offset = out.write(frame(record))
        except RecordError:
            raise
        except FacekitError as error:
            raise RecordError(f"the sample {sample.name} does not fit a record: {error}", address) from error
    return (*ledger, sample.name, sample.label, offset, follows)


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    import pyarrow as pa

    more = [("name", pa.string()), ("label", pa.int64()), ("offset", pa.int64()), ("follows", pa.bool_())]
    kinds = pa.schema([*schema(), *(pa.field(*each) for each in more)])
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    arrays = [pa.array(_portable(column), kind.type) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(arrays, kinds)


def _portable(column: tuple[Any, ...]) -> list[Any]:
    """Text that UTF-8 can hold: a tar names its members by bytes."""
    return [
        value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if isinstance(value, str) else value
        for value in column
    ]
