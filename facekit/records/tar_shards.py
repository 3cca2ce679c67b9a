"""WebDataset shards <-> records: tar files in which a sample is a run of members with one name and several suffixes.

A record is ``00000001.jpg`` (the payload, byte for byte) and ``00000001.cls`` (its label in decimal). Where its header
says more, a label vector or an id that is not the key, ``00000001.json`` has it, so that nothing is lost on the way
back.
"""

from __future__ import annotations

import json
import os
import tarfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.header import Header, Record
from facekit.records.open_files import OpenFiles
from facekit.records.tar_members import declared_header, read_declared, samples_in, whole_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "TarReader",
    "TarSamples",
    "TarWriter",
    "distinct_keys",
    "picture_suffix",
    "said_beside_label",
    "scan_shards",
    "shard_paths",
    "tar_name",
]


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


def said_beside_label(key: int, header: Header, path: Path) -> tuple[int, bytes | None]:
    """The label of a header, and the JSON of what else it says; None where that is nothing.

    Raises
    ------
    RecordError
        The label, or the first number of a vector label, is not whole.
    """
    vector = np.atleast_1d(np.asarray(header.label, np.float32))
    if not float(vector[0]).is_integer():
        raise RecordError(f"the label {vector[0]} is not a whole number, which a .cls member holds", path, key)
    whole = int(vector[0])
    if not header.flag and header.id == key and not header.id2:
        return whole, None
    label = vector.tolist() if header.flag else whole
    return whole, json.dumps({"label": label, "id": header.id, "id2": header.id2}).encode()


def tar_name(shard: int) -> str:
    """The name of a shard.

    >>> tar_name(3)
    '000003.tar'
    """
    return f"{shard:06d}.tar"


class TarWriter:
    """Writes ``000000.tar``, ``000001.tar``, ... of at most so many records into a folder that exists."""

    def __init__(self, folder: Path, records: int) -> None:
        self._folder, self._each = folder, records
        self._file: IO[bytes] | None = None
        self.shards = self.records = self.bytes = 0
        self.closed_shards: list[Path] = []

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
        label, said = said_beside_label(key, header, self._folder)
        if self.records % self._each == 0:
            self._next_shard()
        members = [(picture_suffix(payload), payload), ("cls", str(label).encode())]
        if said is not None:
            members.append(("json", said))
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
        self._file = open(self._folder / tar_name(self.shards), "wb", buffering=1 << 20)  # noqa: SIM115 -- until close()
        self.shards += 1

    def close(self) -> None:
        """End the last shard; harmless when there is none."""
        if self._file is not None:
            self._put(b"\0" * 1024)
            self._file.close()
            self._file = None
            self.closed_shards.append(self._folder / tar_name(self.shards - 1))

    def __enter__(self) -> TarWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TarSamples(NamedTuple):
    """Where the samples of some shards lie: 44 bytes a sample.

    Attributes
    ----------
    paths : tuple of Path
    shard : (N,) int32
        Number of the shard of each sample.
    keys : (N,) int64
        The sample's name where all are different whole numbers, else its place.
    labels : (N,) int64
    offsets, sizes : (N,) int64 and (N,) uint32
        Of the picture, in bytes.
    said_offsets, said_sizes : (N,) int64 and (N,) uint32
        Of the ``.json`` that says more than the label; the size is 0 where there is none.
    """

    paths: tuple[Path, ...]
    shard: NDArray[np.int32]
    keys: NDArray[np.int64]
    labels: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.uint32]
    said_offsets: NDArray[np.int64]
    said_sizes: NDArray[np.uint32]

    def chosen(self, rows: NDArray[np.int64]) -> TarSamples:
        """Some of the samples, by their places."""
        columns = {name: getattr(self, name)[rows] for name in self._fields if name != "paths"}
        return TarSamples(self.paths, **columns)


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


def scan_shards(paths: tuple[Path, ...]) -> TarSamples:
    """Find the samples of shards, reading member headers, labels and JSON alone.

    Parameters
    ----------
    paths : tuple of Path
        Tar files (POSIX ustar, GNU or pax).

    Returns
    -------
    TarSamples

    Raises
    ------
    RecordError
        A shard cannot be read, is truncated or damaged, or a sample has no picture or no label.
    """
    # Arrays that grow: a tuple and a name a sample took 300 bytes.
    shard, keys, labels = array("i"), array("q"), array("q")
    offsets, sizes, said_offsets, said_sizes = array("q"), array("I"), array("q"), array("I")
    for number, path in enumerate(paths):
        with _opened(path) as file:
            for sample in samples_in(file, os.fspath(path), payloads=False):
                assert sample.picture is not None
                assert sample.label is not None
                said = sample.declared or (0, 0)
                shard.append(number)
                keys.append(whole_key(sample.name))
                labels.append(sample.label)
                offsets.append(sample.picture[0])
                sizes.append(sample.picture[1])
                said_offsets.append(said[0])
                said_sizes.append(said[1])
    return TarSamples(
        paths,
        np.frombuffer(shard, np.int32),
        distinct_keys(np.frombuffer(keys, np.int64)),
        np.frombuffer(labels, np.int64),
        np.frombuffer(offsets, np.int64),
        np.frombuffer(sizes, np.uint32),
        np.frombuffer(said_offsets, np.int64),
        np.frombuffer(said_sizes, np.uint32),
    )


def distinct_keys(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The keys, where all are different whole numbers (none is -1); else the places from 0 on.

    Parameters
    ----------
    keys : (N,) int64

    Returns
    -------
    (N,) int64
    """
    if not len(keys) or (keys.min() >= 0 and ((keys[1:] > keys[:-1]).all() or _all_differ(keys))):
        return keys
    return np.arange(len(keys), dtype=np.int64)


def _all_differ(keys: NDArray[np.int64]) -> bool:
    ordered = np.sort(keys)
    return bool((ordered[1:] != ordered[:-1]).all())


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with ExitStack() as opened:
        try:
            file = opened.enter_context(open(path, "rb"))
        except OSError as error:
            raise RecordError(f"the tar file cannot be read: {error.strerror}", path) from error
        yield file


class TarReader:
    """Reads records of shards by place, holding a few of the files open."""

    def __init__(self, samples: TarSamples) -> None:
        self._samples, self._files = samples, OpenFiles(samples.paths)

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
        shard, label = int(samples.shard[place]), int(samples.labels[place])
        payload = self._read(shard, int(samples.offsets[place]), int(samples.sizes[place]), key)
        size = int(samples.said_sizes[place])
        said = read_declared(self._read(shard, int(samples.said_offsets[place]), size, key)) if size else {}
        header = declared_header(label, said)
        return Record(key, header._replace(id=key) if header.id < 0 else header, payload)

    def _read(self, shard: int, offset: int, size: int, key: int) -> bytes:
        content = bytearray(size)
        self._files.read_into(shard, offset, memoryview(content), key)
        return bytes(content)

    def __enter__(self) -> TarReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.__exit__()
