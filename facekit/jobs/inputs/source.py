"""What a job reads: the records of a pack, or a folder of pictures taken as records, in the order they will be written.

A worker is handed a slice of it, so it needs no index of its own: its memory does not grow with the pack. What reads
it is in `source_records`.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError, RecordError
from facekit.jobs.inputs.picture_files import PICTURES, files_in, folders_in, format_counts
from facekit.jobs.inputs.stored_pack import StoredPack, open_stored_pack
from facekit.output import Input, input_of
from facekit.records import Pack, open_pack
from facekit.records.content import sampled_hash
from facekit.records.distinct import distinct
from facekit.records.index_policy import IndexPolicy
from facekit.records.name_list import NameList
from facekit.records.named_inputs import MARKS, describe_path, pack_cure
from facekit.run.ledger import ledger_path
from facekit.stores import Stored, is_address, local_path, restamp

__all__ = [
    "Source",
    "files_bytes",
    "open_source",
    "pack_input",
    "refuse_shared_records",
    "source_bytes",
    "source_input",
]

CHUNK = 1 << 16


@dataclass(frozen=True)
class Source:
    """Records in the order in which they will be written.

    Attributes
    ----------
    path : str
        The ``.rec`` file, or the folder.
    kind : str
        ``pack`` or ``folder``.
    layout : str
        ``insightface`` or ``flat``.
    keys : (N,) int64
    labels : (N,) int64
        Class of each record; 0 where it holds no picture.
    pictures : (N,) bool
        Which records hold a picture; the others are the dataset header and the identities.
    offsets : (N,) int64
        Byte offset of each record; of a folder's, position in ``files``.
    files : NameList
        Paths of a folder's pictures, relative to it.
    stored : Stored, optional
        The ``.rec`` in a store, whose records are read by byte ranges; ``path`` is where it would lie beside the copies
        of its small files.
    others : dict from str to int
        Files in a folder that are no pictures by their names, by suffix.
    content : str
        A hash that tells this input from others, wherever it lies: sizes, and samples of a pack's bytes.
    changed : str
        A hash of when its files were last written.
    """

    path: str
    kind: str
    layout: str
    keys: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    pictures: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]
    files: NameList = field(default_factory=NameList)
    content: str = ""
    changed: str = ""
    others: dict[str, int] = field(default_factory=dict)
    stored: Stored | None = None

    @property
    def name(self) -> str:
        """Where its records lie: the path, or the address in a store."""
        return self.path if self.stored is None else self.stored.address

    def __len__(self) -> int:
        return len(self.keys)

    def slice(self, first: int, stop: int) -> Source:
        """The records from one position to another, as a small object that can be sent to a worker."""
        return _part(self, slice(first, stop), stop - first)

    def select_rows(self, rows: npt.NDArray[np.int64]) -> Source:
        """The records at some positions, in that order."""
        return _part(self, rows, len(rows))


def _part(source: Source, chosen: slice | npt.NDArray[np.int64], count: int) -> Source:
    files = source.files.take(source.offsets[chosen]) if source.files else source.files
    offsets = np.arange(count) if source.files else source.offsets[chosen]
    keys, labels, pictures = source.keys[chosen], source.labels[chosen], source.pictures[chosen]
    return replace(source, keys=keys, labels=labels, pictures=pictures, offsets=offsets, files=files)


def open_source(
    path: str,
    layout: str = "same",
    limit: int | None = None,
    in_place: bool = False,
    partial_index: IndexPolicy = "warn",
) -> tuple[Source, bool]:
    """Find out what there is to read.

    Parameters
    ----------
    path : str
        A pack (folder, ``.rec`` or prefix), or a folder of pictures: one folder a person, or pictures alone.
    layout : str
        Layout the output will have; ``same`` as the source (for a folder ``insightface``). Pictures of one class are
        brought together where ``insightface`` needs it, else they stay in physical order.
    limit : int, optional
        Take only the first pictures in physical order.
    in_place : bool
        The output will have a record for each of the source's and no others.
    partial_index : {"warn", "refuse", "take"}
        See `facekit.records.open_pack`.

    Returns
    -------
    Source
    bool
        Whether the output can keep keys, order, header and identity records: then they are in the source too, and all
        is in physical order.

    Raises
    ------
    RecordError
        The pack is missing or corrupt.
    FacekitError
        The folder holds no pictures, or cannot be listed.
    """
    path = local_path(os.fspath(path))
    if is_address(path):
        stored = open_stored_pack(path, partial_index)
        refuse_shared_records(stored)
        if in_place and limit is None and layout in ("same", stored.layout):
            return _whole_pack(stored), True
        return _pictures_of(stored, stored.layout if layout == "same" else layout, limit), False
    folder = Path(path)
    if folder.is_dir() and not any(folder.glob("*.rec")):
        source = _folder_source(folder)
        return source if limit is None else source.slice(0, min(limit, len(source))), False
    with open_pack(path, partial_index=partial_index) as pack:
        refuse_shared_records(pack)
        if in_place and limit is None and layout in ("same", pack.layout):
            return _whole_pack(pack), True
        return _pictures_of(pack, pack.layout if layout == "same" else layout, limit), False


def refuse_shared_records(pack: Pack | StoredPack) -> None:
    """Refuse an index that gives several keys one record: a few megabytes of it ask for terabytes of copies.

    Raises
    ------
    RecordError
        Two keys have the same offset; names both.
    """
    index = pack.reader.index
    shared, first = 0, (-1, -1)
    for start in range(0, len(index) - 1, CHUNK):
        span = slice(start, start + CHUNK + 1)
        rows = np.arange(*span.indices(len(index))) if index.physical is None else index.physical[span]
        offsets = index.offsets[rows]
        same = np.flatnonzero(offsets[1:] == offsets[:-1])
        if len(same) and not shared:
            first = int(index.keys[rows[same[0]]]), int(index.keys[rows[same[0] + 1]])
        shared += len(same)
    if shared:
        key, other = first
        problem = f"{shared:,} keys name a record that another one names too, as key {other} does: the index is damaged"
        raise RecordError(problem, pack.paths.idx, key, index.offset(key))


def _whole_pack(pack: Pack | StoredPack) -> Source:
    keys = pack.physical_keys
    pictures = np.ones(len(keys), np.bool_)
    if pack.layout == "insightface":
        pictures = (keys > 0) & (keys <= pack.keys.max(initial=0))
    labels = np.zeros(len(keys), np.int64)
    labels[pictures] = pack.labels
    return _pack_source(pack, keys, labels, pictures)


def _pictures_of(pack: Pack | StoredPack, layout: str, limit: int | None) -> Source:
    keys, labels = pack.keys[:limit], pack.labels[:limit]
    order = _order(keys, labels, pack.layout, layout)
    if order is not None:
        keys, labels = keys[order], labels[order]
    return _pack_source(pack, keys, labels, np.ones(len(keys), np.bool_))


def _pack_source(
    pack: Pack | StoredPack, keys: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], pictures: npt.NDArray[np.bool_]
) -> Source:
    rec, index = str(pack.paths.rec), pack.reader.index
    keys = _alone(keys)
    offsets = np.empty(len(keys), np.int64)
    for first in range(0, len(keys), CHUNK):
        span = slice(first, first + CHUNK)
        offsets[span] = index.offsets[index.positions(keys[span])]
    if isinstance(pack, StoredPack):
        content, stamps = _hash(pack.rec.size, pack.rec.stamp), _hash(pack.rec, pack.idx)
        columns = keys, labels, pictures, offsets
        return Source(rec, "pack", pack.layout, *columns, content=content, changed=stamps, stored=pack.rec)
    content, stamps = sampled_hash(rec), _hash(*_stamps([rec, str(pack.paths.idx)]))
    return Source(rec, "pack", pack.layout, keys, labels, pictures, offsets, content=content, changed=stamps)


def _alone(column: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A copy of a column that is a part of something larger in memory, such as the whole index, which is gone then."""
    whole = column
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    return column.copy() if whole.base is None and whole.nbytes > column.nbytes else column


