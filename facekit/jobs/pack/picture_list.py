"""A folder of people, or either kind of ``.lst`` -> the list of pictures that are to be packed."""

from __future__ import annotations

import hashlib
import math
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError
from facekit.jobs.inputs.picture_files import PICTURES
from facekit.jobs.inputs.source import open_source
from facekit.output import Input, input_of
from facekit.records.distinct import distinct, places_in
from facekit.records.name_list import NameList
from facekit.records.named_inputs import describe_path, require_there

__all__ = ["PictureList", "pictures_input", "read_pictures"]

LARGEST = 2**63 - 1


@dataclass(frozen=True)
class PictureList:
    """Pictures with the class of each.

    Attributes
    ----------
    root : str
        What ``files`` are relative to.
    keys : (N,) int64
        What the ledger calls them: the index in an im2rec list, else 1, 2, ...
    labels : (N,) int64
        Class, a position in ``names``.
    files : NameList
    names : tuple of str
        Of each class: its folder, or the number in the list.
    aligned : (N,) bool
        The list says that the picture is an aligned crop already.
    points : (N, 5, 2) float32
        Five points that the list brings, (x, y); NaN where it brings none. (0, 5, 2) where it brings none at all.
    boxes : (N, 4) float32
        Left, top, right, bottom of the face that the list means; NaN and (0, 4) likewise.
    content : str
        A hash of names, classes, sizes and times.
    others : dict from str to int
        Files in a folder that are no pictures by their names, by suffix.
    """

    root: str
    keys: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    files: NameList
    names: tuple[str, ...]
    aligned: npt.NDArray[np.bool_]
    points: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    content: str = ""
    others: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def chosen(self, order: npt.NDArray[np.int64]) -> PictureList:
        """Those at some positions, in that order."""
        points = self.points[order] if len(self.points) else self.points
        boxes = self.boxes[order] if len(self.boxes) else self.boxes
        keys, labels, aligned = self.keys[order], self.labels[order], self.aligned[order]
        files = self.files.take(order)
        return replace(self, keys=keys, labels=labels, files=files, aligned=aligned, points=points, boxes=boxes)


class Entry(NamedTuple):
    """A line of a list."""

    key: int | None
    file: str
    label: int
    aligned: bool = False
    points: tuple[float, ...] | None = None
    box: tuple[float, ...] | None = None


def pictures_input(pictures: PictureList, named: str) -> Input:
    """A list of pictures as an input of an output: the list itself, where it is one, and every picture."""
    return input_of(named, lambda: chain((named,), (os.path.join(pictures.root, name) for name in pictures.files)))


