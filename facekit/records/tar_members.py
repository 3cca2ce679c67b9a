"""A stream of tar bytes -> samples: runs of members with one name and several suffixes, as WebDataset has them.

The stream is read forward only, so it may come from a disk, a socket or a decompressor.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from facekit.errors import RecordError
from facekit.records.framing import MAX_RECORD
from facekit.records.header import Header

__all__ = ["PICTURES", "Sample", "declared_header", "read_declared", "read_label", "samples_in", "whole_key"]

PICTURES = ("jpg", "jpeg", "png", "webp", "bmp")
MAX_LABEL_BYTES = 1 << 20
"""Bytes of a .cls or .json member: more is none."""

_LABELS = range(-(1 << 62), 1 << 62)
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


class Sample:
    """What is known of a sample while its members pass.

    Attributes
    ----------
    name : str
    picture : (int, int) or None
        Offset and size of the picture in the uncompressed tar.
    payload : bytes
        The picture, where it was asked for.
    label : int or None
    declared : (int, int) or None
        Offset and size of a ``.json`` that says more than the label.
    more : dict
        What that says: ``vector``, ``id`` (-1: the key), ``id2``.
    """

    __slots__ = ("declared", "label", "more", "name", "payload", "picture", "suffixes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.picture: tuple[int, int] | None = None
        self.payload = b""
        self.label: int | None = None
        self.declared: tuple[int, int] | None = None
        self.more: dict[str, Any] = {}
        self.suffixes: set[str] = set()

    def header(self) -> Header:
        """Its header; the id is -1 where it is to be the key."""
        return declared_header(self.label or 0, self.more)


def whole_key(name: str) -> int:
    """The whole number that the name of a sample is; -1 where it is none.

    >>> whole_key("00000012"), whole_key("a/12")
    (12, -1)
    """
    return int(name) if name.isascii() and name.isdigit() and len(name) < 19 else -1


def samples_in(file: IO[bytes], path: str, payloads: bool = True) -> Iterator[Sample]:
    """Find the samples of a tar.

    Parameters
    ----------
    file : binary file
        Tar bytes (POSIX ustar, GNU or pax) from the position 0 on; only ``read``, ``seek`` and ``tell`` are called, and
        ``seek`` goes back by 1024 bytes at the most.
    path : str
        For the messages of errors.
    payloads : bool
        Read the pictures too; else only where they lie.

    Yields
    ------
    Sample
        Whole ones only.

    Raises
    ------
    RecordError
        It cannot be read, is truncated or damaged; or a sample has no picture, no label, or two members of one suffix.
    """
    with _tar_errors(path):
        yield from _samples(file, path, payloads)


def _samples(file: IO[bytes], path: str, payloads: bool) -> Iterator[Sample]:
    sample = Sample("")
    for name, suffix, member in _members(file, path):
        if name != sample.name:
            if sample.name:
                yield _complete(sample, path)
            sample = Sample(name)
        _refuse_duplicate(sample, suffix, member, path)
        if suffix in PICTURES or (suffix == "bin" and sample.picture is None):
            _refuse_large(member, path)
            sample.picture = member.offset_data, member.size
            if payloads:
                sample.payload = _content(file, member)
        elif suffix in ("cls", "json"):
            _read_label_member(sample, suffix, member, file, path)
    if sample.name:
        yield _complete(sample, path)


def _members(file: IO[bytes], path: str) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Name, suffix and place of each plain file in a tar, in order."""
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := tar.next()) is not None:
            # tarfile keeps every member for ever, 2 kB each, and the type stubs hide the list.
            tar.members = []  # type: ignore[attr-defined]
            if member.isreg() and not member.issparse():
                suffix = member.name.rpartition("/")[2].partition(".")[2]
                yield member.name[: len(member.name) - len(suffix) - 1], suffix.lower(), member
        _check_end(file, tar.offset, path)


