"""The records of a source, read one after another: from a pack, from a store by byte ranges, or from picture files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError, RecordError
from facekit.images import as_payload, decode
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.stored_pack import opened
from facekit.records import Header, Record, pack_record, unpack_record
from facekit.records.distinct import blocks
from facekit.records.framing import FramingError, frame, join_parts, padded, record_parts
from facekit.records.read_at import read_at

__all__ = ["SourceRecord", "first_picture", "open_bytes", "read_records"]


class SourceRecord(NamedTuple):
    """A record, and the framed bytes it was read from."""

    record: Record
    framed: bytes


def read_records(source: Source) -> Iterator[SourceRecord]:
    """Read the records one after another.

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or a file has gone.
    """
    yield from _read_folder(source) if source.kind == "folder" else _read_pack(source)


def first_picture(source: Source, tried: int = 100) -> npt.NDArray[np.uint8] | None:
    """The first picture that decodes, (H, W, 3) uint8 RGB; None where none of the first ``tried`` records does.

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or a file has gone.
    """
    for record, _ in read_records(source.slice(0, min(len(source), tried))):
        with suppress(PictureError):
            return decode(record.payload)
    return None


def _read_pack(source: Source) -> Iterator[SourceRecord]:
    with open_bytes(source) as (pread, size):
        for key, offset in _in_chunks(source.keys, source.offsets):
            try:
                parts = list(record_parts(lambda at: pread(8, at), offset, size))
            except FramingError as error:
                raise error.at(source.name, key, offset) from None
            framed = pread(parts[-1].start + padded(parts[-1].length) - offset, offset)
            buffer = join_parts(framed, parts, offset)
            yield SourceRecord(Record(key, *unpack_record(buffer, path=source.name, key=key, offset=offset)), framed)


@contextmanager
def open_bytes(source: Source) -> Iterator[tuple[Callable[[int, int], bytes], int]]:
    """What reads so many bytes of a pack at an offset, and the size of the whole."""
    if source.stored is not None:
        with opened(source.stored, source.offsets) as ranges:
            yield ranges.pread, ranges.size
        return
    with open(source.path, "rb", buffering=0) as file:
        yield partial(read_at, file.fileno()), os.fstat(file.fileno()).st_size


def _in_chunks(*columns: npt.NDArray[np.int64]) -> Iterator[tuple[int, ...]]:
    """The rows of columns as numbers, of which few are there at a time."""
    for part in blocks(len(columns[0]), 4096):
        yield from zip(*(column[part].tolist() for column in columns), strict=True)


def _read_folder(source: Source) -> Iterator[SourceRecord]:
    for key, label, name in zip(source.keys.tolist(), source.labels.tolist(), source.files, strict=True):
        path = os.path.join(source.path, name)
        try:
            payload = as_payload(Path(path).read_bytes())
        except OSError as error:
            problem = f"the picture cannot be read: {error.strerror}; mend it, or take it out of the folder"
            raise RecordError(problem, path, key) from error
        header = Header(0, float(label), key, 0)
        yield SourceRecord(Record(key, header, payload), frame(pack_record(header, payload)))
