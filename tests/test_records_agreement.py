"""Random records, random damage: every reader gives what a plain reading of the format gives, or a RecordError."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facekit.compat.mxnet.recordio import MXRecordIO
from facekit.errors import RecordError
from facekit.records import Header, RecordReader, frame, header_columns, pack_record
from facekit.records.findings import Findings
from facekit.records.index import RecordIndex, format_index
from facekit.records.scan import scan
from facekit.records.structure import read_structure

MAGIC = b"\n#\xd7\xce"

# --- the format, word by word -----------------------------------------------------------------------------------------


class Expected(NamedTuple):
    """A record as the format has it. The label's numbers are kept as bytes, so that NaN equals itself."""

    flag: int
    label: bytes
    id: int
    id2: int
    payload: bytes


def quiet(label: bytes) -> bytes:
    """Numbers with every NaN the same: a processor makes quiet ones of those that signal."""
    numbers = np.frombuffer(label[: len(label) & ~3], "<f4")
    return np.where(np.isnan(numbers), np.float32(np.nan), numbers).astype("<f4").tobytes()


def plain_buffer(content: bytes, at: int, padding: bool = True) -> tuple[bytes, int] | None:
    """The buffer of the record that starts at an offset, and where it ends; None where none is whole.

    Without ``padding`` the zeros behind the last part may be missing at the end of the file.
    """
    pieces: list[bytes] = []
    allowed = (0, 1)
    while at >= 0 and at + 8 <= len(content):
        magic, coded = struct.unpack_from("<4sI", content, at)
        flag, length = coded >> 29, coded % (1 << 29)
        stop = at + 8 + length + -length % 4
        needed = stop if padding else at + 8 + length
        if magic != MAGIC or flag not in allowed or needed > len(content) or (flag in (1, 2) and length % 4):
            return None
        pieces.append(content[at + 8 : at + 8 + length])
        if flag in (0, 3):
            return MAGIC.join(pieces), min(stop, len(content))
        at, allowed = stop, (2, 3)
    return None


def plain_record(content: bytes, at: int) -> Expected | None:
    """The record that starts at an offset; None where none is whole, or it is too short for its header."""
    found = plain_buffer(content, at)
    if found is None or len(found[0]) < 24:
        return None
    flag, _, id_, id2 = struct.unpack_from("<IfQQ", found[0])
    numbers = 24 + 4 * flag
    label = found[0][4:8] if flag == 0 else found[0][24:numbers]
    return Expected(flag, quiet(label), id_, id2, found[0][numbers:]) if numbers <= len(found[0]) else None


