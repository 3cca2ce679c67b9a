"""The pictures of a pack, every one of them decoded: which do not, which are cut off, which have another size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError
from facekit.images import decode
from facekit.jobs.inputs.ledger import payload_hashes
from facekit.jobs.packs.check_decoder import capture_stderr, warnings_of_each
from facekit.records import unpack_record
from facekit.records.findings import Findings
from facekit.records.framing import unframe
from facekit.records.roles import RecordRoles, read_property
from facekit.records.structure import Structure
from facekit.run.ledger import LEDGER, payload_hash
from facekit.run.progress import progress

__all__ = ["check_pictures"]

AT_ONCE = 256


class _Verdict(NamedTuple):
    """What one payload is."""

    height: int
    width: int
    problem: str
    cut: bool
    hash: bytes
    warning: str = ""


def check_pictures(
    rec: Path, records: Structure, roles: RecordRoles, property_path: Path, found: Findings, ledger: bool
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Decode the pictures, and note what is wrong with them.

    Parameters
    ----------
    rec : Path
    records : Structure
    roles : RecordRoles
    property_path : Path
    found : Findings
    ledger : bool
        Compare payloads with the hashes of the ledger beside the pack.

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
    known = payload_hashes(rec if ledger else None)
    with progress("decoding", len(rows)) as advance:
        for first, verdicts in _verdicts(rec, records, rows):
            hashes = known.of(records.keys[rows[first : first + len(verdicts)]])
            for place, (verdict, digest) in enumerate(zip(verdicts, hashes, strict=True), first):
                row = int(rows[place])
                sizes[place] = verdict.height, verdict.width
                decoded[row] = not verdict.problem
                changed[row] = _note(verdict, int(records.keys[row]), int(records.offsets[row]), digest, found)
            advance(len(verdicts))
    _check_sizes(records, rows, sizes, property_path, found)
    return decoded, changed


def _note(verdict: _Verdict, key: int, offset: int, known: bytes | None, found: Findings) -> bool:
    """Note what is wrong; whether the payload is another than the ledger's."""
    if verdict.problem:
        found.add("undecodable", verdict.problem, key, offset)
    elif verdict.cut:
        found.add("picture_cut", "the JPEG ends before its end marker", key, offset)
    elif verdict.warning:
        found.add("picture_damaged", f"the decoder says: {verdict.warning}", key, offset)
    changed = known is not None and known != verdict.hash
    if changed:
        found.add("payload_changed", f"{LEDGER} has another hash of this payload", key, offset)
    return changed


def _verdicts(rec: Path, records: Structure, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, list[_Verdict]]]:
    """What the payloads are, some at a time, decoded by as many threads as there are cores."""
    threads = len(os.sched_getaffinity(0))
    with open(rec, "rb", buffering=0) as file, ThreadPoolExecutor(threads) as pool:

        def judge(row: int) -> _Verdict:
            start, stop = int(records.offsets[row]), int(records.stops[row])
            framed = os.pread(file.fileno(), stop - start, start)
            padding = bytes(-len(framed) & 3)  # the last record may lack it
            return _judge(unpack_record(unframe(framed + padding)[0])[1])

        for first in range(0, len(rows), AT_ONCE):
            part = rows[first : first + AT_ONCE].tolist()
            with capture_stderr() as stderr:
                verdicts = list(pool.map(judge, part))
                warned = stderr.damage()
            if warned:
                verdicts = [one._replace(warning=text) for one, text in zip(verdicts, warnings_of_each(judge, part))]
            yield first, verdicts


def _judge(payload: bytes) -> _Verdict:
    digest = payload_hash(payload)
    try:
        height, width = decode(payload).shape[:2]
    except PictureError as error:
        return _Verdict(0, 0, str(error), False, digest)
    cut = payload.startswith(b"\xff\xd8") and payload.rfind(b"\xff\xd9") < payload.rfind(b"\xff\xda")
    return _Verdict(height, width, "", cut, digest)


def _check_sizes(
    records: Structure,
    rows: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int32],
    property_path: Path,
    found: Findings,
) -> None:
    """Against ``property``, else against the most frequent size."""
    known = (sizes > 0).all(axis=1)
    if not known.any():
        return
    declared = read_property(property_path)
    kinds, counts = np.unique(sizes[known], axis=0, return_counts=True)
    height, width = declared[1:] if declared is not None else kinds[int(counts.argmax())].tolist()
    for place in np.flatnonzero(known & ((sizes[:, 0] != height) | (sizes[:, 1] != width))).tolist():
        row, (own_height, own_width) = rows[place], sizes[place]
        found.add(
            "odd_size",
            f"{own_width} x {own_height} pixels in a pack of {width} x {height}",
            records.keys[row],
            records.offsets[row],
        )

