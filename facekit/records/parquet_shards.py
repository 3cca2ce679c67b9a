"""Parquet files of pictures and labels <-> records, in the columns that Hugging Face's ``datasets`` and its hub write.

Read are a picture column, ``struct<bytes, path>`` (the feature ``Image``) or plain bytes, and a label column of whole
numbers: ``image`` and ``label``, or ``jpg`` and ``cls`` beside ``__key__`` where the hub converted a WebDataset.
Written are ``image`` (its path is the key), ``label``, and ``json`` where a header says more, as in
`facekit.records.tar_shards`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from facekit.errors import RecordError
from facekit.records.header import Header
from facekit.records.tar_members import PICTURES, Sample, read_declared, read_label
from facekit.records.tar_shards import picture_suffix, said_beside_label

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ParquetWriter", "parquet_name", "samples_in_parquet"]

PICTURE_COLUMNS = ("image", *PICTURES, "img", "picture")
LABEL_COLUMNS = ("label", "cls", "labels", "identity", "class", "target")
_AT_ONCE = 256
"""Rows that are in memory at once when reading; of 8 kB each they are 2 MB."""
_GROUP = 1000
"""Rows of a row group that is written: what a reader of one picture has to touch."""


class _Columns(NamedTuple):
    """Names of the columns that are read; None where there is none."""

    picture: str
    label: str | None
    key: str | None
    said: str | None

    def names(self) -> list[str]:
        return [name for name in self if name is not None]


def samples_in_parquet(file: IO[bytes], path: str) -> Iterator[Sample]:
    """Find the samples of a parquet file.

    Parameters
    ----------
    file : binary file
        At any position; it is read a few pages at a time.
    path : str
        For the messages of errors.

    Yields
    ------
    Sample
        With their payloads; the name is what stands in ``__key__``, else the picture's path without suffix, else empty.

    Raises
    ------
    RecordError
        It is no parquet file, is truncated or damaged, has no picture or no label column, or a row lacks one of them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
        columns = _columns(parquet.schema_arrow, path)
        first = 0
        for batch in parquet.iter_batches(_AT_ONCE, columns=columns.names(), use_threads=False):
            yield from _samples(batch, columns, path, first)
            first += batch.num_rows
    except (pa.ArrowException, EOFError) as error:
        if isinstance(error.__context__, RecordError):
            raise error.__context__ from None
        raise RecordError(f"the parquet file is truncated or damaged: {str(error)[:300]}", path) from error
    except OSError as error:
        raise RecordError(f"the parquet file cannot be read: {error}", path) from error


def _columns(schema: pa.Schema, path: str) -> _Columns:
    import pyarrow as pa

    kinds = {field.name: field.type for field in schema}
    pictures = [name for name, kind in kinds.items() if _holds_pictures(kind)]
    picture = next((name for name in PICTURE_COLUMNS if name in pictures), pictures[0] if len(pictures) == 1 else None)
    label = next((name for name in LABEL_COLUMNS if name in kinds), None)
    said = "json" if "json" in kinds else None
    if picture is None or (label is None and said is None):
        lacking = (
            "picture (bytes, or struct<bytes, path>)" if picture is None else f"label ({', '.join(LABEL_COLUMNS)})"
        )
        raise RecordError(f"no column is a {lacking}; there are {', '.join(kinds) or 'none'}: rename one", path)
    if label is not None and not (pa.types.is_integer(kinds[label]) or pa.types.is_string(kinds[label])):
        problem = f"the column {label} is {kinds[label]}; a label is a whole number: number the identities"
        raise RecordError(problem, path)
    return _Columns(picture, label, "__key__" if "__key__" in kinds else None, said)


