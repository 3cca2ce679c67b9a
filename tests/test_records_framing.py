"""RecordIO framing against the specification written out word by word, and against damage."""

from __future__ import annotations

import contextlib
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facekit.errors import ConfigError, RecordError
from facekit.records import frame, unframe
from facekit.records.framing import MAX_RECORD, FramingError, record_parts

MAGIC = bytes.fromhex("0a23d7ce")

# Bytes in which magic words are as frequent as anything else, at every alignment.
planted = st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=7)), max_size=12).map(b"".join)


def framed_by_the_book(buffer: bytes) -> bytes:
    """dmlc's writer as recordio.h describes it: word after word, in the plainest way."""
    cuts = [at for at in range(0, len(buffer) - 3, 4) if buffer[at : at + 4] == MAGIC]
    edges = [-4, *cuts, len(buffer)]
    pieces = [buffer[start + 4 : stop] for start, stop in pairwise(edges)]
    out = b""
    for number, piece in enumerate(pieces):
        flag = 0 if len(pieces) == 1 else 1 if number == 0 else 3 if number == len(pieces) - 1 else 2
        out += MAGIC + struct.pack("<I", flag << 29 | len(piece)) + piece + bytes(-len(piece) % 4)
    return out


@given(planted)
@example(b"")
@example(MAGIC)
@example(MAGIC * 3)
@example(b"abc" + MAGIC)
@example(MAGIC[1:] + MAGIC + MAGIC[:1])
def test_framing_is_the_books_and_comes_back(buffer: bytes) -> None:
    framed = frame(buffer)
    assert framed == framed_by_the_book(buffer)
    assert len(framed) % 4 == 0
    assert unframe(framed) == (buffer, len(framed))
    for kind in (bytearray, memoryview):
        assert frame(kind(buffer)) == framed


@given(st.lists(planted, min_size=1, max_size=6))
def test_magic_at_a_multiple_of_four_starts_a_part_and_nothing_else_does(buffers: list[bytes]) -> None:
    """What lets a reader take up again after damage."""
    framed = b"".join(map(frame, buffers))
    starts, at = [], 0
    for _ in buffers:
        parts = list(record_parts(lambda place: framed[place : place + 8], at, len(framed)))
        starts += [part.start - 8 for part in parts]
        at = parts[-1].start + (parts[-1].length + 3 & ~3)
    assert starts == [place for place in range(0, len(framed), 4) if framed[place : place + 4] == MAGIC]


@given(planted, st.data())
def test_a_cut_record_is_an_error(buffer: bytes, data: st.DataObject) -> None:
    framed = frame(buffer)
    length = data.draw(st.integers(0, len(framed) - 1))
    with pytest.raises(FramingError, match=r"truncated|outside"):
        unframe(framed[:length])


@given(planted, st.data())
def test_any_damage_is_an_error_or_harmless(buffer: bytes, data: st.DataObject) -> None:
    """Never another exception, never more bytes than there are."""
    framed = bytearray(frame(buffer))
    place = data.draw(st.integers(0, len(framed) - 1))
    framed[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(FramingError):
        found, end = unframe(framed)
        assert len(found) <= len(framed)
        assert end <= len(framed)


@given(st.binary(max_size=64))
def test_any_bytes_at_all(block: bytes) -> None:
    with contextlib.suppress(FramingError):
        assert unframe(block)[1] <= len(block)


def test_a_length_of_half_a_gigabyte_allocates_nothing() -> None:
    framed = MAGIC + struct.pack("<I", MAX_RECORD) + b"abcd"
    with pytest.raises(FramingError, match="claims 536870911 bytes, 4 are left"):
        unframe(framed)


@pytest.mark.parametrize(
    ("framed", "problem"),
    [
        (b"ABCDEFGH", "not a RecordIO file: it begins with 41 42 43 44"),
        (MAGIC + struct.pack("<I", 2 << 29), "flag 2 stands where flag 0 or 1"),
        (MAGIC + struct.pack("<I", 3 << 29), "flag 3 stands where flag 0 or 1"),
        (MAGIC + struct.pack("<I", 7 << 29), "flag 7"),
        (MAGIC + struct.pack("<I", 1 << 29), "ends between the parts"),
        (2 * (MAGIC + struct.pack("<I", 1 << 29)), "flag 1 stands where flag 2 or 3"),
        (MAGIC + struct.pack("<I", 1 << 29 | 3) + b"abc\0" + MAGIC + struct.pack("<I", 3 << 29), "multiple of four"),
        (MAGIC + b"\0\0", "inside a part header"),
        (b"", "outside the file"),
    ],
)
def test_the_message_names_what_is_wrong(framed: bytes, problem: str) -> None:
    with pytest.raises(FramingError, match=problem) as caught:
        unframe(framed)
    error = caught.value.at("x.rec", 7, 0)
    assert isinstance(error, RecordError)
    assert (error.path, error.key, error.offset) == ("x.rec", 7, 0)


def test_a_record_too_long_for_the_length_field() -> None:
    with pytest.raises(ConfigError, match="shorter than 2\\*\\*29"):
        frame(np.zeros(MAX_RECORD + 1, np.uint8).data)
