"""The first operations of an ONNX file, read without the onnx package.

ONNX is a protocol buffer: field 7 of the model is the graph, field 1 of the graph its nodes, and a node has its name
in field 3 and its operation in field 4 (onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["first_operations", "normalises_itself"]

GRAPH, NODE, NAME, OPERATION = 7, 1, 3, 4
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
_MAX_VARINT_BITS = 70


def normalises_itself(path: Path) -> bool:
    """Whether the graph begins with the subtraction and multiplication of its own preprocessing, as MXNet exports do.

    The rule is InsightFace's: among the first eight operations one subtracts and one multiplies.

    Parameters
    ----------
    path : Path
        The ``.onnx``.

    Returns
    -------
    bool
    """
    first = first_operations(path, 8)
    subtracts = any(kind == "Sub" or "_minus" in name for name, kind in first)
    return subtracts and any(kind == "Mul" or "_mul" in name for name, kind in first)


def first_operations(path: Path, count: int) -> list[tuple[str, str]]:
    """Name and kind of the first nodes; none where the file is not an ONNX model.

    Parameters
    ----------
    path : Path
        The ``.onnx``.
    count : int

    Returns
    -------
    list of (str, str)
    """
    data = memoryview(path.read_bytes())
    found: list[tuple[str, str]] = []
    try:
        graph = next(body for field, body in _fields(data) if field == GRAPH)
        for field, body in _fields(graph):
            if field == NODE:
                parts = dict(_fields(body))
                found.append((str(parts.get(NAME, b""), "utf-8"), str(parts.get(OPERATION, b""), "utf-8")))
            if len(found) == count:
                break
    except (StopIteration, IndexError, UnicodeDecodeError):
        return found
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and body of the fields that have a length; others are passed over."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == BYTES:
            length, at = _varint(data, at)
            yield tag >> 3, data[at : at + length]
            at += length
        elif wire == VARINT:
            _, at = _varint(data, at)
        elif wire in (EIGHT, FOUR):
            at += 8 if wire == EIGHT else 4
        else:
            raise IndexError(f"wire type {wire} at byte {at}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if shift > _MAX_VARINT_BITS:
            raise IndexError(f"no number ends at byte {at}")
        if byte < 128:
            return value, at
