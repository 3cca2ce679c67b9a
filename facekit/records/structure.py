"""A ``.rec`` and its ``.idx``, in whatever state -> every record that is whole, and what is wrong with the others.

Nothing here trusts the index: the file is walked from its first byte to its last, and every byte of it belongs to a
record or to a gap that is a finding.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.columns import header_columns
from facekit.records.distinct import ascends, blocks
from facekit.records.findings import Findings
from facekit.records.framing import unframe
from facekit.records.header import unpack_record
from facekit.records.index import RecordIndex, load_sidecar
from facekit.records.index_text import parse_text
from facekit.records.layout import rebuilt_keys
from facekit.records.scan import Gap, Reached, scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Structure", "read_padded", "read_structure"]


class Structure(NamedTuple):
    """The records of a file in physical order, 45 bytes each.

    Attributes
    ----------
    offsets, stops : (N,) int64
        Where each record starts and ends; the last stop is no multiple of four from its start where padding is missing.
    keys : (N,) int64
        Key in the index; -1 where the index does not have it. Rebuilt where there is no index of this file.
    flag : (N,) uint32
    label, second : (N,) float32
        See `HeaderColumns`.
    payload_bytes : (N,) int64
        -1 where the header cannot be read.
    id_is_key : (N,) bool
        ``header.id`` is the key.
    gaps : tuple of Gap
        The rest of the file.
    lost : (L,) int64
        Keys that the index has and the file does not, ascending.
    """

    offsets: NDArray[np.int64]
    stops: NDArray[np.int64]
    keys: NDArray[np.int64]
    flag: NDArray[np.uint32]
    label: NDArray[np.float32]
    second: NDArray[np.float32]
    payload_bytes: NDArray[np.int64]
    id_is_key: NDArray[np.bool_]
    gaps: tuple[Gap, ...]
    lost: NDArray[np.int64]


_AT_ONCE = 1 << 14
"""Headers that are read in one go."""

_NEAR = 8
"""Bytes by which an offset may miss the start of the record it means: no two records with headers start so near."""


class _Entries(NamedTuple):
    """The lines of an index."""

    keys: NDArray[np.int64]
    offsets: NDArray[np.int64]


def read_structure(rec: Path, idx: Path, found: Findings, reached: Reached = lambda _: None) -> Structure:
    """Walk a file and its index.

    Parameters
    ----------
    rec, idx : Path
        The index may be missing.
    found : Findings
        Takes what is wrong.
    reached : callable, optional
        Called now and then with how far it is: from 0 to twice the size of the file, which is passed over twice.

    Returns
    -------
    Structure

    Raises
    ------
    RecordError
        A file cannot be read at all.
    """
    scanned = scan(rec, resynchronise=True, reached=reached)
    offsets, cut = scanned.offsets, scanned.padding_missing
    if not len(offsets) and not scanned.gaps:
        found.add("empty", f"{rec.name} has 0 bytes: fetch or make it again, nothing can be saved")
    entries = _read_entries(idx, found)
    if entries is not None:
        _check_sidecar(idx, entries, found)
        entries = _drop_foreign(entries, offsets, idx, found)
    if entries is None:
        keys, lost = _keys_without_index(rec, offsets, cut), np.empty(0, np.int64)
        _report_gaps(scanned.gaps, _Entries(lost, lost), rec, found)
    else:
        _report_gaps(scanned.gaps, entries, rec, found)
        keys, lost = _keys_of_records(entries, offsets, scanned.gaps, found)
    del entries  # 16 bytes a record
    if cut:
        found.add("padding_missing", f"{cut} zeros are missing at the end of the file", keys[-1], offsets[-1])
    columns = _read_columns(rec, offsets, keys, cut, found, reached)
    return Structure(offsets, scanned.stops, keys, *columns, scanned.gaps, lost)


def _read_entries(idx: Path, found: Findings) -> _Entries | None:
    def report(line: int, problem: str) -> None:
        found.add("index_line", f"line {line} of {idx.name} {problem}", None, line)

    try:
        with open(idx, "rb") as file:
            return _Entries(*parse_text(file.fileno(), idx, report))
    except FileNotFoundError:
        found.add("index_missing", f"{idx.name} is missing: facekit reindex rebuilds it")
        return None
    except OSError as error:
        raise RecordError(f"the index cannot be read: {error.strerror}", idx) from error


def _check_sidecar(idx: Path, entries: _Entries, found: Findings) -> None:
    stored, text = load_sidecar(idx), RecordIndex.from_lines(*entries)
    if stored is not None and not stored.same_as(text):
        found.add("index_stale", f"{idx.name}.bin differs from {idx.name}: delete it")


def _drop_foreign(entries: _Entries, offsets: NDArray[np.int64], idx: Path, found: Findings) -> _Entries | None:
    """The entries, or None where they are those of another file: less than half of them hit a record."""
    hits = 0
    for part in blocks(len(entries.offsets)) if len(offsets) else ():
        some = entries.offsets[part]
        hits += int((offsets[np.minimum(np.searchsorted(offsets, some), len(offsets) - 1)] == some).sum())
    if hits * 2 >= min(len(entries.keys), len(offsets)) and (hits or not len(offsets)):
        return entries
    found.add(
        "index_foreign",
        f"{hits} of the {len(entries.keys)} entries of {idx.name} point at the start of a record, of which the file "
        f"has {len(offsets)}: it is the index of another file",
    )
    return None


def _report_gaps(gaps: tuple[Gap, ...], entries: _Entries, rec: Path, found: Findings) -> None:
    if not gaps:
        return
    size = os.path.getsize(rec)
    order = np.argsort(entries.offsets, kind="stable")
    ranked = entries.offsets[order]
    for gap in gaps:
        first, last = np.searchsorted(ranked, [gap.start, gap.stop])
        key = int(entries.keys[order[first]]) if first < last else None
        kind = "truncated" if gap.stop == size and "truncated" in gap.problem else "damaged"
        found.add(kind, f"{gap.stop - gap.start} bytes are no record: {gap.problem}", key, gap.start)


def _keys_of_records(
    entries: _Entries, offsets: NDArray[np.int64], gaps: tuple[Gap, ...], found: Findings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Key of each record, and the keys whose records are not there."""
    place, hit = np.empty(len(entries.keys), np.int64), np.zeros(len(entries.keys), np.bool_)
    for part in blocks(len(place)):
        some = entries.offsets[part]
        place[part] = np.searchsorted(offsets, some)
        if len(offsets):
            hit[part] = offsets[np.minimum(place[part], len(offsets) - 1)] == some
    _report_misses(entries, ~hit, gaps, found)
    if not hit.all():
        place[~hit] = _nearest_unlisted(entries.offsets[~hit], offsets, np.unique(place[hit]))
        hit |= place >= 0
    last = _last_of_each(entries.keys)
    found.add_rows("duplicate_key", "a later line of the index has the same key", ~last, *entries)
    keys = np.full(len(offsets), -1, np.int64)
    good = hit & last
    for part in blocks(len(good)):
        keys[place[part][good[part]]] = entries.keys[part][good[part]]
    shared = good.copy()
    for part in blocks(len(good)):
        shared[part][good[part]] = keys[place[part][good[part]]] != entries.keys[part][good[part]]
    found.add_rows("duplicate_offset", "a later line of the index gives the same record another key", shared, *entries)
    unlisted = keys < 0
    unlisted[place[hit & ~last]] = False
    found.add_rows("index_incomplete", "the index does not have this record", unlisted, keys, offsets)
    return keys, np.unique(entries.keys[~hit & last])


