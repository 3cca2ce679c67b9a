"""Header + payload <-> record buffer: mxnet's ``IRHeader``, ``<IfQQ``, then float32s where the label is a vector."""

from __future__ import annotations

import numbers
import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from facekit.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HEADER_BYTES", "Header", "Record", "pack_record", "unpack_record"]

_LAYOUT = struct.Struct("<IfQQ")
HEADER_BYTES = _LAYOUT.size


class Header(NamedTuple):
    """What stands before a payload.

    Attributes
    ----------
    flag : int
        Number of elements of a vector label; 0 where the label is a single number.
    label : float or (n,) float32
        The class label; of a vector label the first element is the class, the rest is the writer's own.
    id : int
        Usually the key; packs that were filtered or shuffled keep an old one. 64 bits, unsigned.
    id2 : int
        Usually 0. 64 bits, unsigned.
    """

    flag: int
    label: Any
    id: int
    id2: int

    def __eq__(self, other: object) -> bool:
        """Equal numbers in equal places; vector labels compare element by element."""
        if not isinstance(other, tuple) or len(other) != 4:
            return NotImplemented
        same = (self.flag, self.id, self.id2) == (other[0], other[2], other[3])
        return same and np.array_equal(np.asarray(self.label), np.asarray(other[1]), equal_nan=True)

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:
        return hash((self.flag, self.id, self.id2))


class Record(NamedTuple):
    """One record of a pack: its key in the index, its header, and the payload (an encoded picture, or empty)."""

    key: int
    header: Header
    payload: bytes


def pack_record(header: Header | tuple[int, Any, int, int], payload: bytes | bytearray | memoryview) -> bytes:
    """Pack header and payload into a record buffer, byte for byte as ``mxnet.recordio.pack`` does.

    Parameters
    ----------
    header : Header
        A number as label writes flag 0; anything else is flattened to float32, its size is the flag. The flag given is
        overwritten either way. Labels above 2**24 are rounded to float32.
    payload : bytes-like

    Returns
    -------
    bytes
        24 bytes of header (``<IfQQ``: flag, label, id, id2), 4 for each number of a vector label, the payload.

    Raises
    ------
    ConfigError
        A field that does not fit: a negative id, a label beyond float32, a payload that is no bytes.
    """
    _, label, id_, id2 = header
    try:
        if isinstance(label, numbers.Number):
            return _LAYOUT.pack(0, label, id_, id2) + payload
        vector = np.asarray(label, dtype="<f4")
        return b"".join((_LAYOUT.pack(vector.size, 0.0, id_, id2), vector.tobytes(), payload))
    except (struct.error, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"header {tuple(header)} cannot be packed before a {type(payload).__name__}: {error}"
        ) from error


def unpack_record(
    buffer: bytes | bytearray | memoryview,
    *,
    path: str | os.PathLike[str] = "<buffer>",
    key: int | None = None,
    offset: int | None = None,
) -> tuple[Header, bytes]:
    """Split a record buffer into header and payload.

    Parameters
    ----------
    buffer : bytes-like
        One whole record, without its framing.
    path, key, offset
        Where it came from, for the message of an error.

    Returns
    -------
    Header
        With a Python float as label where the flag is 0, else a read-only (flag,) float32 array.
    bytes

    Raises
    ------
    RecordError
        The buffer is shorter than a header, or than the label vector that its flag announces.
    """
    size = len(buffer)
    if size < HEADER_BYTES:
        raise RecordError(f"a record of {size} bytes is too short for a header of {HEADER_BYTES}", path, key, offset)
    flag, label, id_, id2 = _LAYOUT.unpack_from(buffer)
    if not flag:
        return Header(0, label, id_, id2), bytes(buffer[HEADER_BYTES:])
    start = HEADER_BYTES + 4 * flag
    if start > size:
        problem = (
            f"the header announces a label of {flag} numbers, the record has room for {(size - HEADER_BYTES) // 4}"
        )
        raise RecordError(problem, path, key, offset)
    return Header(flag, _vector(buffer, flag), id_, id2), bytes(buffer[start:])


def _vector(buffer: bytes | bytearray | memoryview, count: int) -> NDArray[np.float32]:
    """A copy, so that a kept label does not keep a whole payload alive."""
    vector = np.frombuffer(buffer, "<f4", count, HEADER_BYTES).astype(np.float32)
    vector.flags.writeable = False
    return vector