@contextmanager
def _tar_errors(path: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise RecordError(f"the tar file is truncated or damaged: {error}", path) from error
    except OSError as error:
        raise RecordError(f"the tar file cannot be read: {error.strerror or error}", path) from error


def _check_end(file: IO[bytes], offset: int, path: str) -> None:
    """``tarfile`` takes a damaged header for the end of the archive; the end is zeros."""
    file.seek(offset)
    while block := file.read(1 << 20):
        if block.strip(b"\0"):
            raise RecordError("the tar file is damaged: what stands here is no member", path, None, offset)


def _content(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    file.seek(member.offset_data)
    content = file.read(member.size)
    if len(content) < member.size:
        raise EOFError(f"{member.name} has {len(content)} of {member.size} bytes")
    return content


def _complete(sample: Sample, path: str) -> Sample:
    if sample.picture is None or sample.label is None:
        lacking = f"picture ({', '.join(PICTURES)})" if sample.picture is None else "label (.cls, or .json with label)"
        raise RecordError(f"the sample {sample.name} has no {lacking}", path)
    return sample


def _refuse_duplicate(sample: Sample, suffix: str, member: tarfile.TarInfo, path: str) -> None:
    """Two samples of one name, one after the other, would pass for one."""
    if suffix in sample.suffixes:
        problem = f"the sample {sample.name} has two members .{suffix}: give every sample a name of its own"
        raise RecordError(problem, path, None, member.offset)
    sample.suffixes.add(suffix)


def _refuse_large(member: tarfile.TarInfo, path: str) -> None:
    if member.size >= MAX_RECORD:
        problem = f"{member.name} has {member.size} bytes, more than a record can hold ({MAX_RECORD}): take it out"
        raise RecordError(problem, path, None, member.offset)


def _read_label_member(sample: Sample, suffix: str, member: tarfile.TarInfo, file: IO[bytes], path: str) -> None:
    if member.size > MAX_LABEL_BYTES:
        raise RecordError(f"{member.name} has {member.size} bytes, which is no label", path, None, member.offset)
    text = _content(file, member)
    try:
        if suffix == "cls":
            sample.label = read_label(text)
            return
        declared = read_declared(text)
        if declared:
            sample.label = declared.pop("label") if sample.label is None else sample.label
            sample.more, sample.declared = declared, (member.offset_data, member.size)
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise RecordError(f"{member.name} is no label: {error}", path, None, member.offset) from None


def read_label(text: bytes | str) -> int:
    """The whole number that a ``.cls`` member holds.

    Raises
    ------
    ValueError
        It is none, or beyond 2**62.
    """
    return _whole_number(int(text), _LABELS)


def read_declared(text: bytes | str) -> dict[str, Any]:
    """What the ``.json`` of a sample says of its header: ``label``, ``vector``, ``id``, ``id2``; empty where nothing.

    Raises
    ------
    ValueError, TypeError, IndexError, RecursionError
        It is no JSON, or a value does not fit.
    """
    declared = json.loads(text, parse_float=_finite)
    if not isinstance(declared, dict) or "label" not in declared:
        return {}
    label, is_vector = declared["label"], isinstance(declared["label"], list)
    return {
        "label": _whole_number(label[0] if is_vector else label, _LABELS),
        "vector": np.array([_number(value) for value in label], np.float32) if is_vector else None,
        "id": _whole_number(declared.get("id", -1), range(-1, 1 << 64)),
        "id2": _whole_number(declared.get("id2", 0), range(1 << 64)),
    }


def declared_header(label: int, more: dict[str, Any]) -> Header:
    """The header of a sample from its label and what `read_declared` found; the id is -1 where it is to be the key."""
    vector = more.get("vector")
    numbers = more.get("id", -1), more.get("id2", 0)
    return Header(0, float(label), *numbers) if vector is None else Header(len(vector), vector, *numbers)


def _whole_number(value: Any, allowed: range) -> int:
    """A whole number as JSON or a .cls member has it: 3 and 3.0, but no 0.5, true, "3" or 1e400."""
    number = _number(value)
    whole = value if isinstance(value, int) else int(number) if number.is_integer() else None
    if whole is None or whole not in allowed:
        raise ValueError(f"{_shown(value)} is no whole number from {allowed.start} to {allowed.stop - 1}")
    return whole


def _number(value: Any) -> float:
    """A number that fits float32; NaN and Infinity, which JSON as Python writes it has, included."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is no number")
    if _MAX_FLOAT32 < abs(value) < np.inf:
        raise ValueError(f"{_shown(value)} does not fit float32")
    return float(value)


def _finite(text: str) -> float:
    value = float(text)
    if np.isinf(value):
        raise ValueError(f"{text[:40]} does not fit a number")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
