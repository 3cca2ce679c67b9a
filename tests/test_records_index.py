"""Index text, its two parsers, lookups and the sidecar."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import RecordError
from facekit.records import index_text
from facekit.records.index import RecordIndex, format_index, read_index, save_sidecar, sidecar_path
from facekit.records.index_text import _parse_lines, _parse_well_formed, parse_text

numbers = st.one_of(st.integers(0, 120), st.integers(0, 10**18 - 1))
pairs = st.lists(st.tuples(numbers, numbers), max_size=30)


def by_the_book(text: str) -> list[tuple[int, int]]:
    """As mxnet reads it: a line at a time, split at the tab."""
    return [(int(line.split("\t")[0]), int(line.split("\t")[1])) for line in text.split("\n") if line.strip()]


def parsed(path: Path) -> list[tuple[int, int]]:
    with open(path, "rb") as file:
        keys, offsets = parse_text(file.fileno(), path)
    assert keys.dtype == offsets.dtype == np.int64
    return list(zip(keys.tolist(), offsets.tolist(), strict=True))


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    """Let the parser read so many bytes at a time."""
    before, index_text._BLOCK = index_text._BLOCK, size
    try:
        yield
    finally:
        index_text._BLOCK = before


@given(pairs, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(50, 400))
def test_both_parsers_read_what_the_book_reads(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, int]], end: str, last: bool, block: int
) -> None:
    text = end.join(f"{key}\t{offset}" for key, offset in lines) + (end if last else "")
    path = tmp_path_factory.getbasetemp() / "x.idx"
    path.write_bytes(text.encode())
    with blocks_of(block):
        assert parsed(path) == by_the_book(text.replace("\r", "")) == lines
    if lines:
        quickly, carefully = _parse_well_formed(text.encode()), _parse_lines(text.encode(), path, 1, 0, None)
        assert quickly is not None
        assert quickly.dtype == carefully.dtype == np.int64
        assert list(map(tuple, quickly.T.tolist())) == list(map(tuple, carefully.T.tolist())) == lines


@pytest.mark.parametrize("digits", range(1, 19))
def test_numbers_of_every_width_are_read_at_once(digits: int) -> None:
    low, high = 10 ** (digits - 1), 10**digits - 1
    numbers = sorted({low, high, *np.random.default_rng(digits).integers(low, high, 50, endpoint=True).tolist()})
    for keys, offsets in ((numbers, numbers[::-1]), ([0, *numbers], [*numbers, 0])):
        read = _parse_well_formed(format_index(keys, offsets).encode())
        assert read is not None
        assert read.tolist() == [keys, offsets]


bad_lines = [
    b"x\t1",
    b"1\tx",
    b"1",
    b"\t1",
    b"1\t",
    b"1 2",
    b"1\t2.5",
    b"1\t0x10",
    b"9" * 20 + b"\t1",
    b"1_0\t2",
    b"\xff\t1",
]


@pytest.mark.parametrize("bad", bad_lines)
@pytest.mark.parametrize("place", [0, 3, 9])
def test_a_bad_line_is_named(tmp_path: Path, bad: bytes, place: int) -> None:
    lines = [b"%d\t%d" % (key, 40 * key) for key in range(9)]
    lines.insert(place, bad)
    (tmp_path / "x.idx").write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(RecordError, match=f"line {place + 1} of the index is not") as caught:
        read_index(tmp_path / "x.idx")
    assert caught.value.path == str(tmp_path / "x.idx")
    assert caught.value.offset == sum(len(line) + 1 for line in lines[:place])
    assert _parse_well_formed((tmp_path / "x.idx").read_bytes()) is None


@given(
    st.lists(st.sampled_from([b"7\t28", b" 8\t32 ", b"9\t-4", b"1\t2\t3", b"", b"  ", *bad_lines])), st.integers(24, 99)
)
def test_every_line_that_mxnet_cannot_read_is_reported(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int
) -> None:
    """One by one, by its number, and the others are read; without a report blank lines are passed over."""
    path = tmp_path_factory.getbasetemp() / "reported.idx"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    reported: list[int] = []
    with blocks_of(block), open(path, "rb") as file:
        keys, offsets = parse_text(file.fileno(), path, lambda line, _: reported.append(line))
    assert reported == [number for number, line in enumerate(lines, 1) if line in bad_lines or not line.strip()]
    good = [line for line in lines if line.strip() and line not in bad_lines]
    assert list(zip(keys.tolist(), offsets.tolist())) == [tuple(map(int, line.split(b"\t")[:2])) for line in good]
    if len(reported) > sum(not line.strip() for line in lines):
        with pytest.raises(RecordError, match="of the index is not"):
            read_index(path)
    else:
        assert parsed(path) == list(zip(keys.tolist(), offsets.tolist()))


@given(st.lists(st.sampled_from(b"0123456789\t\n\r -x"), max_size=60).map(bytes) | st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_the_same_by_both(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.idx"
    path.write_bytes(text)
    try:
        carefully = _parse_lines(text, path, 1, 0, None).tolist()
    except RecordError:
        carefully = None
    quickly = _parse_well_formed(text) if text else None
    assert quickly is None or quickly.tolist() == carefully
    if carefully is None:
        with pytest.raises(RecordError, match="of the index is not"):
            parsed(path)
    else:
        assert parsed(path) == list(zip(*carefully))


def test_lenient_where_mxnet_is_and_blank_lines_skipped(tmp_path: Path) -> None:
    (tmp_path / "x.idx").write_bytes(b"1\t10\textra\n\n 2\t20 \n-3\t-4\n  \n")
    index = read_index(tmp_path / "x.idx")
    assert (index.keys.tolist(), index.offsets.tolist()) == ([1, 2, -3], [10, 20, -4])


def test_offsets_beyond_four_gigabytes(tmp_path: Path) -> None:
    (tmp_path / "x.idx").write_text(format_index([1, 2], [2**32 + 4, 2**45]))
    assert read_index(tmp_path / "x.idx").offsets.tolist() == [2**32 + 4, 2**45]


@given(st.lists(st.tuples(st.integers(-5, 40), st.integers(0, 400)), max_size=40))
def test_lookup_is_a_dictionary_with_the_last_line_winning(lines: list[tuple[int, int]]) -> None:
    book = dict(lines)
    index = RecordIndex.from_lines(np.array([k for k, _ in lines], np.int64), np.array([o for _, o in lines], np.int64))
    assert dict(zip(index.keys.tolist(), index.offsets.tolist(), strict=True)) == book
    asked = np.arange(-8, 44)
    assert [index.offset(key) for key in asked.tolist()] == [book.get(key, -1) for key in asked.tolist()]
    positions = index.positions(asked)
    assert [int(index.offsets[p]) if p >= 0 else -1 for p in positions] == [book.get(k, -1) for k in asked.tolist()]
    assert len(index) == len(book)
    assert all((key in index) == (key in book) for key in asked.tolist())
    assert 2**80 not in index
    assert "1" not in index
    order = [k for k, _ in sorted(book.items(), key=lambda item: item[1])]
    assert [book[k] for k in index.physical_keys.tolist()] == [book[k] for k in order]


def test_keys_keep_the_order_of_the_lines() -> None:
    index = RecordIndex.from_lines(np.array([7, 3, 7, 1]), np.array([0, 8, 16, 24]))
    assert index.keys.tolist() == [3, 7, 1]


# --- sidecar --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [[0, 1, 2], [3, 1, 2, 0], [10, 5, 7], []])
def test_sidecar_holds_the_same_and_is_used(tmp_path: Path, keys: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.idx"
    path.write_text(format_index(keys, [8 * n for n in range(len(keys))]))
    plain = read_index(path)
    assert save_sidecar(path, plain) == sidecar_path(path)
    monkeypatch.setattr("facekit.records.index.parse_text", lambda *_: pytest.fail("the text was read again"))
    stored = read_index(path)
    for name in ("keys", "offsets", "physical_keys"):
        assert (getattr(stored, name) == getattr(plain, name)).all()
    assert [stored.offset(key) for key in range(12)] == [plain.offset(key) for key in range(12)]


def test_sidecar_of_another_index_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "x.idx"
    path.write_text(format_index([1, 2], [0, 8]))
    save_sidecar(path, read_index(path))
    before = os.stat(path)
    path.write_text(format_index([1, 2], [0, 4]))
    assert read_index(path).offsets.tolist() == [0, 4]
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_index(path).offsets.tolist() == [0, 8], "same size and time: this is what the sidecar goes by"


def test_damaged_sidecar_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "x.idx"
    path.write_text(format_index([1, 2, 0], [0, 8, 16]))
    whole = save_sidecar(path, read_index(path)).read_bytes()
    draw = random.Random(0)
    for damaged in [whole[:n] for n in range(0, len(whole), 3)] + [b"", whole + b"\0", b"X" + whole[1:]]:
        sidecar_path(path).write_bytes(damaged)
        assert read_index(path).offsets.tolist() == [0, 8, 16]
    for _ in range(50):
        head = bytearray(whole)
        head[draw.randrange(40)] ^= draw.randrange(1, 256)
        sidecar_path(path).write_bytes(head)
        assert read_index(path).offsets.tolist() == [0, 8, 16]


def test_a_missing_index(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read: No such file") as caught:
        read_index(tmp_path / "x.idx")
    assert caught.value.path == str(tmp_path / "x.idx")


def test_numba_is_not_imported_for_a_small_index(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "x.idx").write_text(format_index([1], [0]))
    code = (
        "import sys; from facekit.records.index import read_index; "
        f"read_index({str(tmp_path / 'x.idx')!r}); assert 'numba' not in sys.modules and 'cv2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
