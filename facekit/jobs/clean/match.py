"""Decisions and the pictures they speak of: by key in the same pack, by payload hash in any pack of the same ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import Action, Reason
from facekit.errors import FacekitError
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.exclusion import hashes_of
from facekit.jobs.clean.tables import read_decisions
from facekit.jobs.inputs.source import Source
from facekit.jobs.outputs.payload_hashes import hash_payloads
from facekit.records.distinct import blocks
from facekit.records.key_rows import rows_of

__all__ = ["UNMATCHED", "match_hashes", "match_keys"]

UNMATCHED = "this picture is in no decision"


def match_keys(path: str, source: Source) -> DecisionTable:
    """Read decisions that speak about the same keys and labels as a source; payloads are checked as they are written.

    Parameters
    ----------
    path : str
        Of the decisions.
    source : Source

    Returns
    -------
    DecisionTable
        In the order of the source.

    Raises
    ------
    FacekitError
        They do not.
    """
    table = read_decisions(path, known={"keys": source.keys, "old_label": source.labels})
    if table.keys is source.keys and table.old_label is source.labels:
        return table
    rows = rows_of(table.keys, source.keys)
    if len(table) != len(source) or (rows < 0).any():
        raise FacekitError(
            f"the decisions cover {len(table)} images with other keys than the {len(source)} of {source.path}: "
            "they belong to another pack; --match hash finds the same pictures in a repack"
        )
    found = table.select_rows(rows)
    if np.array_equal(found.old_label, source.labels):
        # There already: 16 bytes a row less.
        return dataclasses.replace(found, keys=source.keys, old_label=source.labels)
    key = int(source.keys[int((found.old_label != source.labels).argmax())])
    raise FacekitError(
        f"key {key} has another label in {source.path} than in the decisions: they belong to another pack; "
        "--match hash finds the same pictures in a repack"
    )


def match_hashes(path: str, source: Source, drop_unmatched: bool) -> DecisionTable:
    """Read decisions and find their pictures by payload hash; of the same bytes twice, the first finds the first.

    Hashes are read first, then one column after the other, so that no more than one is there in both orders.

    Parameters
    ----------
    path : str
        Of the decisions.
    source : Source
    drop_unmatched : bool
        Drop pictures that are in no decision, instead of refusing them.

    Returns
    -------
    DecisionTable
        In the order of the source.

    Raises
    ------
    FacekitError
        Pictures of the source are in no decision, and they may not be dropped; or none is.
    """
    hashes = hash_payloads(source)
    first = read_decisions(path, ("payload_hash",), {"payload_hash": hashes})
    rows = _find_hashes(first.payload_hash, source, hashes, drop_unmatched)
    del first
    if _in_order(rows, len(source)):
        known: dict[str, Any] = {"keys": source.keys, "old_label": source.labels, "payload_hash": hashes}
        return _matched(read_decisions(path, known=known), rows, source, hashes)
    columns: dict[str, Any] = {}
    for name in ("new_label", "action_code", "reason_code", "similarity", "threshold", "nearest", "cluster", "round"):
        read = read_decisions(path, (name,))
        columns[name] = getattr(read.select_rows(np.maximum(rows, 0)), name)
    last = read_decisions(path, ("evidence_code",)).select_rows(np.maximum(rows, 0))
    return _matched(dataclasses.replace(last, **columns), rows, source, hashes, selected=True)


def _in_order(rows: npt.NDArray[np.int64], count: int) -> bool:
    """Whether rows are 0, 1, 2, ... up to a count."""
    return len(rows) == count and all(
        np.array_equal(rows[part], np.arange(part.start, part.stop)) for part in blocks(count)
    )


def _find_hashes(
    known: npt.NDArray[np.uint8], source: Source, hashes: npt.NDArray[np.uint8], drop_unmatched: bool
) -> npt.NDArray[np.int64]:
    """The row of the decisions that speaks of each picture, (N,); -1: none does."""
    rows = _occurrence_rows(hashes_of(known), hashes_of(hashes))
    missing = int(np.count_nonzero(rows < 0))
    if missing == len(rows):
        raise FacekitError(f"none of the {len(source)} pictures of {source.path} is in the decisions: another pack")
    if missing and not drop_unmatched:
        raise FacekitError(
            f"{missing} of {len(source)} pictures of {source.path} are in no decision; --unmatched drop leaves them out"
        )
    return rows


def _matched(
    table: DecisionTable,
    rows: npt.NDArray[np.int64],
    source: Source,
    hashes: npt.NDArray[np.uint8],
    selected: bool = False,
) -> DecisionTable:
    """The decisions in the order of the source, with its keys and labels; pictures in row -1 are dropped.

    Parameters
    ----------
    table : DecisionTable
    rows : (N,) int64
        From `_find_hashes`.
    source : Source
    hashes : (N, 16) uint8
    selected : bool
        The rows of the table are in that order already.
    """
    found = table if selected else table.select_rows(np.maximum(rows, 0))
    found = dataclasses.replace(found, keys=source.keys, payload_hash=hashes, old_label=source.labels)
    unknown = rows < 0
    if not unknown.any():
        return found
    new, action, reason = found.new_label.copy(), found.action_code.copy(), found.reason_code.copy()
    new[unknown], action[unknown], reason[unknown] = -1, Action.DROP, Reason.UNMATCHED
    found = dataclasses.replace(found, new_label=new, action_code=action, reason_code=reason)
    return found.explained(unknown, [UNMATCHED])


def _occurrence_rows(known: npt.NDArray[np.bytes_], wanted: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int64]:
    """For the nth time that a hash is wanted, the row where it is known for the nth time, (n,); -1: not so often.

    Parameters
    ----------
    known : (K,) S16
    wanted : (n,) S16
    """
    if np.array_equal(known, wanted):
        return np.arange(len(known))
    mine, theirs = (np.argsort(hashes, kind="stable") for hashes in (known, wanted))
    rows = np.full(len(wanted), -1, np.int64)
    last, start = b"", 0  # the hash before this block, and where its run began
    for part in blocks(len(wanted) if len(known) else 0):
        some = wanted[theirs[part]]
        places = np.arange(part.start, part.stop)
        fresh = np.append(part.start == 0 or some[0] != last, some[1:] != some[:-1])
        starts = np.maximum.accumulate(np.where(fresh, places, start))
        last, start = some[-1], int(starts[-1])
        at = np.searchsorted(known, some, sorter=mine) + places - starts
        found = mine[np.minimum(at, len(known) - 1)]
        rows[theirs[part]] = np.where((at < len(known)) & (known[found] == some), found, -1)
    return rows