def read_pictures(path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> PictureList:
    """Find the pictures that are to be packed.

    Parameters
    ----------
    path : path
        A folder with one folder a person, or a ``.lst``, columns separated by tabs: ``index label ... path`` as im2rec
        writes it, or ``aligned path label [box x 4 [points x 10]]`` as InsightFace does (box: left, top, right,
        bottom, or four zeros for none; points: the five x, then the five y; both in pixels of the picture turned
        upright). Which of the two it is follows from where the path stands.
    root : path, optional
        What the paths in a list are relative to; by default the folder it lies in.

    Raises
    ------
    ConfigError
        A line fits neither kind, or not the kind of the lines before it; names the line.
    FacekitError
        There is no such folder or list, or there are no pictures in it.
    """
    place = Path(path)
    if place.is_dir():
        if root is not None:
            raise ConfigError(f"root is for lists; {place} is a folder")
        return _folder(place)
    require_there(place, "folder of pictures, nor a list of them")
    if not place.is_file():
        raise FacekitError(f"{place} is neither a folder of pictures nor a list of them")
    return _listed(place, Path(root) if root is not None else place.parent)


def _folder(folder: Path) -> PictureList:
    if any(folder.glob("*.rec")):
        raise ConfigError(f"{folder} is a pack already; facekit convert writes it in another layout")
    source, _ = open_source(str(folder))
    count = len(source)
    firsts = source.labels.searchsorted(np.arange(source.labels[-1] + 1))
    named = (source.files[row].partition("/") for row in firsts.tolist())
    people = tuple(folder if slash else "." for folder, slash, _ in named)
    none, points, boxes = np.zeros(count, np.bool_), np.empty((0, 5, 2), np.float32), np.empty((0, 4), np.float32)
    content = source.content + source.changed
    return PictureList(
        str(folder), source.keys, source.labels, source.files, people, none, points, boxes, content, source.others
    )


def _listed(path: Path, root: Path) -> PictureList:
    _refuse_binary(path)
    keys, labels, points, boxes = array("q"), array("q"), array("f"), array("f")
    files, aligned, count = NameList(), bytearray(), 0
    for entry in _entries(path):
        _note(points, entry.points, 10 * count)
        _note(boxes, entry.box, 4 * count)
        count += 1
        keys.append(count if entry.key is None else entry.key)
        labels.append(entry.label)
        files.append(entry.file)
        aligned.append(entry.aligned)
    if not count:
        raise FacekitError(f"{path} lists no pictures")
    given = np.frombuffer(labels, np.int64)
    values = distinct(given)
    return PictureList(
        str(root),
        np.frombuffer(keys, np.int64),
        places_in(values, given).astype(np.int64),
        files,
        tuple(map(str, values.tolist())),
        np.array(aligned, np.bool_),
        _stacked(points, 10, count).reshape(-1, 2, 5).transpose(0, 2, 1).copy(),
        _stacked(boxes, 4, count),
        _content(path, root, files),
    )


def _note(values: array[float], given: tuple[float, ...] | None, place: int) -> None:
    """Put what a line gives where it belongs; NaN for the lines before it that give none."""
    if given:
        values.extend([math.nan] * (place - len(values)))
        values.extend(given)


def _stacked(values: array[float], width: int, count: int) -> npt.NDArray[np.float32]:
    """(count, width); NaN where a line gives none, and no rows where none does."""
    if not values:
        return np.empty((0, width), np.float32)
    rows = np.full(count * width, np.nan, np.float32)
    rows[: len(values)] = np.frombuffer(values, np.float32)
    return rows.reshape(count, width)


def _refuse_binary(path: Path) -> None:
    with open(path, "rb") as file:
        if b"\0" in file.read(1 << 16):
            cure = "facekit convert rewrites a pack" if path.suffix == ".rec" else "save it as text in UTF-8"
            what = f"{path} is {describe_path(path)}, no list of pictures"
            raise ConfigError(f"{what}: it holds bytes that are no text; {cure}")


def _entries(path: Path) -> Iterator[Entry]:
    kind = None
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            columns = line.rstrip("\r\n").split("\t")
            found = next((read for read in (_im2rec, _insightface) if read(columns) is not None), None)
            entry = None if found is None else found(columns)
            if entry is None or found is not (kind or found):
                raise ConfigError(
                    f"{path}, line {number}: {_complaint(columns, kind is not None and found is not None)}"
                )
            kind = found
            yield entry


def _complaint(columns: list[str], mixed: bool) -> str:
    if mixed:
        return "this line has its path in another column than the lines before it"
    for name, text in _numbers_of(columns):
        if not _counts(text):
            return f"the {name} is {text[:40]!r}; it must be a whole number from 0 to {LARGEST}"
    first = [column[:40] for column in columns[:3]]
    return (
        f"{len(columns)} columns beginning {first!r} are neither 'index label ... path' (im2rec) nor "
        "'aligned path label [box x 4 [points x 10]]' (InsightFace), separated by tabs"
    )


def _numbers_of(columns: list[str]) -> list[tuple[str, str]]:
    """What must be whole numbers in a line that one can tell by its path, although it is wrong."""
    if len(columns) >= 3 and _is_path(columns[1]):
        return [("label", columns[2])]
    if len(columns) >= 3 and _is_path(columns[-1]):
        return [("index", columns[0]), ("label", columns[1])]
    return []


def _is_path(text: str) -> bool:
    return _number(text) is None and ("/" in text or os.path.splitext(text)[1].lower() in PICTURES)


def _im2rec(columns: list[str]) -> Entry | None:
    """``index label [label ...] path``; of several labels the first is the class."""
    if len(columns) < 3 or not (_counts(columns[0]) and _counts(columns[1])):
        return None
    if _number(columns[-1]) is not None or not columns[-1]:
        return None
    return Entry(_whole(columns[0]), columns[-1], _whole(columns[1]) or 0)


def _insightface(columns: list[str]) -> Entry | None:
    """``aligned path label [box x 4 [points x 10]]``."""
    if len(columns) not in (3, 7, 17) or columns[0] not in ("0", "1") or _number(columns[1]) is not None:
        return None
    found = [_number(column) for column in columns[3:]]
    numbers = tuple(number for number in found if number is not None)
    if not _counts(columns[2]) or len(numbers) < len(found) or not columns[1]:
        return None
    box = numbers[:4] if any(numbers[:4]) else None
    return Entry(None, columns[1], _whole(columns[2]) or 0, columns[0] == "1", numbers[4:] or None, box)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(text: str) -> int | None:
    value = _number(text)
    if value is None or not value.is_integer():
        return None
    # Not by way of a float where it can be helped: that holds whole numbers up to 2^53 only.
    return int(text) if text.strip().isdecimal() else int(value)


def _counts(text: str) -> bool:
    value = _whole(text)
    return value is not None and 0 <= value <= LARGEST


def _content(path: Path, root: Path, files: Iterable[str]) -> str:
    told = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as listed:
        while chunk := listed.read(1 << 20):
            told.update(chunk)
    for file in files:
        try:
            stat = os.stat(os.path.join(root, file))  # pathlib would keep the parts of every path for a while
            told.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
        except OSError:
            told.update(b"missing\n")
    return told.hexdigest()
