"""What must hold whatever bytes a pack or a .bin is made of: one function each, for the fuzzer and for the tests.

No exception but RecordError, every byte of a file in a record or in a gap, every record that a plain walk of the format
finds, and the same records whichever way they are read.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from facekit.errors import RecordError
from facekit.records import header_columns, open_pack, read_bins, unframe, unpack_record
from facekit.records.findings import Findings
from facekit.records.roles import read_roles
from facekit.records.scan import Scan, scan
from facekit.records.structure import read_structure

MAGIC = 0xCED7230A


def check_pack(rec: Path) -> None:
    """A ``.rec`` and what lies beside it."""
    content = rec.read_bytes()
    walked = scan(rec, resynchronise=True)
    tiles(walked, len(content))
    expected = plain(content)
    assert walked.offsets[: len(expected)].tolist() == expected, "a record is lost in silence"
    found = Findings()
    records = read_structure(rec, rec.with_suffix(".idx"), found)
    roles = read_roles(records, rec.with_name("property"), found)
    assert len(records.offsets) == len(walked.offsets)
    assert bool(found.counts["damaged"] + found.counts["truncated"]) == bool(walked.gaps)
    assert not (roles.sound & ~roles.images).any()
    assert len(found.kept) == sum(found.counts.values()) or max(found.counts.values()) > 1000
    same_however_read(rec, content, walked)


def tiles(walked: Scan, size: int) -> None:
    """Records and gaps cover the file from its first byte to its last, without overlap."""
    pieces = [*zip(walked.offsets.tolist(), walked.stops.tolist()), *((gap.start, gap.stop) for gap in walked.gaps)]
    at = 0
    for start, stop in sorted(pieces):
        assert start == at < stop, f"byte {at} is neither in a record nor in a gap"
        at = stop
    assert at == size, f"the bytes from {at} to {size} are lost in silence"


def plain(content: bytes) -> list[int]:
    """Where records start, by the format's own words, up to the first thing that is none.

    The last one is left out where damage follows: its length may be what is wrong.
    """
    starts: list[int] = []
    at = 0
    while at < len(content):
        stop = plain_record(content, at)
        if stop is None:
            return starts[:-1]
        starts.append(at)
        at = stop
    return starts


def plain_record(content: bytes, at: int) -> int | None:
    """Where the record that starts at an offset ends; None where none is."""
    allowed = {0, 1}
    while at + 8 <= len(content):
        magic, coded = struct.unpack_from("<II", content, at)
        flag, length = coded >> 29, coded & (1 << 29) - 1
        at += 8 + (length + 3) // 4 * 4
        if magic != MAGIC or flag not in allowed or at > len(content) or (flag in (1, 2) and length % 4):
            return None
        if flag in (0, 3):
            return at
        allowed = {2, 3}
    return None


def same_however_read(rec: Path, content: bytes, walked: Scan) -> None:
    """Opened as a pack, a record is what unframing its bytes gives, or a RecordError."""
    try:
        pack = open_pack(rec)
    except RecordError:
        return
    with pack:
        walked = padded_ones(walked)
        starts = set(walked.offsets.tolist())
        for key in pack.reader.keys[:64].tolist():
            offset = pack.reader.offset(key)
            try:
                buffer = pack.reader.read_bytes(key)
            except RecordError:
                assert offset not in starts, f"the record at {offset} is whole and cannot be read"
                continue
            assert buffer == unframe(content, offset)[0]
        for read in (lambda: pack.labels, lambda: pack.identity_ranges, lambda: pack.keys, lambda: list(pack)[:0]):
            try:
                read()
            except RecordError:
                continue
        compare_headers(rec, content, walked)


def padded_ones(walked: Scan) -> Scan:
    """Without the last record where its padding is missing: `check` saves it, no reader takes it."""
    whole = (walked.stops - walked.offsets) % 4 == 0
    return walked._replace(offsets=walked.offsets[whole], stops=walked.stops[whole])


def compare_headers(rec: Path, content: bytes, walked: Scan) -> None:
    """Headers read all at once are those read one by one."""
    faults: list[RecordError] = []
    for chosen, columns in header_columns(rec, walked.offsets, faults=faults):
        for row, offset in enumerate(walked.offsets[chosen].tolist()):
            buffer = unframe(content, offset)[0]
            try:
                header, payload = unpack_record(buffer)
            except RecordError:
                assert columns.payload_bytes[row] == -1
                continue
            assert (columns.flag[row], columns.id[row], columns.payload_bytes[row]) == (
                header.flag, header.id, len(payload),
            )  # fmt: skip
            first = np.atleast_1d(np.asarray(header.label, np.float32))[0]
            assert first == columns.label[row] or np.isnan(first)


def check_bins(path: Path) -> None:
    """A verification ``.bin``: pairs of bytes and flags, none of them larger than the file; or a RecordError."""
    try:
        found = read_bins(path)
    except RecordError:
        return
    size = path.stat().st_size
    assert len(found.payloads) == 2 * len(found.same)
    assert all(isinstance(payload, bytes) and len(payload) <= size for payload in found.payloads)
    assert found.same.dtype == np.bool_
