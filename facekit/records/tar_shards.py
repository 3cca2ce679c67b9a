"""WebDataset shards <-> records: tar files in which a sample is a run of members with one name and several suffixes.

A record is ``00000001.jpg`` (the payload, byte for byte) and ``00000001.cls`` (its label in decimal). Where its header
says more, a label vector or an id that is not the key, ``00000001.json`` has it, so that nothing is lost on the way
back.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.header import Header, Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TarReader", "TarSamples", "TarWriter", "picture_suffix", "scan_shards", "shard_paths"]

PICTURES = ("jpg", "jpeg", "png", "webp", "bmp")
_MAX_OPEN = 64
_MAX_LABEL_BYTES = 1 << 20
"""Bytes of a .cls or .json member: more is none."""


def picture_suffix(payload: bytes | memoryview) -> str:
    """The suffix that a payload's first bytes ask for; ``bin`` where they are no picture's.

    Parameters
    ----------
    payload : bytes-like

    Returns
    -------
    str
        One of ``jpg``, ``png``, ``webp``, ``bmp``, ``bin``.
    """
    head = bytes(payload[:12])
    if head.startswith(b"\xff\xd8"):
        return "jpg"
    if head.startswith(b"\x89PNG"):
        return "png"
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "webp"
    return "bmp" if head.startswith(b"BM") else "bin"


class TarWriter:
    """Writes ``000000.tar``, ``000001.tar``, ... of at most so many records into a folder that exists."""

    def __init__(self, folder: Path, records: int) -> None:
        self._folder, self._each = folder, records
        self._file: IO[bytes] | None = None
        self.shards = self.records = self.bytes = 0

    def write(self, key: int, header: Header, payload: bytes) -> None:
        """Append a record as a sample named by its key.

        Parameters
        ----------
        key : int
        header : Header
        payload : bytes

        Raises
        ------
        RecordError
            The label, or the first number of a vector label, is not whole; or the disk refuses.
        """
        vector = np.atleast_1d(np.asarray(header.label, np.float32))
        if not float(vector[0]).is_integer():
            raise RecordError(
                f"the label {vector[0]} is not a whole number, which a .cls member holds", self._folder, key
            )
        if self.records % self._each == 0:
            self._next_shard()
        members = [(picture_suffix(payload), payload), ("cls", str(int(vector[0])).encode())]
        if header.flag or header.id != key or header.id2:
            label = vector.tolist() if header.flag else int(vector[0])
            members.append(("json", json.dumps({"label": label, "id": header.id, "id2": header.id2}).encode()))
        for suffix, content in members:
            self._append(f"{key:08d}.{suffix}", content)
        self.records += 1

    def _append(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o644
        self._put(member.tobuf(tarfile.USTAR_FORMAT) + content + b"\0" * (-len(content) % 512))

    def _put(self, block: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(block)
        except OSError as error:
            raise RecordError(f"writing failed: {error.strerror}", self._folder) from error
        self.bytes += len(block)

    def _next_shard(self) -> None:
        self.close()
        self._file = open(self._folder / f"{self.shards:06d}.tar", "wb", buffering=1 << 20)  # noqa: SIM115 -- until close()
        self.shards += 1

    def close(self) -> None:
        """End the last shard; harmless when there is none."""
        if self._file is not None:
            self._put(b"\0" * 1024)
            self._file.close()
            self._file = None

    def __enter__(self) -> TarWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TarSamples(NamedTuple):
    """Where the samples of some shards lie.

    Attributes
    ----------
    paths : tuple of Path
    shard : (N,) int32
        Number of the shard of each sample.
    keys : (N,) int64
        The sample's name where all are different whole numbers, else its place.
    labels : (N,) int64
    offsets, sizes : (N,) int64
        Of the picture, in bytes.
    headers : dict from int to Header
        Of samples whose ``.json`` says more than the label.
    """

    paths: tuple[Path, ...]
    shard: NDArray[np.int32]
    keys: NDArray[np.int64]
    labels: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    headers: dict[int, Header]


def shard_paths(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The tar files that a path means: itself, or those in a folder that holds no pack, by name; else none.

    Parameters
    ----------
    path : path

    Returns
    -------
    tuple of Path
    """
    place = Path(path)
    if place.suffix == ".tar" and place.is_file():
        return (place,)
    if not place.is_dir() or any(place.glob("*.rec")):
        return ()
    return tuple(sorted(place.glob("*.tar")))


