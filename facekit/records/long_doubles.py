"""Flags that somebody kept as numpy's ``longdouble`` -> bool, on any machine.

What a pickle calls ``f12`` or ``f16`` is whatever the compiler of the machine that wrote it takes for a long double;
the pickle does not say which. 0 and 1 have few patterns of bits, and a list of them shows whose they are.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

__all__ = ["long_flags", "long_size"]

_KIND = re.compile("([<>|=]?)f(12|16)")
_SIGN = np.uint64(1 << 63)
_EXTENDED_ONE, _QUAD_ONE = 0x3FFF, np.uint64(0x3FFF << 48)
_DOUBLE_ONE = np.float64(1).view(np.uint64)

_Words = npt.NDArray[np.uint64]
_Found = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
"""Which numbers are 0, and which are 1."""


def long_size(kind: str) -> int:
    """Bytes of a long double of more than eight bytes, whose type numpy writes so; 0 of any other type.

    >>> [long_size(kind) for kind in ("<f16", ">f12", "<f8", "<i8")]
    [16, 12, 0, 0]
    """
    found = _KIND.fullmatch(kind)
    return int(found[2]) if found else 0


def long_flags(content: bytes, kind: str) -> npt.NDArray[np.bool_] | None:
    """Which numbers are 1.

    Parameters
    ----------
    content : bytes
        N long doubles, all of one machine: each tells something about the form of all.
    kind : str
        Such as ``<f16``; see `long_size`.

    Returns
    -------
    (N,) bool or None
        None where some are neither 0 nor 1, whichever form they have.

    Notes
    -----
    The forms are Intel's of 80 bits, in 12 or 16 bytes, of which those behind the tenth are whatever lay there; IEEE
    754's binary128 (ARM, RISC-V, z); and two doubles whose sum is meant (POWER).

    Examples
    --------
    >>> import struct
    >>> one = struct.pack("<QH6x", 1 << 63, 0x3FFF)
    >>> long_flags(bytes(16) + one, "<f16").tolist()
    [False, True]
    """
    low, high, narrow = _words(content, kind)
    forms = [_extended(low, high)] if narrow else [_extended(low, high), _quad(low, high), _two_doubles(low, high)]
    if not narrow and not forms[0][1].any() and _is_quad(low, high):
        # Without a single 1 of Intel's, what would be padding is more likely the part of these numbers that counts.
        del forms[0]
    return next((one for zero, one in forms if (zero | one).all()), None)


def _words(content: bytes, kind: str) -> tuple[_Words, _Words, bool]:
    """Each number as two words, the less significant one first; whether it has 12 bytes, so a short second one."""
    size = long_size(kind)
    numbers = np.frombuffer(content, np.uint8).reshape(-1, size)
    words = np.zeros((len(numbers), 16), np.uint8)
    words[:, :size] = numbers[:, ::-1] if kind.startswith(">") else numbers
    low, high = words.view("<u8").astype(np.uint64).T
    return low, high, size == 12


def _extended(low: _Words, high: _Words) -> _Found:
    """The significand, whose first bit is written, and in the next two bytes sign and exponent."""
    exponent = high & np.uint64(0xFFFF)
    return (low == 0) & (exponent & np.uint64(0x7FFF) == 0), (low == _SIGN) & (exponent == _EXTENDED_ONE)


def _quad(low: _Words, high: _Words) -> _Found:
    return (low == 0) & (high & ~_SIGN == 0), (low == 0) & (high == _QUAD_ONE)


def _is_quad(low: _Words, high: _Words) -> bool:
    """Whether some numbers have an exponent where binary128 has it."""
    return bool(((low == 0) & (high & ~_SIGN >= np.uint64(1 << 48))).any())


def _two_doubles(low: _Words, high: _Words) -> _Found:
    """In either order: numpy turns sixteen bytes round, and the machine eight and eight."""
    a, b = low & ~_SIGN == 0, high & ~_SIGN == 0
    return a & b, (a & (high == _DOUBLE_ONE)) | (b & (low == _DOUBLE_ONE))
