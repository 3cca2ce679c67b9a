"""Parquet and CSV files -> Arrow tables: the only way in.

Arrow reads with threads of its own. One that still lets go of a file object of Python's while the interpreter ends
aborts the process (SIGABRT, Arrow's issue 34314), after everything was done and published; one run in thirty did. So
Arrow gets files that Python has no part in, and is asked to read with the thread that asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import csv

__all__ = ["count_rows", "parquet_batches", "parquet_schema", "read_csv", "read_parquet"]


def read_parquet(path: str | Path, names: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file.

    Parameters
    ----------
    path : str or Path
        Any name, UTF-8 or not; pyarrow itself opens no other.
    names : sequence of str, optional
        Columns; all where none is given.

    Raises
    ------
    OSError, pyarrow.ArrowException
        It cannot be read, or is no Parquet file.
    """
    import pyarrow.parquet as pq

    with _open(path) as file:
        found = pq.ParquetFile(file, pre_buffer=False)
        columns = None if names is None else list(names)
        if columns is not None:
            _require(found.schema_arrow, columns)
        return found.read(columns=columns, use_threads=False)


def parquet_batches(path: str | Path, names: Sequence[str], rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """Read some columns of a Parquet file, so many rows at a time at the most; see `read_parquet`."""
    import pyarrow.parquet as pq

    with _open(path) as file:
        found = pq.ParquetFile(file, pre_buffer=False)
        _require(found.schema_arrow, names)
        # One row group after the other: over all of them the reader keeps the bytes of those that it is done with.
        for group in range(found.num_row_groups):
            yield from found.iter_batches(rows, [group], list(names), use_threads=False)


def count_rows(path: str | Path) -> int:
    """How many rows a Parquet file has, without reading them; see `read_parquet`."""
    import pyarrow.parquet as pq

    with _open(path) as file:
        return int(pq.read_metadata(file).num_rows)


def parquet_schema(path: str | Path) -> pa.Schema:
    """The columns of a Parquet file, without reading them; see `read_parquet`."""
    import pyarrow.parquet as pq

    with _open(path) as file:
        return pq.read_schema(file)


def read_csv(path: str | Path, options: csv.ConvertOptions | None = None) -> pa.Table:
    """Read a CSV file with a line of names; lines of blanks are passed over. See `read_parquet`.

    Parameters
    ----------
    path : str or Path
    options : pyarrow.csv.ConvertOptions, optional
        Types of the columns; without, those that their values suggest.
    """
    import pyarrow as pa

    try:
        return _csv(path, options, None)
    except pa.ArrowInvalid:
        if not _is_text(path):  # pyarrow would print that it cannot hand on a row of other bytes
            raise
    return _csv(path, options, _row_that_does_not_fit)


def _csv(
    path: str | Path, options: csv.ConvertOptions | None, handler: Callable[[csv.InvalidRow], str] | None
) -> pa.Table:
    from pyarrow import csv

    with _open(path) as file:
        parse = csv.ParseOptions(invalid_row_handler=handler)
        return csv.read_csv(file, csv.ReadOptions(use_threads=False), parse, options)


def _is_text(path: str | Path) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return False
    return True


def _row_that_does_not_fit(row: csv.InvalidRow) -> str:
    return "error" if row.text.strip() else "skip"


@contextmanager
def _open(path: str | Path) -> Iterator[pa.NativeFile]:
    """A file of Arrow's own. It opens no name that is not UTF-8: such a file is opened by its number here."""
    import pyarrow as pa

    with open(path, "rb") as opened:
        name = os.fspath(path)
        try:
            name.encode()
        except UnicodeEncodeError:
            name = f"/proc/self/fd/{opened.fileno()}"
        with pa.OSFile(name) as file:
            yield file


def _require(schema: pa.Schema, names: Sequence[str]) -> None:
    """pyarrow leaves out columns that a file does not have."""
    import pyarrow as pa

    for name in names:
        if name not in schema.names:
            near = did_you_mean(name, schema.names)
            raise pa.ArrowInvalid(f"it has no column {name}; its columns are {', '.join(schema.names)}{near}")
