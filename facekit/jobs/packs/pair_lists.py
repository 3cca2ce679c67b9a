"""Pairs for a verification ``.bin``: listed by key, listed as LFW lists them, or drawn."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError
from facekit.jobs.inputs.pair_tables import read_pairs
from facekit.jobs.inputs.source import Source
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import describe_path, require_file, require_there, unreadable

__all__ = ["RowPairs", "draw_pairs", "listed_pairs"]


class RowPairs(NamedTuple):
    """Pairs of pictures of a source.

    Attributes
    ----------
    rows : (P, 2) int64
        Positions in the source.
    same : (P,) bool
        Whether both show one person.
    """

    rows: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]


def listed_pairs(path: str, source: Source) -> RowPairs:
    """The pairs of a list.

    Parameters
    ----------
    path : str
        A ``.csv`` with the columns key_a, key_b and same; or, for a folder of people, a list such as LFW's pairs.txt:
        ``NAME N M`` for two pictures of one person and ``NAME N NAME M`` for two people, picture N of NAME being
        ``NAME/NAME_000N`` with any suffix. A first line of one or two numbers (folds, pairs of a fold) may stand above.
    source : Source

    Raises
    ------
    ConfigError
        There is no such list, or it lacks a column.
    FacekitError
        It names a picture that is not there, or a line is none of these.
    """
    require_there(path, "file")
    if path.endswith(".csv"):
        pairs = read_pairs(path)
        rows = rows_of(source.keys, pairs.keys.reshape(-1))
        if (rows < 0).any():
            unknown = pairs.keys.reshape(-1)[rows < 0][0]
            raise FacekitError(f"{source.name} has no image with key {unknown}, which {path} names")
        return RowPairs(rows.reshape(-1, 2), pairs.same)
    require_file(path, "a list of pairs", "name a .csv, or text as LFW's pairs.txt")
    if not source.files and describe_path(path) == "a text file":
        raise ConfigError(f"{path} lists pictures by name: give the folder of people that has them, or a .csv of keys")
    return _named_pairs(path, source)


def _named_pairs(path: str, source: Source) -> RowPairs:
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise unreadable(path, "a list of pairs", (".txt",), error, "name a .csv, or text as LFW's pairs.txt") from None
    known = {str(PurePosixPath(name).with_suffix("")): row for row, name in enumerate(source.files)}
    rows, same = [], []
    for number, line in enumerate(lines, 1):
        words = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or (number == 1 and len(words) < 3 and all(word.strip().isdecimal() for word in words)):
            continue
        places = _pictures_of(words)
        if places is None:
            raise FacekitError(
                f"{path}, line {number}: {line[:80]!r} is no pair; write NAME N M for one person, NAME N NAME M for two"
            )
        for place in places:
            if place not in known:
                raise FacekitError(f"{path}, line {number}: {source.name} has no picture {place} (of any suffix)")
        rows.append([known[place] for place in places])
        same.append(len(words) == 3)
    if not rows:
        raise FacekitError(f"{path} lists no pair: give it a line for each")
    return RowPairs(np.array(rows, np.int64), np.array(same))


def _pictures_of(words: list[str]) -> tuple[str, str] | None:
    """The two pictures that a line means, without their suffix."""
    words = [word.strip() for word in words]
    if len(words) == 3:
        words = [words[0], words[1], words[0], words[2]]
    if len(words) != 4 or not all(re.fullmatch(r"\d{1,9}", words[place]) for place in (1, 3)):
        return None
    first, second = (f"{name}/{name}_{int(number):04d}" for name, number in (words[:2], words[2:]))
    return first, second


def draw_pairs(labels: npt.NDArray[np.int64], count: int, folds: int, seed: int) -> RowPairs:
    """Draw pairs, half of them of one person, in folds that share no person.

    Parameters
    ----------
    labels : (N,) int64
        Of all pictures; negative ones have none and are left out.
    count : int
        Pairs in all; a multiple of twice ``folds``.
    folds : int
    seed : int

    Returns
    -------
    RowPairs
        Fold by fold, first the pairs of one person. No pair stands in it twice.

    Raises
    ------
    ConfigError
        ``count`` is no such multiple.
    FacekitError
        There are too few people or pictures.
    """
    if folds < 1 or count < 1 or count % (2 * folds):
        raise ConfigError(f"{count} pairs cannot be halved in each of {folds} folds: ask for a multiple of {2 * folds}")
    rng = np.random.default_rng([seed, count, folds])
    people = rng.permutation(np.unique(labels[labels >= 0]))
    order = np.argsort(labels, kind="stable")
    first, stop = (np.searchsorted(labels[order], people, side=side) for side in ("left", "right"))
    each, pairs = count // (2 * folds), []
    for fold in range(folds):
        starts, sizes = first[fold::folds], stop[fold::folds] - first[fold::folds]
        pairs += [_one_person(starts, sizes, each, rng), _two_people(starts, sizes, each, rng)]
    return RowPairs(order[np.concatenate(pairs)], np.tile(np.repeat([True, False], each), folds))


def _one_person(
    starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Pairs of one person, people in turn: who has many pictures does not fill the list."""
    room = sizes * (sizes - 1) // 2
    if room.sum() < count:
        raise FacekitError(
            f"a fold of {len(sizes)} people has {room.sum():,} pairs of one person, {count:,} are wanted: ask for "
            "fewer pairs or folds"
        )
    found: set[tuple[int, int]] = set()
    turns = rng.permutation(np.flatnonzero(room))
    while len(found) < count:
        for person in turns.tolist():
            a, b = sorted((starts[person] + rng.choice(sizes[person], 2, replace=False)).tolist())
            found.add((a, b))
            if len(found) == count:
                break
    return rng.permutation(np.array(sorted(found), np.int64))


def _two_people(
    starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    room = (sizes.sum() ** 2 - (sizes**2).sum()) // 2
    if room < count:
        raise FacekitError(
            f"a fold of {len(sizes)} people has {room:,} pairs of two people, {count:,} are wanted: ask for fewer "
            "pairs or folds"
        )
    found: set[tuple[int, int]] = set()
    while len(found) < count:
        people = rng.choice(len(sizes), 2, replace=False)
        a, b = sorted((starts[people] + rng.integers(sizes[people])).tolist())
        found.add((a, b))
    return rng.permutation(np.array(sorted(found), np.int64))