def _holds_pictures(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_pictures(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _samples(batch: pa.RecordBatch, columns: _Columns, path: str, first: int) -> Iterator[Sample]:
    import pyarrow as pa
    import pyarrow.compute as pc

    pictures, count = batch[columns.picture], batch.num_rows
    names: list[Any] = [None] * count
    if pa.types.is_struct(pictures.type):
        if pictures.type.get_field_index("path") >= 0:
            names = [str(name or "").rpartition("/")[2].rpartition(".")[0] for name in _field(pictures, "path")]
        payloads = _field(pictures, "bytes")
    else:
        payloads = pictures.to_pylist()
    if columns.key is not None:
        names = pc.cast(batch[columns.key], pa.string()).to_pylist()
    labels = [None] * count if columns.label is None else batch[columns.label].to_pylist()
    said = [None] * count if columns.said is None else batch[columns.said].to_pylist()
    for row, found in enumerate(zip(names, payloads, labels, said, strict=True)):
        yield _sample(*found, path, first + row)


def _field(column: pa.Array, name: str) -> list[Any]:
    import pyarrow.compute as pc

    found: list[Any] = pc.struct_field(column, name).to_pylist()
    return found


def _sample(name: Any, payload: bytes | None, label: Any, said: Any, path: str, row: int) -> Sample:
    if payload is None:
        raise RecordError(f"row {row} has no picture in it: take it out, or write the pictures' bytes", path)
    sample = Sample(str(name or ""))
    sample.payload = payload
    try:
        if label is not None:
            sample.label = read_label(str(label))
        if said is not None:
            text = said if isinstance(said, (str, bytes)) else json.dumps(_without_nulls(said))
            sample.more = read_declared(text)
            declared = sample.more.pop("label", None)
            sample.label = declared if sample.label is None else sample.label
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise RecordError(f"row {row} has no label: {error}", path) from None
    if sample.label is None:
        raise RecordError(f"row {row} has no label", path)
    return sample


def _without_nulls(said: Any) -> Any:
    return {name: value for name, value in said.items() if value is not None} if isinstance(said, dict) else said


def parquet_name(shard: int, count: int) -> str:
    """The name of a file of a set, as ``datasets`` has it.

    >>> parquet_name(0, 3)
    'train-00000-of-00003.parquet'
    """
    return f"train-{shard:05d}-of-{count:05d}.parquet"


class ParquetWriter:
    """Writes ``train-00000-of-00003.parquet`` and so on, of at most so many records, into a folder that exists.

    Parameters
    ----------
    folder : Path
    records : int
        Of a file.
    total : int
        Of all files.
    """

    def __init__(self, folder: Path, records: int, total: int) -> None:
        self._folder, self._each, self._count = folder, records, -(-total // records)
        self._rows: list[tuple[dict[str, Any], int, str | None]] = []
        self._file: IO[bytes] | None = None
        self._parquet: Any = None
        self.shards = self.records = self.bytes = 0
        self.closed_shards: list[Path] = []

    def write(self, key: int, header: Header, payload: bytes) -> None:
        """Append a record as a row named by its key.

        Raises
        ------
        RecordError
            The label, or the first number of a vector label, is not whole; or the disk refuses.
        """
        label, said = said_beside_label(key, header, self._folder)
        if self.records % self._each == 0:
            self._next_shard()
        name = f"{key:08d}.{picture_suffix(payload)}"
        self._rows.append(({"bytes": payload, "path": name}, label, None if said is None else said.decode()))
        self.records += 1
        if len(self._rows) == _GROUP:
            self._flush()

    def _next_shard(self) -> None:
        import pyarrow.parquet as pq

        self.close()
        path = self._folder / parquet_name(self.shards, self._count)
        self._file = open(path, "wb")  # noqa: SIM115 -- until close()
        # Compressing JPEG bytes takes time and saves nothing.
        self._parquet = pq.ParquetWriter(self._file, _schema(), compression="none", use_dictionary=False)
        self._path = path
        self.shards += 1

    def _flush(self) -> None:
        import pyarrow as pa

        columns = [list(column) for column in zip(*self._rows, strict=True)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _schema(), strict=True)]
        try:
            self._parquet.write_table(pa.table(arrays, _schema()), row_group_size=_GROUP)
        except OSError as error:
            raise RecordError(f"writing failed: {error}", self._folder) from error
        self._rows = []

    def close(self) -> None:
        """End the last shard; harmless when there is none."""
        if self._file is None:
            return
        if self._rows:
            self._flush()
        self._parquet.close()
        self.bytes += self._file.tell()
        self._file.close()
        self._file = None
        self.closed_shards.append(self._path)

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _schema() -> pa.Schema:
    """As ``datasets`` writes an ``Image`` and a ``Value``, so that ``load_dataset`` shows pictures."""
    import pyarrow as pa

    features = {
        "image": {"_type": "Image"},
        "label": {"dtype": "int64", "_type": "Value"},
        "json": {"dtype": "string", "_type": "Value"},
    }
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("image", picture), ("label", pa.int64()), ("json", pa.string())]
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})
