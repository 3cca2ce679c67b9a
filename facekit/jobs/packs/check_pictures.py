"""The pictures of a pack, every one of them decoded: which do not, which are cut off, which have another size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.jobs.inputs.ledger import payload_hashes
from facekit.jobs.packs.check_verdicts import Verdict, Verdicts, verdicts_here
from facekit.records.findings import Findings
from facekit.records.roles import RecordRoles, read_property
from facekit.records.structure import Structure
from facekit.run.ledger import LEDGER
from facekit.run.progress import progress

__all__ = ["check_pictures"]


def check_pictures(
    rec: Path,
    records: Structure,
    roles: RecordRoles,
    property_path: Path,
    found: Findings,
    ledger: bool,
    look: Verdicts = verdicts_here,
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
        for first, verdicts in look(rec, records, rows):
            hashes = known.of(records.keys[rows[first : first + len(verdicts)]])
            for place, (verdict, digest) in enumerate(zip(verdicts, hashes, strict=True), first):
                row = int(rows[place])
                sizes[place] = verdict.height, verdict.width
                decoded[row] = not verdict.problem
                changed[row] = _note(verdict, int(records.keys[row]), int(records.offsets[row]), digest, found)
            advance(len(verdicts))
    _check_sizes(records, rows, sizes, property_path, found)
    return decoded, changed


def _note(verdict: Verdict, key: int, offset: int, known: bytes | None, found: Findings) -> bool:
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