class _Sample:
    """What is known of a sample while its members pass."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.picture: tuple[int, int] | None = None
        self.label: int | None = None
        self.more: dict[str, Any] = {}
        self.suffixes: set[str] = set()


def scan_shards(paths: tuple[Path, ...]) -> TarSamples:
    """Find the samples of shards, reading member headers, labels and JSON alone.

    Parameters
    ----------
    paths : tuple of Path
        Tar files (POSIX ustar or pax).

    Returns
    -------
    TarSamples

    Raises
    ------
    RecordError
        A shard cannot be read, is truncated or damaged, a sample has no picture or no label, or two have one name.
    """
    names: list[str] = []
    places: list[tuple[int, int | None, int, int]] = []
    headers: dict[int, Header] = {}
    for number, path in enumerate(paths):
        for sample in _samples(path):
            offset, size = _require_complete(sample, path)
            if sample.more:
                headers[len(names)] = _header(sample)
            places.append((number, sample.label, offset, size))
            names.append(sample.name)
    shard, labels, offsets, sizes = np.array(places, np.int64).reshape(-1, 4).T
    return TarSamples(paths, shard.astype(np.int32), _keys(names), labels, offsets, sizes, headers)


def _keys(names: list[str]) -> NDArray[np.int64]:
    if all(name.isascii() and name.isdigit() and len(name) < 19 for name in names):
        keys = np.array([int(name) for name in names], np.int64)
        if len(np.unique(keys)) == len(keys):
            return keys
    return np.arange(len(names), dtype=np.int64)


def _samples(path: Path) -> Iterator[_Sample]:
    sample = _Sample("")
    for name, suffix, member, file in _members(path):
        if name != sample.name:
            if sample.name:
                yield sample
            sample = _Sample(name)
        _refuse_duplicate(sample, suffix, member, path)
        if suffix in PICTURES or (suffix == "bin" and sample.picture is None):
            sample.picture = member.offset_data, member.size
        elif suffix in ("cls", "json"):
            _read_label(sample, suffix, member, file, path)
    if sample.name:
        yield sample


def _refuse_duplicate(sample: _Sample, suffix: str, member: tarfile.TarInfo, path: Path) -> None:
    """Two samples of one name, one after the other, would pass for one."""
    if suffix in sample.suffixes:
        problem = f"the sample {sample.name} has two members .{suffix}: give every sample a name of its own"
        raise RecordError(problem, path, None, member.offset)
    sample.suffixes.add(suffix)


def _read_label(sample: _Sample, suffix: str, member: tarfile.TarInfo, file: IO[bytes], path: Path) -> None:
    if member.size > _MAX_LABEL_BYTES:
        raise RecordError(f"{member.name} has {member.size} bytes, which is no label", path, None, member.offset)
    text = os.pread(file.fileno(), member.size, member.offset_data)
    try:
        if suffix == "cls":
            sample.label = _whole_number(int(text), _LABELS)
            return
        declared = json.loads(text, parse_float=_finite)
        if isinstance(declared, dict) and "label" in declared:
            label, is_vector = declared["label"], isinstance(declared["label"], list)
            first = _whole_number(label[0] if is_vector else label, _LABELS)
            sample.label = first if sample.label is None else sample.label
            sample.more = {
                "vector": np.array([_number(value) for value in label], np.float32) if is_vector else None,
                "id": _whole_number(declared.get("id", -1), range(-1, 1 << 64)),
                "id2": _whole_number(declared.get("id2", 0), range(1 << 64)),
            }
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise RecordError(f"{member.name} is no label: {error}", path, None, member.offset) from None


_LABELS = range(-(1 << 62), 1 << 62)
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


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


def _members(path: Path) -> Iterator[tuple[str, str, tarfile.TarInfo, IO[bytes]]]:
    """Name, suffix and place of each plain file in a tar, in order."""
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                # tarfile keeps every member for ever, 2 kB each, and the type stubs hide the list.
                tar.members = []  # type: ignore[attr-defined]
                if member.isreg() and not member.issparse():
                    suffix = member.name.rpartition("/")[2].partition(".")[2]
                    yield member.name[: len(member.name) - len(suffix) - 1], suffix.lower(), member, file
            _check_end(file, tar.offset, path)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise RecordError(f"the tar file is truncated or damaged: {error}", path) from error
    except OSError as error:
        raise RecordError(f"the tar file cannot be read: {error.strerror}", path) from error


def _check_end(file: IO[bytes], offset: int, path: Path) -> None:
    """``tarfile`` takes a damaged header for the end of the archive; the end is zeros."""
    for at in range(offset, os.fstat(file.fileno()).st_size, 1 << 20):
        if os.pread(file.fileno(), 1 << 20, at).strip(b"\0"):
            raise RecordError("the tar file is damaged: what stands here is no member", path, None, offset)


def _require_complete(sample: _Sample, path: Path) -> tuple[int, int]:
    if sample.picture is None or sample.label is None:
        lacking = f"picture ({', '.join(PICTURES)})" if sample.picture is None else "label (.cls, or .json with label)"
        raise RecordError(f"the sample {sample.name} has no {lacking}", path)
    return sample.picture


def _header(sample: _Sample) -> Header:
    vector = sample.more["vector"]
    if vector is not None:
        return Header(len(vector), vector, sample.more["id"], sample.more["id2"])
    return Header(0, float(sample.label or 0), sample.more["id"], sample.more["id2"])


class TarReader:
    """Reads records of shards by place, holding a few of the files open."""

    def __init__(self, samples: TarSamples) -> None:
        self._samples = samples
        self._opened: dict[int, IO[bytes]] = {}

    def read(self, place: int) -> Record:
        """The record of a sample.

        Parameters
        ----------
        place : int
            Of the N samples.

        Returns
        -------
        Record

        Raises
        ------
        RecordError
            Its file cannot be read.
        """
        samples, key = self._samples, int(self._samples.keys[place])
        size, offset, shard = int(samples.sizes[place]), int(samples.offsets[place]), int(samples.shard[place])
        try:
            payload = os.pread(self._file(shard).fileno(), size, offset)
        except OSError as error:
            raise RecordError(f"reading failed: {error.strerror}", samples.paths[shard], key, offset) from error
        if len(payload) < size:
            raise RecordError("the file became shorter while it was read", samples.paths[shard], key, offset)
        header = samples.headers.get(place, Header(0, float(samples.labels[place]), key, 0))
        return Record(key, header._replace(id=key) if header.id < 0 else header, payload)

    def _file(self, shard: int) -> IO[bytes]:
        if shard not in self._opened:
            if len(self._opened) == _MAX_OPEN:
                self._opened.pop(next(iter(self._opened))).close()
            self._opened[shard] = open(self._samples.paths[shard], "rb", buffering=0)  # noqa: SIM115 -- kept open
        return self._opened[shard]

    def __enter__(self) -> TarReader:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._opened.values():
            file.close()
        self._opened.clear()
