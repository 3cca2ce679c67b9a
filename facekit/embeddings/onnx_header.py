"""What an ONNX file says of itself, read without the onnx package: its first operations, and the files of its weights.

ONNX is a protocol buffer: field 7 of the model is the graph, field 1 of the graph its nodes, and a node has its name
in field 3 and its operation in field 4. A tensor lies in another file where it has entries of field 13, pairs of key
and value, of which ``location`` names the file (onnx.proto, TensorProto.external_data).
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path

__all__ = ["external_files", "first_operations", "normalises_itself"]

GRAPH, NODE, NAME, OPERATION = 7, 1, 3, 4
# Fields that lead to tensors, by what they stand in: an initializer of a graph, sparse or not, and an attribute of a
# node (a tensor, a graph, or several of either). A function of the model has its nodes in field 7.
MODEL_KIND = {7: "graph", 25: "function"}
INNER = {
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
}
EXTERNAL, KEY, VALUE = 13, 1, 2
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


def external_files(path: Path) -> tuple[str, ...]:
    """Names of the files that hold weights of an ONNX model, relative to its folder, sorted; most models have none."""
    found: set[str] = set()
    with open(path, "rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))  # unmapped with the last view of it
    with contextlib.suppress(IndexError):  # what is no protocol buffer names no file
        for tensor in _tensors(data):
            for field, body in _fields(tensor):
                entry = dict(_fields(body)) if field == EXTERNAL else {}
                if entry.get(KEY) == b"location":
                    found.add(str(entry.get(VALUE, b""), "utf-8", "surrogateescape"))
    return tuple(sorted(name for name in found if (path.parent / name).is_file()))


def _tensors(model: memoryview) -> Iterator[memoryview]:
    """All tensors of a model, those of graphs inside nodes too."""
    waiting = [(MODEL_KIND[field], body) for field, body in _fields(model) if field in MODEL_KIND]
    while waiting:
        kind, data = waiting.pop()
        if kind == "tensor":
            yield data
            continue
        inner = INNER[kind]
        waiting += [(inner[field], body) for field, body in _fields(data) if field in inner]


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
