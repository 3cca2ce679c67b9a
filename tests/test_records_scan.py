"""Walking part headers: compiled and plain, whole and damaged files, and the pass over headers."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import RecordError
from facekit.records import RecordReader, frame, header_columns, pack_record, unframe, unpack_record
from facekit.records import columns as columns_module
from facekit.records import scan as scan_module
from facekit.records.findings import Findings
from facekit.records.header import Header
from facekit.records.kernels import hop_records
from facekit.records.scan import _hop_plain, rebuild_index, scan
from facekit.records.structure import read_structure

MAGIC = bytes.fromhex("0a23d7ce")
planted = st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=9)), max_size=6).map(b"".join)


def starts_of(pieces: list[bytes]) -> list[int]:
    return [0, *np.cumsum([len(piece) for piece in pieces])[:-1].tolist()] if pieces else []


@pytest.fixture(params=[_hop_plain, hop_records], ids=["plain", "compiled"])
def hop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "_choose_hop", lambda _: request.param)


@pytest.mark.kernels
@pytest.mark.usefixtures("hop")
def test_scan_finds_every_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    for window in (8192, 64 << 20):
        monkeypatch.setattr(scan_module, "WINDOW", window)
        monkeypatch.setattr(scan_module, "_MAX_STARTS", 50)
        pieces = []
        for number in range(700):
            body = draw.randbytes(draw.choice((0, 3, 40, 900, 20_000)) if number % 50 == 0 else draw.randrange(60))
            pieces.append(frame(body + MAGIC + body[:5] if number % 7 == 0 else body))
        (tmp_path / "x.rec").write_bytes(b"".join(pieces))
        found = scan(tmp_path / "x.rec")
        assert found.offsets.tolist() == starts_of(pieces)
        assert found.stops.tolist() == [*starts_of(pieces)[1:], sum(map(len, pieces))]
        assert found.gaps == ()


@given(st.lists(planted, max_size=8))
def test_any_records_are_found(tmp_path_factory: pytest.TempPathFactory, buffers: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.rec"
    pieces = [frame(buffer) for buffer in buffers]
    path.write_bytes(b"".join(pieces))
    assert scan(path).offsets.tolist() == starts_of(pieces) == scan(path, resynchronise=True).offsets.tolist()


@pytest.mark.kernels
@pytest.mark.usefixtures("hop")
@pytest.mark.parametrize("cut", [1, 3, 4, 5, 8, 11])
def test_a_truncated_tail(tmp_path: Path, cut: int) -> None:
    pieces = [frame(b"0123456789"), frame(b"abc")]
    (tmp_path / "x.rec").write_bytes(b"".join(pieces)[:-cut])
    with pytest.raises(RecordError, match="truncated") as caught:
        scan(tmp_path / "x.rec")
    assert caught.value.offset == 20
    found = scan(tmp_path / "x.rec", resynchronise=True)
    whole = cut == 1  # the last byte is padding
    assert (found.offsets.tolist(), found.padding_missing) == (([0, 20], 1) if whole else ([0], 0))
    if whole:
        assert (found.stops.tolist(), found.gaps) == ([20, 31], ())
        return
    assert [(gap.start, gap.stop) for gap in found.gaps] == [(20, 32 - cut)]


def broken_length(number: int, length: int) -> tuple[bytes, list[int]]:
    pieces = [frame(bytes([65 + n]) * 40) for n in range(6)]
    starts = starts_of(pieces)
    block = bytearray(b"".join(pieces))
    struct.pack_into("<I", block, starts[number] + 4, length)
    return bytes(block), starts


@pytest.mark.usefixtures("hop")
@pytest.mark.parametrize("length", [0, 12, 36, 44, 60, 100, 130, 2**28, 2**29 - 1, 1 << 29, 7 << 29 | 40])
@pytest.mark.parametrize("number", [0, 2, 5])
def test_a_wrong_length_costs_one_record(tmp_path: Path, number: int, length: int) -> None:
    """Others are found again, also those that the wrong length swallows."""
    block, starts = broken_length(number, length)
    (tmp_path / "x.rec").write_bytes(block)
    with pytest.raises(RecordError):
        scan(tmp_path / "x.rec")
    found = scan(tmp_path / "x.rec", resynchronise=True)
    others = [start for start in starts if start != starts[number]]
    assert set(others) <= set(found.offsets.tolist()) <= set(starts)
    assert len(found.gaps) == 1
    assert starts[number] <= found.gaps[0].start < found.gaps[0].stop == [*starts[1:], len(block)][number]


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 41])
def test_lost_bytes_cost_one_record(tmp_path: Path, lost: int) -> None:
    """What follows no longer stands at multiples of four, and is found all the same."""
    block, starts = broken_length(0, 40)
    place = starts[2] + 9
    (tmp_path / "x.rec").write_bytes(block[:place] + block[place + lost :])
    found = scan(tmp_path / "x.rec", resynchronise=True)
    kept = {0, starts[1], *(start - lost for start in starts[4 if lost > 39 else 3 :])}
    assert kept <= set(found.offsets.tolist())
    again = [unframe((tmp_path / "x.rec").read_bytes(), int(at))[0] for at in sorted(kept)]
    assert (
        [piece[:1] for piece in again] == [b"A", b"B", *(b"E", b"F")[-2:]]
        if lost > 39
        else [b"A", b"B", b"D", b"E", b"F"]
    )


@given(st.lists(planted, min_size=1, max_size=6), st.data())
def test_resynchronising_always_ends_and_accounts_for_every_byte(
    tmp_path_factory: pytest.TempPathFactory, buffers: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.rec"
    damaged = bytearray(b"".join(map(frame, buffers)))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    found = scan(path, resynchronise=True)
    spans = [*zip(found.offsets.tolist(), found.stops.tolist(), strict=True), *((g.start, g.stop) for g in found.gaps)]
    spans.sort()
    assert [0, *(stop for _, stop in spans)] == [*(start for start, _ in spans), len(damaged)]
    for offset, stop in zip(found.offsets.tolist(), found.stops.tolist(), strict=True):
        assert unframe(damaged, offset)[1] == stop


@pytest.mark.kernels
def test_hops_agree() -> None:
    draw = random.Random(3)
    block = b"".join(frame(draw.randbytes(draw.randrange(30))) for _ in range(200))
    words = np.frombuffer(block + b"junk", "<u4")
    for room in (1, 50, 1_000):
        one, other = np.zeros(room, np.int64), np.zeros(room, np.int64)
        assert _hop_plain(words, 0, one) == hop_records(words, 0, other)
        assert (one == other).all()


def test_a_missing_file(tmp_path: Path) -> None:
    for read in (scan, rebuild_index, lambda path: list(header_columns(path, np.array([0])))):
        with pytest.raises(RecordError, match="cannot be read"):
            read(tmp_path / "x.rec")


def test_records_without_headers_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "x.rec").write_bytes(b"".join(map(frame, (b"a", b"bb", b""))))
    with RecordReader(tmp_path / "x.rec") as reader:
        assert [reader.read_bytes(key) for key in (0, 1, 2)] == [b"a", b"bb", b""]


def test_records_with_equal_ids_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "x.rec").write_bytes(b"".join(frame(pack_record(Header(0, n, 5, 0), b"x")) for n in range(3)))
    assert rebuild_index(tmp_path / "x.rec").keys.tolist() == [0, 1, 2]


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "x.rec").write_bytes(b"")
    assert len(rebuild_index(tmp_path / "x.rec")) == 0


# --- headers as arrays ----------------------------------------------------------------------------------------------

magic = 0xCED7230A
labels = st.one_of(
    st.floats(width=32),
    st.lists(st.floats(width=32), max_size=4),
    st.sampled_from([magic, 7]).map(lambda bits: np.full(2, bits, np.uint32).view(np.float32)),
)
ids = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([magic, magic << 32]))


@given(st.lists(st.tuples(labels, ids, ids, planted), min_size=1, max_size=12), st.integers(1, 5), st.booleans())
def test_header_columns_are_the_headers(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[object, int, int, bytes]], rows: int, shuffled: bool
) -> None:
    """Against reading record by record, with magic words in headers, in any order, batches of any size."""
    path = tmp_path_factory.getbasetemp() / "headers.rec"
    pieces = [frame(pack_record(Header(0, label, id_, id2), payload)) for label, id_, id2, payload in records]
    path.write_bytes(b"".join(pieces))
    offsets = np.array(starts_of(pieces))
    if shuffled:
        offsets = np.random.default_rng(0).permutation(offsets)
    seen = 0
    for chosen, columns in header_columns(path, offsets, rows=rows):
        assert chosen.start == seen
        seen = chosen.stop
        for row, offset in enumerate(offsets[chosen].tolist()):
            buffer, stop = unframe(path.read_bytes(), offset)
            header, payload = unpack_record(buffer)
            vector = np.atleast_1d(np.asarray(header.label, np.float32))
            assert (columns.flag[row], columns.id[row], columns.id2[row]) == (header.flag, header.id, header.id2)
            assert np.array_equal(columns.label[row], vector[0], equal_nan=True)
            second = vector[1] if len(vector) > 1 else np.nan
            assert np.array_equal(columns.second[row], second, equal_nan=True)
            assert (columns.payload_bytes[row], columns.framed_bytes[row]) == (len(payload), stop - offset)
            assert columns.empty[row] == (not payload)
    assert seen == len(records)


def test_header_columns_cross_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "WINDOW", 5_000)
    pieces = [frame(pack_record(Header(0, n, 10 * n, 0), bytes(37 * n))) for n in range(200)]
    (tmp_path / "x.rec").write_bytes(b"".join(pieces))
    offsets = np.array(starts_of(pieces))
    batches = list(header_columns(tmp_path / "x.rec", offsets))
    assert len(batches) > 20
    assert np.concatenate([columns.label for _, columns in batches]).tolist() == list(range(200))
    assert np.concatenate([columns.payload_bytes for _, columns in batches]).tolist() == [37 * n for n in range(200)]


@pytest.mark.parametrize("offset", [-4, 1, 4, 36, 4_000_000, 2**50])
def test_header_columns_name_the_record_that_is_none(tmp_path: Path, offset: int) -> None:
    (tmp_path / "x.rec").write_bytes(frame(pack_record(Header(0, 1, 1, 0), b"abcd")))
    offsets = np.array([0, offset] if offset >= 0 else [offset, 0])
    with pytest.raises(RecordError) as caught:
        list(header_columns(tmp_path / "x.rec", offsets, np.array([7, 7])))
    assert (caught.value.key, caught.value.offset) == (7, offset)


@pytest.mark.parametrize("buffer", [b"", bytes(23), struct.pack("<IfQQ", 3, 0, 0, 0) + bytes(8)])
def test_header_columns_refuse_a_record_too_short_for_its_header(tmp_path: Path, buffer: bytes) -> None:
    (tmp_path / "x.rec").write_bytes(frame(buffer))
    with pytest.raises(RecordError, match=r"too short|announces a label") as caught:
        list(header_columns(tmp_path / "x.rec", np.array([0]), np.array([3])))
    assert (caught.value.key, caught.value.offset) == (3, 0)


@pytest.mark.parametrize("most", [0, 3, 50])
def test_short_records_beyond_those_that_are_listed_are_told_by_their_payload(tmp_path: Path, most: int) -> None:
    """In batches of 16 rows; between them lie whole records, one of two parts."""
    whole = pack_record(Header(0, 1, 1, 0), b"abc" + bytes(1) + MAGIC)
    buffers = [b"" if row % 3 else whole for row in range(60)]
    offsets = np.cumsum([0, *(len(frame(buffer)) for buffer in buffers)])[:-1]
    (tmp_path / "x.rec").write_bytes(b"".join(map(frame, buffers)))
    faults: list[RecordError] = []
    parts = list(header_columns(tmp_path / "x.rec", offsets, np.arange(60), 16, faults, most))
    payloads = np.concatenate([columns.payload_bytes for _, columns in parts])
    assert payloads.tolist() == [-1 if row % 3 else 8 for row in range(60)]
    assert [fault.key for fault in faults] == [row for row in range(60) if row % 3][:most]


def test_the_empty_records_of_a_file_are_counted_and_the_first_are_listed(tmp_path: Path) -> None:
    (tmp_path / "x.rec").write_bytes(frame(b"") * 70_000)
    found = Findings(5)
    records = read_structure(tmp_path / "x.rec", tmp_path / "x.idx", found)
    assert found.counts["header"] == len(records.keys) == 70_000
    listed = [finding for finding in found.kept if finding.kind == "header"]
    assert [finding.offset for finding in listed] == [0, 8, 16, 24, 32]
    assert all("too short for a header" in finding.problem for finding in listed)
