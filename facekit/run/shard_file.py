"""What a worker leaves of one shard: a file of framed records followed by the rows that describe them.

    record bytes | Arrow stream of the rows | length of the records u64 | length of the rows u64 | b"fkshard1"

It is written under another name and renamed when whole, so a file with the right name is a finished shard.
"""

from __future__ import annotations

import os
import secrets
import struct
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from facekit.errors import FacekitError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FinishedShard", "ShardWriter", "count_refused", "open_shard", "read_records", "read_rows"]

TRAILER = struct.Struct("<QQ8s")
SIGNATURE = b"fkshard1"


class FinishedShard(NamedTuple):
    """Where the two parts of a shard file lie, in bytes."""

    path: Path
    records: int
    rows: int


class ShardWriter:
    """Writes one shard file; records first, rows last. Leaving the block without :meth:`finish` leaves nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Two machines may do one shard where the first is thought to be lost: a process id does not tell them apart.
        self._aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        self._file = open(self._aside, "wb")  # noqa: SIM115 -- closed by __exit__
        self._length = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self._file.close()
            self._aside.unlink(missing_ok=True)

    def write(self, framed: bytes | bytearray | memoryview) -> int:
        """Append framed records and return the offset at which they begin."""
        offset = self._length
        self._file.write(framed)
        self._length += len(framed)
        return offset

    def finish(self, rows: pa.Table) -> None:
        """Append the rows, force the file to disk and give it its name."""
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows)
        table = sink.getvalue()
        self._file.write(table)
        self._file.write(TRAILER.pack(self._length, table.size, SIGNATURE))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._aside, self.path)


def open_shard(path: Path) -> FinishedShard:
    """Check that a shard file is whole.

    Raises
    ------
    FacekitError
        Its parts do not add up to its size: the disk lost something after it was renamed.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - TRAILER.size))
        tail = file.read()
    if len(tail) == TRAILER.size:
        records, rows, signature = TRAILER.unpack(tail)
        if signature == SIGNATURE and records + rows + TRAILER.size == size:
            return FinishedShard(path, records, rows)
    raise FacekitError(f"{path} is not a whole shard file ({size} bytes); delete it and run the command again")


def read_rows(path: Path) -> pa.Table:
    """The rows of a finished shard."""
    import pyarrow as pa

    shard = open_shard(path)
    with open(path, "rb") as file:
        file.seek(shard.records)
        return pa.ipc.open_stream(file.read(shard.rows)).read_all()


def count_refused(path: Path) -> int:
    """How many rows of a finished shard are of something refused, or that could not be read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = read_rows(path)
    if "action" not in rows.schema.names:
        return len(rows) - int(rows["error"].null_count)
    return int(pc.sum(pc.is_in(rows["action"], pa.array(["refused", "error"]))).as_py() or 0)


def read_records(path: Path) -> bytes:
    """The framed records of a finished shard."""
    shard = open_shard(path)
    with open(path, "rb") as file:
        return file.read(shard.records)