def plain_scan(content: bytes) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Records and gaps, by the rule that `scan` states; the last record may lack padding."""

    def end(at: int) -> int | None:
        found = plain_buffer(content, at, padding=False)
        return None if found is None else found[1]

    def follows(at: int) -> bool:
        return at == len(content) or end(at) is not None

    def next_record(start: int, stop: int) -> int:
        for at in range(start, stop):
            stops = end(at)
            if stops is not None and (at % 4 == 0 or follows(stops)):
                return at
        return stop

    records: list[tuple[int, int]] = []
    gaps: list[tuple[int, int]] = []
    at = 0
    while at < len(content):
        stop = end(at)
        if stop is not None:
            records.append((at, stop))
            at = stop
            continue
        start, found = at, at
        if records and records[-1][1] == at:
            found = next_record(records[-1][0] + 4, at)
        if found < at:
            start = records.pop()[0]
        else:
            found = next_record(at + 1, len(content))
        gaps.append((start, found))
        at = found
    return records, gaps


# --- records and damage -----------------------------------------------------------------------------------------------

pieces = st.sampled_from([MAGIC, b"\0" * 5, b"xy", b"x" + frame(b"inside"), frame(bytes(40)), b"\xff\xd8"])
numbers = st.floats(width=32)
records = st.builds(
    lambda label, id_, id2, payload: pack_record(Header(0, label, id_, id2), b"".join(payload)),
    numbers | st.lists(numbers, min_size=1, max_size=3),
    st.sampled_from([0, 1, 0xCED7230A, 2**64 - 1]),
    st.sampled_from([0, 3, 0xCED7230A << 32]),
    st.lists(pieces, max_size=4),
)
buffers = st.lists(records | st.binary(max_size=30), min_size=1, max_size=6)
accident = st.sampled_from(["cut", "header", "length", "insert", "remove", "byte"])
damages = st.lists(st.tuples(accident, st.integers(0, 99), st.integers(1, 13)), max_size=3)


def damaged(content: bytes, starts: list[int], damage: tuple[str, int, int]) -> bytes:
    """The bytes after one accident: the tail is lost, a part header is changed, or bytes come, go or change."""
    kind, place, amount = damage
    at = min(starts[place % len(starts)], len(content))
    anywhere = place * 997 % (len(content) + 1)
    if kind == "cut":
        return content[: max(len(content) - amount, 0)]
    if kind == "header":
        return content[:at] + b"?" + content[at + 1 :]
    if kind == "length":
        return content[: at + 4] + bytes([amount]) + content[at + 5 :]
    if kind == "insert":
        return content[:anywhere] + bytes(amount) + content[anywhere:]
    if kind == "remove":
        return content[:anywhere] + content[anywhere + amount :]
    return content[:anywhere] + bytes([amount]) + content[anywhere + 1 :]


def as_expected(header: Header, payload: bytes) -> Expected:
    return Expected(header.flag, quiet(np.asarray(header.label, "<f4").tobytes()), header.id, header.id2, payload)


class Case(NamedTuple):
    """A damaged file, and offsets at which records stood or may stand."""

    rec: Path
    content: bytes
    offsets: list[int]


def lay_down(folder: Path, given_buffers: list[bytes], accidents: list[tuple[str, int, int]]) -> Case:
    framed = [frame(buffer) for buffer in given_buffers]
    starts = [0, *np.cumsum([len(block) for block in framed]).tolist()][:-1]
    content = b"".join(framed)
    for accident in accidents:
        content = damaged(content, starts, accident)
    rec = folder / "x.rec"
    rec.write_bytes(content)
    walked = [start for start, _ in plain_scan(content)[0]]
    return Case(rec, content, sorted({*starts, *walked, 2, len(content) - 4, len(content) + 8} - {-4, -3, -2, -1}))


many = settings(max_examples=200)


def same_number(found: np.float32, stored: bytes) -> bool:
    """The same bits, but for NaN: a processor makes quiet ones of those that signal."""
    number = np.frombuffer(stored, "<f4")[0]
    return bool(found.tobytes() == stored or (np.isnan(found) and np.isnan(number)))


@many
@given(buffers, damages)
@example([pack_record(Header(0, 1.0, 0, 0), b"abcde")], [("cut", 0, 3)])
@example([pack_record(Header(0, 1.0, 0, 0), b"abcde")], [("cut", 0, 9)])
def test_a_record_reads_the_same_in_every_way(
    tmp_path_factory: pytest.TempPathFactory, given_buffers: list[bytes], accidents: list[tuple[str, int, int]]
) -> None:
    """By position, from a mapped file, and as columns: what the format says, and an error where it says nothing."""
    case = lay_down(tmp_path_factory.getbasetemp(), given_buffers, accidents)
    index = RecordIndex(np.arange(len(case.offsets)), np.array(case.offsets))
    expected = [plain_record(case.content, at) for at in case.offsets]
    for mapped in (False, True):
        with RecordReader(case.rec, index=index, mapped=mapped) as reader:
            for key, record in enumerate(expected):
                if record is None:
                    with pytest.raises(RecordError) as caught:
                        reader.read(key)
                    assert (caught.value.path, caught.value.key) == (str(case.rec), key)
                    continue
                assert as_expected(*reader.read(key)[1:]) == record
                found = plain_buffer(case.content, case.offsets[key])
                assert found is not None
                assert reader.read_bytes(key) == found[0]
                assert reader.read_framed(key) == case.content[case.offsets[key] : found[1]]
    compare_columns(case, expected)


def compare_columns(case: Case, expected: list[Expected | None]) -> None:
    faults: list[RecordError] = []
    for chosen, columns in header_columns(case.rec, np.array(case.offsets), faults=faults):
        for row, record in enumerate(expected[chosen]):
            if record is None:
                assert (columns.payload_bytes[row], columns.framed_bytes[row]) == (-1, 0)
                continue
            found = plain_buffer(case.content, case.offsets[chosen][row])
            assert found is not None
            assert columns.framed_bytes[row] == found[1] - case.offsets[chosen][row]
            assert (columns.flag[row], columns.id[row], columns.id2[row]) == (record.flag, record.id, record.id2)
            assert columns.payload_bytes[row] == len(record.payload)
            assert same_number(columns.label[row], record.label[:4])
            second = np.frombuffer(record.label[4:8] or struct.pack("<f", np.nan), "<f4")
            assert np.array_equal(columns.second[row : row + 1], second, equal_nan=True)
    assert len(faults) == expected.count(None)


@many
@given(buffers, damages)
@example([pack_record(Header(0, 1.0, 0, 0), b"x" + frame(b"inside"))] * 2, [("header", 0, 1)])
@example([pack_record(Header(0, 1.0, 0, 0), b"x" + frame(b"inside") + b"xy")] * 2, [("length", 0, 3)])
def test_records_and_gaps_are_those_of_the_stated_rule(
    tmp_path_factory: pytest.TempPathFactory, given_buffers: list[bytes], accidents: list[tuple[str, int, int]]
) -> None:
    """`scan`, `read_structure` and a reading from beginning to end take the same bytes for records."""
    case = lay_down(tmp_path_factory.getbasetemp(), given_buffers, accidents)
    walked, gaps = plain_scan(case.content)
    found = scan(case.rec, resynchronise=True)
    assert list(zip(found.offsets.tolist(), found.stops.tolist())) == walked
    assert [gap[:2] for gap in found.gaps] == gaps
    whole = not gaps and all(stop % 4 == 0 for _, stop in walked)
    if whole:
        assert scan(case.rec).offsets.tolist() == [start for start, _ in walked]
    else:
        with pytest.raises(RecordError):
            scan(case.rec)
    compare_structure(case, walked, gaps)
    compare_reading_through(case)


def compare_structure(case: Case, walked: list[tuple[int, int]], gaps: list[tuple[int, int]]) -> None:
    """With an index of every other record that is there."""
    listed = {start: 10 + number for number, (start, _) in enumerate(walked) if number % 2 == 0}
    idx = case.rec.with_suffix(".idx")
    idx.write_text(format_index(list(listed.values()), list(listed)))
    records = read_structure(case.rec, idx, Findings())
    idx.unlink()
    assert list(zip(records.offsets.tolist(), records.stops.tolist())) == walked
    assert [gap[:2] for gap in records.gaps] == gaps
    for row, (start, stop) in enumerate(walked):
        if listed:
            assert records.keys[row] == listed.get(start, -1)
        record = plain_record(case.content + bytes((start - stop) % 4), start)
        if record is None:
            assert records.payload_bytes[row] == -1
            continue
        assert (records.flag[row], records.payload_bytes[row]) == (record.flag, len(record.payload))
        assert same_number(records.label[row], record.label[:4])
        assert records.id_is_key[row] == (record.id == records.keys[row])


def compare_reading_through(case: Case) -> None:
    """As mxnet's MXRecordIO: record after record, and an error where the format has none."""
    with MXRecordIO(case.rec, "r") as file:
        at = 0
        while at < len(case.content):
            found = plain_buffer(case.content, at)
            if found is None:
                with pytest.raises(RecordError):
                    file.read()
                return
            assert file.read() == found[0]
            at = found[1]
        assert file.read() is None
