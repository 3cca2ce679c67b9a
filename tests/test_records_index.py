"""Index text, its three parsers, lookups and the sidecar."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import RecordError
from facekit.records import index_text
from facekit.records.index import RecordIndex, format_index, read_index, save_sidecar, sidecar_path
from facekit.records.index_text import _parse_any_width, _parse_compiled, _parse_lines, _parse_runs, parse_text

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


@pytest.mark.kernels
@given(pairs, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 400))
def test_every_parser_reads_what_the_book_reads(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, int]], end: str, last: bool, chunk: int
) -> None:
    text = end.join(f"{key}\t{offset}" for key, offset in lines) + (end if last else "")
    path = tmp_path_factory.getbasetemp() / "x.idx"
    path.write_bytes(text.encode())
    old, index_text._CHUNK = index_text._CHUNK, max(chunk, 50)
    try:
        assert parsed(path) == by_the_book(text.replace("\r", "")) == lines
    finally:
        index_text._CHUNK = old
    if len(text) >= 8:
        with open(path, "rb") as file:
            compiled = _parse_compiled(file.fileno())
        assert compiled is not None
        assert list(zip(*(column.tolist() for column in compiled), strict=True)) == lines
    slowly = _parse_lines(text.encode(), path, 1, 0)
    assert list(map(tuple, slowly.T.tolist())) == lines


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**15)), min_size=1, max_size=40))
def test_plain_parsers_agree_where_both_can(lines: list[tuple[int, int]]) -> None:
    text = "".join(f"{key}\t{offset}\n" for key, offset in lines).encode()
    any_width, runs = _parse_any_width(text), _parse_runs(text)
    assert any_width is not None
    assert list(map(tuple, any_width.T.tolist())) == lines
    assert runs is None or (runs == any_width).all()


def test_runs_of_one_width_are_taken_across_many_widths() -> None:
    keys = np.arange(0, 30_000, 3)
    offsets = keys * 54_321 + 7
    runs = _parse_runs(format_index(keys, offsets).encode())
    assert runs is not None
    assert (runs == np.stack([keys, offsets])).all()


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
    with open(tmp_path / "x.idx", "rb") as file:
        assert _parse_compiled(file.fileno()) is None


@pytest.mark.kernels
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_the_same_by_all(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.idx"
    path.write_bytes(text)
    try:
        found = parsed(path)
    except RecordError:
        found = None
    if len(text) >= 8:
        with open(path, "rb") as file:
            compiled = _parse_compiled(file.fileno())
        if compiled is not None:
            assert list(zip(*(column.tolist() for column in compiled), strict=True)) == found
    for parse in (_parse_runs, _parse_any_width):
        plain = parse(text + b"\n") if text and not text.endswith(b"\n") else None
        assert plain is None or list(map(tuple, plain.T.tolist())) == found


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


def test_lines_that_become_shorter_are_all_found_by_the_compiled_parser(tmp_path: Path) -> None:
    """How many there are is guessed from the first megabyte; here the guess is too small."""
    import numba  # noqa: F401 -- switches the compiled parser on

    keys = np.concatenate([np.arange(60_000) + 10**15, np.arange(400_000)])
    offsets = np.concatenate([np.arange(60_000) + 10**14, np.arange(400_000)])
    (tmp_path / "x.idx").write_text(
        "".join(f"{key}\t{offset}\n" for key, offset in zip(keys.tolist(), offsets.tolist()))
    )
    index = read_index(tmp_path / "x.idx")
    assert (index.keys == keys).all()
    assert (index.offsets == offsets).all()
    assert index.keys.base is None  # what was not filled was given back
