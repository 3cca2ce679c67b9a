"""A finished folder takes the place of another one; what facekit did not write there stays, whatever happens.

Files that are somebody else's get a second name (a hard link) in the new folder first, so at every moment each of them
lies at the destination or in ``DST.partial/former``, and mostly in both.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import DestinationExists
from facekit.output.flush import flush_folder
from facekit.output.places import is_empty, is_mount
from facekit.output.record import RECORD, FolderRecord, read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["look", "move_new", "remove_former", "swap"]

NAMED = 5
"""Files that an error names at the most."""


def look(target: Path, overwrite: bool) -> FolderRecord | None:
    """What stands at a destination and may be replaced; None where nothing does.

    Raises
    ------
    DestinationExists
        Something may not be replaced: it is no folder of facekit's, files in it were changed since, it is the root of a
        file system, or nobody asked for it.
    """
    if not os.path.lexists(target):
        return None
    if not target.is_dir():
        raise DestinationExists(f"{target} is a file, and a folder is to be written; choose another destination")
    if is_mount(target):
        raise DestinationExists(
            f"{target} is where a file system is mounted, and nothing can be renamed into its place; "
            f"choose a folder in it, such as {target / 'out'}"
        )
    if is_empty(target):
        return None
    if not overwrite:
        raise DestinationExists(f"{target} exists already; choose another destination or pass --overwrite")
    record = read_record(target)
    if record is None:
        raise DestinationExists(
            f"{target} has no {RECORD} of facekit's, and --overwrite replaces only what facekit wrote; "
            "move it away yourself, or choose another destination"
        )
    changed = [file.path for file in record.files if _lies(target / file.path) and not file.is_unchanged(target)]
    if changed:
        raise DestinationExists(
            f"{_named(target, changed)} changed since facekit wrote {'it' if len(changed) == 1 else 'them'}: "
            "move them away, or choose another destination"
        )
    return record


def move_new(output: Path, target: Path) -> None:
    """Rename a finished folder to a name where nothing is; one step, which the system refuses where something is.

    Raises
    ------
    DestinationExists
        Something appeared there meanwhile; it is left alone.
    """
    try:
        os.rename(output, target)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _appeared(output, target) from error
    except OSError as error:
        if os.path.lexists(target) and not (target.is_dir() and is_empty(target)):
            raise _appeared(output, target) from error
        raise
    flush_folder(target.parent)


def swap(output: Path, target: Path, former: Path, record: FolderRecord) -> None:
    """Put a finished folder in the place of one that facekit wrote.

    Raises
    ------
    DestinationExists
        A file of somebody else's has a name that the output needs, or cannot be given a second name.
    """
    _carry(record, target, output)
    os.rename(target, former)
    os.rename(output, target)
    flush_folder(target.parent)
    remove_former(former, target)


def remove_former(former: Path, target: Path) -> None:
    """Remove what was replaced: the files that its record lists, and second names of files that stay.

    Anything else that lies there (it came while the folders changed places) moves to the destination.

    Raises
    ------
    DestinationExists
        It cannot move, since the destination has its name.
    """
    record = read_record(former)
    listed = _name_hashes(record) if record is not None else np.empty(0, np.uint64)
    for place, folders, names in os.walk(former, topdown=False):
        for name in sorted(names, key=lambda name: name == RECORD):
            _remove_file(Path(place, name), former, target, listed)
        for name in folders:
            path = Path(place, name)
            if path.is_symlink():
                _remove_file(path, former, target, listed)
            elif is_empty(path):
                path.rmdir()
    former.rmdir()


def _remove_file(path: Path, former: Path, target: Path, listed: NDArray[np.uint64]) -> None:
    name = os.path.relpath(path, former)
    stays = target / name
    if _is_listed(name, listed) or (_lies(stays) and os.path.samestat(os.lstat(stays), os.lstat(path))):
        path.unlink()
        return
    if _lies(stays):
        raise DestinationExists(f"{path} is not of facekit, and {stays} has its name: move it away yourself")
    stays.parent.mkdir(parents=True, exist_ok=True)
    os.rename(path, stays)


def _carry(record: FolderRecord, target: Path, output: Path) -> None:
    """Give every file in ``target`` that facekit did not write a second name in ``output``, folders included."""
    listed, own = _name_hashes(record), _own_folders(record)
    taken = []
    for path, is_folder in _entries(target):
        name = os.path.relpath(path, target)
        new = output / name
        if is_folder:
            if name not in own and not new.exists() and not _holds_listed(path, target, listed):
                _make_like(path, new)
        elif not _is_listed(name, listed):
            if not _lies(new):
                _link(path, new)
            elif not os.path.samestat(os.lstat(new), os.lstat(path)):
                taken.append(name)
    if taken:
        raise DestinationExists(
            f"{_named(target, taken)} {'is' if len(taken) == 1 else 'are'} not of facekit, and the output needs the "
            f"name: move {'it' if len(taken) == 1 else 'them'} away, and give the same command again"
        )


def _own_folders(record: FolderRecord) -> set[str]:
    """Folders that hold files of the record, however deep."""
    return {str(parent) for file in record.files for parent in Path(file.path).parents}


def _entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Everything below a folder, parents first; whether it is a folder (links are none)."""
    for place, folders, names in os.walk(folder):
        for name in folders:
            path = Path(place, name)
            yield path, not path.is_symlink()
        for name in names:
            yield Path(place, name), False


def _holds_listed(folder: Path, target: Path, listed: NDArray[np.uint64]) -> bool:
    with os.scandir(folder) as entries:
        return any(_is_listed(os.path.relpath(entry.path, target), listed) for entry in entries)


def _make_like(path: Path, new: Path) -> None:
    if is_mount(path):
        raise DestinationExists(f"{path} is where a file system is mounted: unmount it, or choose another destination")
    new.mkdir(parents=True)
    shutil.copystat(path, new)


def _link(path: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, new, follow_symlinks=False)
    except OSError as error:
        raise DestinationExists(
            f"{path} is not of facekit and cannot be kept beside the new output ({error.strerror}): "
            "move it away, or choose another destination"
        ) from error


def _name_hashes(record: FolderRecord) -> NDArray[np.uint64]:
    """(n,) uint64, ascending: hashes of the names of all files that facekit wrote; 8 bytes a file."""
    found = np.fromiter((_name_hash(file.path) for file in record.all_files()), np.uint64)
    return np.sort(found)


def _name_hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest(), "little")


def _is_listed(name: str, listed: NDArray[np.uint64]) -> bool:
    wanted = np.uint64(_name_hash(name))
    place = int(np.searchsorted(listed, wanted))
    return place < len(listed) and bool(listed[place] == wanted)


def _lies(path: Path) -> bool:
    return os.path.lexists(path)


def _named(folder: Path, names: list[str]) -> str:
    shown = ", ".join(str(folder / name) for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _appeared(output: Path, target: Path) -> DestinationExists:
    return DestinationExists(
        f"{target} appeared while its output was made, and is left alone; the output is finished and kept in "
        f"{output.parent}: move {target} away and give the same command again"
    )