def _order(
    keys: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], layout: str, target: str
) -> npt.NDArray[np.int64] | None:
    """Physical order (None), except where the target layout asks for keys or classes to be together."""
    order = None
    if target == "insightface" and layout == "insightface" and not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        labels = labels[order]
    if target == "flat" or _together(labels):
        return order
    regrouped = np.argsort(labels, kind="stable")
    return regrouped if order is None else order[regrouped]


def _together(labels: npt.NDArray[np.int64]) -> bool:
    """Whether the records of each class follow one another."""
    firsts = labels[np.append(True, labels[1:] != labels[:-1])] if len(labels) else labels
    return len(distinct(firsts)) == len(firsts)


def _folder_source(folder: Path) -> Source:
    alone, counts, found = files_in(folder, deep=False), list[int](), NameList()
    counted = Counter(alone.others)
    for person in folders_in(folder):
        pictures, of_other_kinds = files_in(folder, person)
        counted.update(of_other_kinds)
        counts += [len(pictures)] * bool(pictures)
        found.extend(pictures)
    if alone.pictures and found:
        raise FacekitError(
            f"{folder} holds pictures beside folders of pictures; give every person a folder, or keep pictures alone"
        )
    others, files = dict(counted.most_common()), found or alone.pictures
    if not files:
        raise _no_pictures(folder, others)
    content, changed = _folder_hashes(folder, files)
    labels, places = np.repeat(np.arange(max(len(counts), 1)), counts or [len(files)]), np.arange(len(files))
    keys, held = places + 1, np.ones(len(files), np.bool_)
    return Source(str(folder), "folder", "insightface", keys, labels, held, places, files, content, changed, others)


