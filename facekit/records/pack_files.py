"""A path -> the files of the pack that it means, without opening any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from facekit.errors import WrongInput
from facekit.records.named_inputs import describe_path, pack_cure, require_there

__all__ = ["PackPaths", "file_stamps", "find_rec", "pack_paths"]


class PackPaths(NamedTuple):
    """The files of a pack. ``idx`` and ``property`` are where they belong, whether or not they exist."""

    folder: Path
    rec: Path
    idx: Path
    property: Path


def pack_paths(path: str | os.PathLike[str]) -> tuple[Path, Path, Path]:
    """Where ``.rec``, ``.idx`` and ``property`` of a pack lie, without opening any; takes what `open_pack` takes.

    Parameters
    ----------
    path : path

    Returns
    -------
    rec, idx, property : Path
        Only the first is known to exist.

    Raises
    ------
    MissingInput, WrongInput
        There is no such pack.
    """
    rec = find_rec(Path(path))
    return rec, rec.with_suffix(".idx"), rec.with_name("property")


def find_rec(path: Path) -> Path:
    """The ``.rec`` that a folder, a ``.rec``, an ``.idx`` or the prefix of one means.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Path

    Raises
    ------
    MissingInput, WrongInput
        There is none, or more than one in a folder.
    """
    if path.is_dir():
        return _rec_of_folder(path)
    if path.suffix == ".idx":
        path = path.with_suffix(".rec")
    if path.is_file() and path.suffix == ".rec":
        return path
    prefixed = path.with_name(path.name + ".rec")
    if prefixed.is_file():
        return prefixed
    require_there(path, "pack")
    wanted = pack_cure(path) or ": name a folder, a .rec file or their prefix"
    raise WrongInput(f"it is {describe_path(path)}, no pack{wanted}", path)


def _rec_of_folder(folder: Path) -> Path:
    if (folder / "train.rec").is_file():
        return folder / "train.rec"
    found = sorted(folder.glob("*.rec"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise WrongInput(f"no .rec file lies in this folder: it is {describe_path(folder)}{pack_cure(folder)}", folder)
    names = ", ".join(f.name for f in found[:5])
    raise WrongInput(f"{len(found)} .rec files lie in this folder ({names}): name one of them", folder)


def file_stamps(rec: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """What tells the two files of a pack from others of the same name.

    Parameters
    ----------
    rec : Path

    Returns
    -------
    tuple of (int, int, int) or None
        Inode, bytes and modification time (ns) of ``.rec`` and ``.idx``; None for a file that is not there.
    """
    found: list[tuple[int, int, int] | None] = []
    for path in (rec, rec.with_suffix(".idx")):
        try:
            stat = os.stat(path)
        except OSError:
            found.append(None)
            continue
        found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)
