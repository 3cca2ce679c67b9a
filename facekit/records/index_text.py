"""``.idx`` text -> keys and offsets: all lines of a block at once where they are well-formed, else line by line."""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import RecordError
from facekit.records.read_at import read_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parse_text"]

_BLOCK = 1 << 17
"""Bytes of text parsed at once: the arrays of longer blocks come from the system anew each time, fault by fault."""

_MIN_ROOM = 1 << 24

_MAX_DIGITS = 18
"""Of a number in the fast parser: more may not fit into 63 bits."""

_TAB, _LINE_END = 9, 10

OnBadLine = Callable[[int, str], None]


def parse_text(
    descriptor: int, path: str | os.PathLike[str], on_bad_line: OnBadLine | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read ``key <tab> offset`` lines, LF or CRLF.

    As lenient as mxnet 1.9.1 (``MXIndexedRecordIO.open``): spaces around a number, columns after the second and
    negative numbers are allowed. A blank line or a byte order mark, on which mxnet fails, is passed over.

    Parameters
    ----------
    descriptor : int
        The open file, read by position.
    path : path
        Its name, for the message of an error.
    on_bad_line : callable, optional
        Called with the number of each line, from 1 on, that mxnet could not read, and with what is wrong with it; then
        the line is left out. By default a blank line is passed over and any other raises.

    Returns
    -------
    keys, offsets : (n,) int64
        Of every line, in order; offsets in bytes.

    Raises
    ------
    RecordError
        A line is not two whole numbers; names the line.
    """
    size = os.fstat(descriptor).st_size
    pairs, count = np.empty((2, 0), np.int64), 0
    line, at = 1, 0
    while at < size:
        text = read_at(descriptor, _BLOCK, at)
        if at == 0 and on_bad_line is None and text.startswith(BOM_UTF8):
            at, text = len(BOM_UTF8), text[len(BOM_UTF8) :]
            if not text:
                break
        if not text:
            raise RecordError("the index became shorter while it was read", path, None, at)
        if at + len(text) < size and b"\n" in text:
            text = text[: text.rindex(b"\n") + 1]
        found = _parse_well_formed(text)
        lines = 0 if found is None else found.shape[1]
        if found is None:
            found, lines = _parse_lines(text, path, line, at, on_bad_line), text.count(b"\n")
        stop = count + found.shape[1]
        if stop > pairs.shape[1]:
            # Lines grow longer toward the end of an index: room for so many in each block to come is enough.
            pairs = _with_room(pairs[:, :count], found.shape[1] * -(-(size - at) // len(text)))
        pairs[:, count:stop] = found
        at, line, count = at + len(text), line + lines, stop
    return pairs[0, :count], pairs[1, :count]


def _with_room(pairs: NDArray[np.int64], more: int) -> NDArray[np.int64]:
    """A longer array that begins with these; at most twice as long, whatever one block of a huge file suggests."""
    count = pairs.shape[1]
    longer = np.empty((2, count + min(more, max(count, _MIN_ROOM))), np.int64)
    longer[:, :count] = pairs
    return longer


# --- all lines at once ------------------------------------------------------------------------------------------------

_PAD = 24
"""Characters before the first line: a number of 18 digits is read as three words of eight that end where it does."""

_ZEROS = np.uint64(0x3030303030303030)
_KEEP_LAST = np.array([(1 << 64) - (1 << 8 * (8 - digits)) for digits in range(9)], np.uint64)
_JOIN = tuple(
    (np.uint64(shift), np.uint64(tens << shift | 1), np.uint64(keep))
    for shift, tens, keep in ((8, 10, 0x00FF00FF00FF00FF), (16, 100, 0x0000FFFF0000FFFF), (32, 10_000, 0xFFFFFFFF))
)


def _parse_well_formed(text: bytes) -> NDArray[np.int64] | None:
    """(2, n) int64, or None where anything is not digits (up to 18), one tab, digits and a line end."""
    lines = text.replace(b"\r\n", b"\n") if b"\r" in text else text
    padded = b"".join((bytes(_PAD), lines, b"" if lines.endswith(b"\n") else b"\n"))
    characters = np.frombuffer(padded, np.uint8)
    if int(characters.max()) > ord("9"):
        return None
    ends = np.flatnonzero(characters < ord("0"))[_PAD:]
    tabs, line_ends = ends[0::2], ends[1::2]
    if len(tabs) != len(line_ends) or (characters[tabs] != _TAB).any() or (characters[line_ends] != _LINE_END).any():
        return None
    digits = tabs - np.append(_PAD, line_ends[:-1] + 1), line_ends - tabs - 1
    widths = [(int(column.min()), int(column.max())) for column in digits]
    if any(fewest < 1 or most > _MAX_DIGITS for fewest, most in widths):
        return None
    words = np.ndarray((len(padded) - 7,), "<u8", padded, 0, (1,))
    # Lines of one width, as nearly all neighbours in an index in order, lie a fixed step apart.
    step = 0 if any(fewest < most for fewest, most in widths) else sum(most for _, most in widths) + 2
    return np.stack([_numbers(words, tabs, digits[0], step), _numbers(words, line_ends, digits[1], step)])


def _numbers(
    words: NDArray[np.uint64], ends: NDArray[np.intp], digits: NDArray[np.intp], step: int
) -> NDArray[np.int64]:
    """The numbers of so many digits that end before ``ends``, which are ``step`` apart unless that is 0."""
    numbers = np.zeros(len(ends), np.int64)
    width = int(digits[0]) if step else digits
    for place in range(0, int(digits.max()), 8):  # eight digits at a time, from the last on
        at = ends - (place + 8)
        word = (words[int(at[0]) :: step][: len(at)] if step else words[at]) ^ _ZEROS
        word &= _KEEP_LAST[np.clip(width - place, 0, 8)]
        for shift, factors, keep in _JOIN:  # digits to pairs, pairs to fours, fours to eights
            word *= factors
            word >>= shift
            word &= keep
        numbers += word.view(np.int64) * 10**place
    return numbers


# --- line by line -----------------------------------------------------------------------------------------------------

_LINE = re.compile(rb"[ ]*(-?\d{1,19})\t[ ]*(-?\d{1,19})(?:[\t ].*)?\Z", re.DOTALL)


def _parse_lines(
    text: bytes, path: str | os.PathLike[str], line: int, at: int, on_bad_line: OnBadLine | None
) -> NDArray[np.int64]:
    """(2, n) int64 of a block that starts with a line of that number, at that offset."""
    pairs: list[tuple[int, int]] = []
    for number, content in enumerate(text.removesuffix(b"\n").split(b"\n"), line):
        stripped = content.rstrip()
        found = _LINE.match(stripped)
        if found and max(abs(int(found[1])), abs(int(found[2]))) < 1 << 63:
            pairs.append((int(found[1]), int(found[2])))
        elif stripped or on_bad_line is not None:
            problem = f"is not 'key<tab>offset': {stripped[:60].decode('utf-8', 'backslashreplace')!r}"
            if on_bad_line is None:
                raise RecordError(f"line {number} of the index {problem}", path, None, at)
            on_bad_line(number, problem if stripped else "is blank, which mxnet cannot read")
        at += len(content) + 1
    return np.array(pairs, np.int64).reshape(-1, 2).T
