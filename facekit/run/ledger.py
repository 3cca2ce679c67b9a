"""The ledger of a job: one row for every record that was written and for every one that was not, with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LEDGER", "LedgerRow", "LedgerWriter", "ledger_path", "payload_hash", "schema", "table"]

LEDGER = "train.ledger.parquet"
"""The ledger of a pack that facekit wrote; that of a ``.rec`` with another name is told by `ledger_path`."""

ROW_GROUP = 1 << 16


def ledger_path(path: Path) -> Path:
    """Where the ledger of a ``.rec`` or of a verification ``.bin`` lies.

    >>> ledger_path(Path("lfw.bin")).name
    'lfw.ledger.parquet'
    """
    return path.with_suffix(".ledger.parquet")


class LedgerRow(NamedTuple):
    """What became of one record."""

    key: int | None
    """Key of the record in the output; none when this row wrote no record."""
    source_key: int | None
    """Key of the record it was made from; none for records that describe the output (header, identities)."""
    payload_hash: bytes
    """BLAKE2b, 16 bytes, of the payload that was written; of the source's payload when none was."""
    action: str
    """``copy``, ``mask``, ``refused``, ``error`` or ``layout``."""
    type: str | None = None
    """Mask type."""
    params: str | None = None
    """Mask parameters as JSON: with the source's picture they make the output again."""
    score: float | None = None
    """Presence of a face, the logit of the mesh model."""
    reason: str | None = None
    """Why a record was refused, or what went wrong."""


def payload_hash(payload: bytes | memoryview) -> bytes:
    """BLAKE2b of a payload, 16 bytes."""
    return hashlib.blake2b(payload, digest_size=16).digest()


def schema() -> pa.Schema:
    """Columns of ``train.ledger.parquet``."""
    import pyarrow as pa

    return pa.schema(
        [
            ("key", pa.int64()),
            ("source_key", pa.int64()),
            ("payload_hash", pa.binary(16)),
            ("action", pa.string()),
            ("type", pa.string()),
            ("params", pa.string()),
            ("score", pa.float32()),
            ("reason", pa.string()),
        ]
    )


def table(rows: Iterable[LedgerRow]) -> pa.Table:
    """Rows as an Arrow table."""
    import pyarrow as pa

    columns = list(zip(*rows, strict=True)) or [()] * len(LedgerRow._fields)
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, schema(), strict=True)], schema())


class LedgerWriter:
    """Writes ``train.ledger.parquet`` from the tables of the shards, in row groups of at least 65,536 rows."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.rows = 0
        self.written = 0
        self._waiting: list[pa.Table] = []
        # Opened here, since pyarrow opens no name that is not UTF-8.
        self._file = open(path, "wb")  # noqa: SIM115 -- until __exit__
        self._parquet = pq.ParquetWriter(self._file, schema(), compression="zstd")

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._flush()
            self._parquet.close()

    def append(self, rows: pa.Table) -> None:
        """Append the rows of a shard."""
        self.rows += rows.num_rows
        self.written += rows.num_rows - rows["key"].null_count
        self._waiting.append(_copied(rows))
        if sum(rows.num_rows for rows in self._waiting) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._parquet.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting = []
        pa.default_memory_pool().release_unused()  # Arrow keeps what a row group took: 50 MB after some


def _copied(rows: pa.Table) -> pa.Table:
    """A table of its own: columns chosen of a shard's rows would keep all others, meshes say, until written."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return pa.ipc.open_stream(sink.getvalue()).read_all()