def _last_of_each(keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which lines are the last of their key."""
    last = np.ones(len(keys), np.bool_)
    if ascends(keys, strictly=True):
        return last
    order = np.argsort(keys, kind="stable")
    for part in blocks(len(keys) - 1):
        before, after = order[part], order[part.start + 1 : part.stop + 1]
        last[before[keys[before] == keys[after]]] = False
    return last


def _nearest_unlisted(
    wanted: NDArray[np.int64], offsets: NDArray[np.int64], listed: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Row of the record within `_NEAR` bytes of an offset; -1: none is, a line names it, or two offsets claim it."""
    if not len(offsets):
        return np.full(len(wanted), -1, np.int64)
    wanted = np.clip(wanted, -2 * _NEAR, offsets[-1] + 2 * _NEAR)  # 2**63 - 1 would overflow below
    after = np.minimum(np.searchsorted(offsets, wanted), len(offsets) - 1)
    before = np.maximum(after - 1, 0)
    near = np.where(np.abs(offsets[before] - wanted) < np.abs(offsets[after] - wanted), before, after)
    near_enough = (np.abs(offsets[near] - wanted) <= _NEAR) & ~np.isin(near, listed)
    claimed, times = np.unique(near[near_enough], return_counts=True)
    near_enough &= np.isin(near, claimed[times == 1])
    return np.where(near_enough, near, -1)


def _report_misses(entries: _Entries, missed: NDArray[np.bool_], gaps: tuple[Gap, ...], found: Findings) -> None:
    starts, stops = np.array([(gap.start, gap.stop) for gap in gaps], np.int64).reshape(-1, 2).T
    if not missed.any():
        return
    place = np.searchsorted(starts, entries.offsets, side="right") - 1
    lost = missed & (place >= 0)
    lost[lost] = entries.offsets[lost] < stops[place[lost]]
    found.add_rows("record_lost", "the record lies in a damaged part of the file", lost, *entries)
    found.add_rows("index_offset", "no record starts here", missed & ~lost, *entries)


def _keys_without_index(rec: Path, offsets: NDArray[np.int64], cut: int) -> NDArray[np.int64]:
    """Keys without an index. A record without its padding is not asked for its own: it gets the next."""
    if not cut:
        return rebuilt_keys(rec, offsets)
    keys = rebuilt_keys(rec, offsets[:-1])
    return np.append(keys, keys.max(initial=-1) + 1)


def _read_columns(
    rec: Path, offsets: NDArray[np.int64], keys: NDArray[np.int64], cut: int, found: Findings, reached: Reached
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    count = len(offsets)
    flag, label, second = np.empty(count, np.uint32), np.empty(count, np.float32), np.empty(count, np.float32)
    payload, id_is_key = np.empty(count, np.int64), np.empty(count, np.bool_)
    faults: list[RecordError] = []
    whole, size = count - (cut > 0), os.path.getsize(rec)
    for chosen, columns in header_columns(rec, offsets[:whole], keys[:whole], _AT_ONCE, faults, found.most):
        flag[chosen], label[chosen], second[chosen] = columns.flag, columns.label, columns.second
        payload[chosen] = columns.payload_bytes
        id_is_key[chosen] = (columns.id == keys[chosen].astype(np.uint64)) & (keys[chosen] >= 0)
        for error in faults:
            found.add("header", error.problem, error.key, error.offset)
        unlisted = int((columns.payload_bytes < 0).sum()) - len(faults)
        if unlisted:
            found.counts["header"] += unlisted
        faults.clear()
        reached(size + int(offsets[chosen.stop - 1]))
    if cut:
        last = _last_header(rec, int(offsets[-1]), int(keys[-1]), found)
        flag[-1], label[-1], second[-1], payload[-1], id_is_key[-1] = last
    return flag, label, second, payload, id_is_key


def _last_header(rec: Path, offset: int, key: int, found: Findings) -> tuple[int, float, float, int, bool]:
    """What `header_columns` would say of a record without its padding."""
    framed = read_padded(rec, offset)
    try:
        header, content = unpack_record(unframe(framed)[0], path=rec, key=key, offset=offset)
    except RecordError as error:
        found.add("header", error.problem, error.key, error.offset)
        return 0, np.nan, np.nan, -1, False
    vector = np.append(np.asarray(header.label, np.float32), np.float32(np.nan))
    return header.flag, float(vector[0]), float(vector[1]), len(content), header.id == key


def read_padded(rec: Path, offset: int) -> bytes:
    """The framed bytes of the last record of a file, with the zeros that are missing.

    Parameters
    ----------
    rec : Path
    offset : int
        Of its last record.

    Returns
    -------
    bytes
        A multiple of four.
    """
    with open(rec, "rb") as file:
        file.seek(offset)
        framed = file.read()
    return framed + bytes(-len(framed) & 3)