def _no_pictures(folder: Path, others: dict[str, int]) -> ConfigError:
    what, cure = describe_path(folder), pack_cure(folder)
    unread = what == "a folder of pictures"  # of kinds that nothing here reads
    if what in MARKS.values() or (cure and not unread):
        return ConfigError(f"{folder} is {what}, neither a pack nor pictures{cure or ': name one of these'}")
    kinds, instead = ", ".join(sorted(PICTURES)), f"; it holds {format_counts(others)}" if others else ""
    kind = f"{folder} is {what}: it" if what == "an empty folder" else f"{folder}"
    return ConfigError(f"{kind} holds neither a .rec file nor pictures ({kinds}){instead}")


def source_input(source: Source, named: str) -> Input:
    """A source as an input of an output: guarded as it was named, and compared before anything is published.

    Parameters
    ----------
    source : Source
    named : str
        The path as it was given.
    """
    if source.stored is not None:
        stored = source.stored
        return Input(named, lambda: (), _hash(stored), lambda: _hash(restamp([stored])[0]))
    if source.kind == "folder":
        return input_of(named, lambda: (os.path.join(source.path, name) for name in source.files))
    return pack_input(Path(source.path), named)


def pack_input(rec: Path, named: str) -> Input:
    """A pack as an input: its ``.rec``, ``.idx``, ``property`` and ledger count; what else lies there does not."""
    files = (rec, rec.with_suffix(".idx"), rec.with_name("property"), ledger_path(rec))
    return input_of(named, lambda: files)


def source_bytes(source: Source) -> int:
    """Bytes that the whole file of a pack takes, or the first thousand pictures of a folder scaled up to all."""
    if source.kind == "pack":
        size = os.path.getsize(source.path) if source.stored is None else source.stored.size
        count = len(source)
        return size if count else 0
    return files_bytes(source.path, source.files)


def files_bytes(root: str, files: Sequence[str]) -> int:
    """Bytes that files below a folder take, from the sizes of a thousand of them; those that are gone count as none."""
    sample = files[:: max(len(files) // 1000, 1)]
    paths = (os.path.join(root, name) for name in sample)
    total = sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
    return total * len(files) // max(len(sample), 1)


def _stamps(paths: list[str]) -> list[tuple[int, int]]:
    """Size in bytes and time of the last change in ns."""
    return [(stat.st_size, stat.st_mtime_ns) for stat in (os.stat(path) for path in paths if os.path.exists(path))]


def _folder_hashes(folder: Path, files: Iterable[str]) -> tuple[str, str]:
    """Hashes of names and sizes, and of sizes and times; 16 bytes a file."""
    sizes, times = array("q"), array("q")
    for name in files:
        for size, time in _stamps([os.path.join(folder, name)]):  # one, or none where it is gone
            sizes.append(size)
            times.append(time)
    return _hash_each(chain(files, sizes)), _hash_each(zip(sizes, times))


def _hash(*parts: Any) -> str:
    return _hash_each(parts)


def _hash_each(parts: Iterable[Any]) -> str:
    """Hash of what Python writes for a tuple of some parts, without the text of all of them."""
    digest, count = hashlib.blake2b(b"(", digest_size=16), 0
    for part in parts:
        digest.update((", " * (count > 0) + repr(part)).encode("utf-8", "surrogateescape"))
        count += 1
    digest.update(b",)" if count == 1 else b")")
    return digest.hexdigest()
