"""A folder -> the picture files in it, and a count of the files that are none: nothing is passed over in silence."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from facekit.errors import FacekitError
from facekit.images import reads_avif
from facekit.records.name_list import NameList

__all__ = ["PICTURES", "Files", "files_in", "folders_in", "format_counts"]

PICTURES = {".avif", ".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".webp"}
LINK = "link to a folder"


class Files(NamedTuple):
    """What lies in a folder, save for names that begin with a dot."""

    pictures: NameList
    """Paths, sorted; dangling links among them, since a picture was meant."""
    others: Counter[str]
    """Files that are no pictures by their names, by suffix; and links to folders, which are not followed."""


def folders_in(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted.

    Raises
    ------
    FacekitError
        It cannot be listed.
    """
    _, folders, _ = next(os.walk(folder, onerror=_unlistable))
    return sorted(_shown(folders))


def files_in(root: Path, within: str = ".", deep: bool = True, suffixes: Collection[str] | None = None) -> Files:
    """List a folder.

    Parameters
    ----------
    root : Path
        What the paths are relative to.
    within : str
        The folder in it.
    deep : bool
        List the folders in it too.
    suffixes : collection of str
        What the name of a picture ends in, lower case; by default `PICTURES`, AVIF only where Pillow reads it.

    Raises
    ------
    FacekitError
        A folder cannot be listed; names it.
    """
    found, wanted = Files(NameList(), Counter()), readable() if suffixes is None else suffixes
    for place, folders, names in os.walk(root / within, onerror=_unlistable):
        folders[:] = _shown(folders) if deep else []
        found.others.update(LINK for name in folders if os.path.islink(os.path.join(place, name)))
        inner = os.path.relpath(place, root)
        for name in _shown(names):
            if _is_picture(os.path.join(place, name), wanted):
                found.pictures.append(name if inner == os.curdir else os.path.join(inner, name))
            else:
                found.others[_suffix(name) or "without a suffix"] += 1
    return found._replace(pictures=found.pictures.ascending())


def readable() -> set[str]:
    """`PICTURES`, without AVIF where Pillow (before 11.3) does not read it."""
    return PICTURES if reads_avif() else PICTURES - {".avif"}


def format_counts(counts: dict[str, int], most: int = 5) -> str:
    """Counts for a person.

    >>> format_counts({".gif": 3, ".tif": 1})
    '3 .gif, 1 .tif'
    """
    ranked = [f"{count:,} {kind}" for kind, count in Counter(counts).most_common()]
    return ", ".join(ranked[:most] + ["..."] * (len(ranked) > most))


def _shown(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if not name.startswith("."))


def _suffix(name: str) -> str:
    """In lower case, and printable whatever bytes the name is made of."""
    return os.path.splitext(name)[1].lower().encode("utf-8", "replace").decode()


def _is_picture(path: str, suffixes: Collection[str]) -> bool:
    """By its name; a pipe or a device is none, and reading one might never end."""
    return _suffix(path) in suffixes and (os.path.isfile(path) or not os.path.exists(path))


def _unlistable(error: OSError) -> NoReturn:
    raise FacekitError(
        f"{error.filename} cannot be listed: {error.strerror}; make it readable, or take it out of the folder"
    ) from error
