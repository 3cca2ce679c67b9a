"""``train.ledger.parquet`` -> columns of the types that `facekit.run.ledger.schema` gives them: its only reader.

A ledger may come from another program, or be damaged: what is not as it should be is one error that names the file, the
column and the cure. Rows stay in Arrow's arrays, never a Python object each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from facekit.errors import FacekitError
from facekit.run.ledger import schema
from facekit.run.parquet import count_rows, parquet_batches, parquet_schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ledger_batches", "ledger_rows", "read_ledger"]

CURE = "move it away to go on without it, or make its pack again"
KINDS = {"int64": "whole numbers", "string": "text", "float": "numbers", "fixed_size_binary[16]": "hashes of 16 bytes"}
"""What a column of each type holds, in words."""


def ledger_batches(path: Path, *names: str) -> Iterator[pa.RecordBatch]:
    """Read some columns of a ledger, up to 65,536 rows at a time.

    Parameters
    ----------
    path : Path
        A ledger; see `facekit.run.ledger.ledger_path`.
    *names : str
        Columns of `facekit.run.ledger.schema`.

    Yields
    ------
    pyarrow.RecordBatch
        The columns in the order of ``names``, each of the schema's type; text is UTF-8.

    Raises
    ------
    FacekitError
        The file cannot be read, is no Parquet file, lacks a column, or a column holds something else.
    """
    import pyarrow as pa

    try:
        _check_columns(parquet_schema(path), path, names)
        for batch in parquet_batches(path, names):
            yield _cast(batch, path, names)
    except (pa.ArrowException, OSError) as error:
        _refuse(path, str(error))


def ledger_rows(path: Path) -> int:
    """How many rows a ledger has, without reading them; see `ledger_batches`."""
    import pyarrow as pa

    try:
        return count_rows(path)
    except (pa.ArrowException, OSError) as error:
        _refuse(path, str(error))


def read_ledger(path: Path, *names: str) -> pa.Table:
    """Some columns of a whole ledger; see `ledger_batches`."""
    import pyarrow as pa

    wanted = pa.schema([schema().field(name) for name in names])
    return pa.Table.from_batches(ledger_batches(path, *names), wanted).combine_chunks()


def _check_columns(found: pa.Schema, path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        count = len(found.get_all_field_indices(name))
        if count != 1:
            _refuse(path, f"it has {count} columns {name}; its columns are {', '.join(found.names)}")
        if not _fits(found.field(name).type, schema().field(name).type):
            _refuse_kind(path, name, str(found.field(name).type))


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type may be those of another; which of them are is seen when they are cast."""
    from pyarrow import types

    if types.is_null(found):
        return True
    if types.is_integer(wanted):
        return bool(types.is_integer(found))
    if types.is_floating(wanted):
        return bool(types.is_floating(found) or types.is_integer(found))
    if types.is_fixed_size_binary(wanted):
        return bool(types.is_binary(found) or found == wanted)
    text = found.value_type if types.is_dictionary(found) else found
    return bool(types.is_string(text) or types.is_large_string(text))


def _cast(batch: pa.RecordBatch, path: Path, names: tuple[str, ...]) -> pa.RecordBatch:
    import pyarrow as pa

    columns = []
    for name in names:
        field = schema().field(name)
        try:
            column = batch[name].cast(field.type)
            if pa.types.is_string(field.type):
                column.validate(full=True)  # bytes that are no UTF-8 would fail wherever they are first looked at
        except pa.ArrowException as error:
            _refuse_kind(path, name, str(error))
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema([schema().field(name) for name in names]))


def _refuse_kind(path: Path, name: str, found: str) -> NoReturn:
    wanted = KINDS[str(schema().field(name).type)]
    _refuse(path, f"its column {name} must hold {wanted}, and does not ({found})")


def _refuse(path: Path, problem: str) -> NoReturn:
    raise FacekitError(f"{path} cannot be read as a ledger: {' '.join(problem.split()).rstrip('.')}; {CURE}")
