"""The pictures of a pack, every one of them decoded: which do not, which are cut off, which have another size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError, PictureError
from facekit.images import decode
from facekit.jobs.inputs.ledger import LEDGER
from facekit.jobs.packs.check_decoder import caught, warnings_of_each
from facekit.records import unpack_record
from facekit.records.findings import Findings
from facekit.records.framing import unframe
from facekit.records.roles import RecordRoles, read_property
from facekit.records.structure import Structure
from facekit.run.ledger import payload_hash
from facekit.run.progress import progress

__all__ = ["check_pictures"]

AT_ONCE = 256


class _Look(NamedTuple):
    """What one payload is."""

    height: int
    width: int
    problem: str
    cut: bool
    hash: bytes
    warning: str = ""


def check_pictures(
    rec: Path, records: Structure, roles: RecordRoles, property_path: Path, found: Findings
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Decode the pictures, and note what is wrong with them.

    Returns
    -------
    (N,) bool
        Which decode.
    (N,) bool
        Which are not those of the ledger.
    """
    rows = np.flatnonzero(roles.sound)
    decoded, changed = np.zeros((2, len(records.offsets)), np.bool_)
    sizes = np.zeros((len(rows), 2), np.int32)
    known = _Hashes(rec)
    with progress("decoding", len(rows)) as advance:
        for first, looks in _looks(rec, records, rows):
            for place, look in enumerate(looks, first):
                row = int(rows[place])
                sizes[place] = look.height, look.width
                decoded[row] = not look.problem
                changed[row] = _note(look, int(records.keys[row]), int(records.offsets[row]), known, found)
            advance(len(looks))
    _check_sizes(records, rows, sizes, property_path, found)
    return decoded, changed


def _note(look: _Look, key: int, offset: int, known: _Hashes, found: Findings) -> bool:
    """Note what is wrong; whether the payload is another than the ledger's."""
    if look.problem:
        found.add("undecodable", look.problem, key, offset)
    elif look.cut:
        found.add("picture_cut", "the JPEG ends before its end marker", key, offset)
    elif look.warning:
        found.add("picture_damaged", f"the decoder says: {look.warning}", key, offset)
    declared = known.of(key)
    changed = declared is not None and declared != look.hash
    if changed:
        found.add("payload_changed", f"{LEDGER} has another hash of this payload", key, offset)
    return changed


def _looks(rec: Path, records: Structure, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, list[_Look]]]:
    """What the payloads are, some at a time, decoded by as many threads as there are cores."""
    threads = len(os.sched_getaffinity(0))
    with open(rec, "rb", buffering=0) as file, ThreadPoolExecutor(threads) as pool:

        def look(row: int) -> _Look:
            start, stop = int(records.offsets[row]), int(records.stops[row])
            framed = os.pread(file.fileno(), stop - start, start)
            padding = bytes(-len(framed) & 3)  # the last record may lack it
            return _look(unpack_record(unframe(framed + padding)[0])[1])

        for first in range(0, len(rows), AT_ONCE):
            part = rows[first : first + AT_ONCE].tolist()
            with caught() as stderr:
                looks = list(pool.map(look, part))
                warned = stderr.damage()
            if warned:
                looks = [one._replace(warning=text) for one, text in zip(looks, warnings_of_each(look, part))]
            yield first, looks


def _look(payload: bytes) -> _Look:
    digest = payload_hash(payload)
    try:
        height, width = decode(payload).shape[:2]
    except PictureError as error:
        return _Look(0, 0, str(error), False, digest)
    cut = payload.startswith(b"\xff\xd8") and payload.rfind(b"\xff\xd9") < payload.rfind(b"\xff\xda")
    return _Look(height, width, "", cut, digest)


def _check_sizes(
    records: Structure,
    rows: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int32],
    property_path: Path,
    found: Findings,
) -> None:
    """Against ``property``, else against the most frequent size."""
    seen = (sizes > 0).all(axis=1)
    if not seen.any():
        return
    declared = read_property(property_path)
    kinds, counts = np.unique(sizes[seen], axis=0, return_counts=True)
    height, width = declared[1:] if declared is not None else kinds[int(counts.argmax())].tolist()
    for place in np.flatnonzero(seen & ((sizes[:, 0] != height) | (sizes[:, 1] != width))).tolist():
        row, (own_height, own_width) = rows[place], sizes[place]
        found.add(
            "odd_size",
            f"{own_width} x {own_height} pixels in a pack of {width} x {height}",
            records.keys[row],
            records.offsets[row],
        )


class _Hashes:
    """The payload hashes in the ledger beside a pack, by key; none where there is no ledger that can be read."""

    def __init__(self, rec: Path) -> None:
        self._keys = np.empty(0, np.int64)
        self._hashes: Any = ()
        path = rec.with_suffix(".ledger.parquet")
        if not path.exists():
            return
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(path, columns=["key", "payload_hash"])
        except (pa.ArrowException, OSError) as error:
            raise FacekitError(f"{path} cannot be read: {error}") from error
        rows = rows.filter(pc.is_valid(rows["key"])).sort_by("key")
        self._keys, self._hashes = rows["key"].to_numpy(), rows["payload_hash"].combine_chunks()

    def of(self, key: int) -> bytes | None:
        """The hash of a key's payload, if it is known."""
        place = int(np.searchsorted(self._keys, key))
        if place == len(self._keys) or self._keys[place] != key:
            return None
        declared: bytes | None = self._hashes[place].as_py()
        return declared
