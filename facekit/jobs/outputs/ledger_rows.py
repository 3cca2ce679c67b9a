"""Ledger rows of records that are copied from one pack to another, a block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facekit.jobs.inputs.ledger import AlreadyMasked
from facekit.records.framing import unframe
from facekit.records.header import HEADER_BYTES, unpack_record
from facekit.records.key_rows import rows_of
from facekit.run.ledger import payload_hash, schema
from facekit.run.processors import processors

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "copied_rows",
    "dropped_rows",
    "hash_block",
    "hashing_threads",
    "layout_keys",
    "layout_rows",
    "left_out_rows",
]

_AT_ONCE = 256
"""Records that a thread hashes in one go."""


def copied_rows(
    keys: npt.NDArray[np.int64],
    source_keys: npt.NDArray[np.int64],
    hashes: bytes | None,
    masks: AlreadyMasked | None = None,
    params: str | None = None,
) -> pa.Table:
    """Rows of records that were copied byte for byte; those of masked pictures go on saying so.

    Parameters
    ----------
    keys, source_keys : (n,) int64
    hashes : bytes, optional
        16 a payload.
    masks : AlreadyMasked, optional
    params : str, optional
        What to say of records that are no masked pictures.
    """
    import pyarrow as pa

    count = len(keys)
    place = np.full(count, -1, np.int64) if masks is None else rows_of(masks.keys, source_keys, ascending=True)
    masked = place >= 0
    if masks is not None:
        source_keys = np.where(masked, masks.bare[place], source_keys)
    columns = _columns(count)
    columns["key"], columns["source_key"] = pa.array(keys), pa.array(source_keys, mask=source_keys < 0)
    columns["payload_hash"] = _hash_array(hashes, count)
    actions = pa.DictionaryArray.from_arrays(pa.array(masked.astype(np.int8)), ["copy", "mask"])
    columns["action"] = actions.cast("string")
    if params is not None:
        columns["params"] = pa.array([params], pa.string()).take(pa.array(np.zeros(count, np.int64), mask=masked))
    if masks is not None and masked.any():
        rows = masks.said(pa.array(place, mask=~masked))
        for name in ("type", "params", "score"):
            said = rows[name].combine_chunks().cast(columns[name].type)
            columns[name] = said if name != "params" or params is None else _first_said(said, columns[name])
    return pa.table(columns, schema())


def dropped_rows(source_keys: npt.NDArray[np.int64], reason: str, params: str | None = None) -> pa.Table:
    """Rows of records that were left out."""
    import pyarrow as pa

    columns = _columns(len(source_keys))
    keys = np.asarray(source_keys, np.int64)
    columns["source_key"] = pa.array(keys, mask=keys < 0)
    for name, value in (("action", "drop"), ("reason", reason), ("params", params)):
        columns[name] = pa.array([value], pa.string()).take(pa.array(np.zeros(len(source_keys), np.int64)))
    return pa.table(columns, schema())


def left_out_rows(
    source_keys: npt.NDArray[np.int64],
    hashes: bytes,
    actions: tuple[npt.NDArray[np.int8], Sequence[str]],
    reasons: tuple[npt.NDArray[np.int8], Sequence[str]],
) -> pa.Table:
    """Rows of records that were left out, each for a reason of its own.

    Parameters
    ----------
    source_keys : (n,) int64
    hashes : bytes
        16 a payload.
    actions, reasons : ((n,) int8, sequence of str)
        Codes, and the word of each code.
    """
    import pyarrow as pa

    columns = _columns(len(source_keys))
    columns["source_key"] = pa.array(source_keys)
    columns["payload_hash"] = _hash_array(hashes, len(source_keys))
    for name, (codes, words) in (("action", actions), ("reason", reasons)):
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes), list(words)).cast(pa.string())
    return pa.table(columns, schema())


def layout_keys(layout: str, first: int, identities: int) -> npt.NDArray[np.int64]:
    """Keys of the records that are no pictures: in the layout ``insightface`` the dataset header, and after the last
    picture one for each identity.

    Parameters
    ----------
    layout : str
    first : int
        The key after the last picture's.
    identities : int
    """
    if layout != "insightface":
        return np.zeros(0, np.int64)
    return np.append(0, np.arange(first, first + identities))


def layout_rows(keys: npt.NDArray[np.int64]) -> pa.Table:
    """Rows of the dataset header and the identity records, by their keys."""
    import pyarrow as pa

    columns = _columns(len(keys))
    columns["key"] = pa.array(np.asarray(keys, np.int64))
    columns["payload_hash"] = _hash_array(payload_hash(b"") * len(keys), len(keys))
    columns["action"] = pa.array(["layout"], pa.string()).take(pa.array(np.zeros(len(keys), np.int64)))
    return pa.table(columns, schema())


def _columns(count: int) -> dict[str, pa.Array]:
    import pyarrow as pa

    return {field.name: pa.nulls(count, field.type) for field in schema()}


def _hash_array(hashes: bytes | None, count: int) -> pa.Array:
    import pyarrow as pa

    kind = schema().field("payload_hash").type
    if hashes is None:
        return pa.nulls(count, kind)
    return pa.FixedSizeBinaryArray.from_buffers(kind, count, [None, pa.py_buffer(hashes)])


def _first_said(first: pa.Array, second: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.coalesce(first, second)


def hashing_threads() -> int:
    """Threads that hash: more than four wait for the disk."""
    cores = processors()
    return min(4, cores)


def hash_block(block: memoryview, starts: npt.NDArray[np.int64], pool: ThreadPoolExecutor) -> bytes:
    """The hashes of the payloads of framed records, 16 bytes each, one after another."""
    parts = np.array_split(starts, -(-len(starts) // _AT_ONCE))
    return b"".join(pool.map(_hashes, [block] * len(parts), parts))


def _hashes(block: memoryview, starts: npt.NDArray[np.int64]) -> bytes:
    words = np.frombuffer(block, "<u4")
    coded, flag = words[(starts >> 2) + 1].astype(np.int64), words[(starts >> 2) + 2].astype(np.int64)
    first, stop = starts + 8 + HEADER_BYTES + 4 * flag, starts + 8 + coded
    pieces: Sequence[bytes] = [
        payload_hash(block[a:b] if whole else unpack_record(unframe(block, start)[0])[1])
        for a, b, start, whole in zip(first.tolist(), stop.tolist(), starts.tolist(), (coded < 1 << 29).tolist())
    ]
    return b"".join(pieces)
