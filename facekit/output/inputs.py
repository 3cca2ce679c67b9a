"""What a command reads: never written to, and the same at the end as at the beginning."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from facekit.errors import ConfigError, FacekitError
from facekit.output.places import holds, same_place

__all__ = ["Input", "files_of", "folder_input", "input_of", "refuse_changed", "refuse_related"]

Files = Callable[[], Iterable[str | os.PathLike[str]]]


@dataclass(frozen=True)
class Input:
    """A file or folder that was named to be read.

    Attributes
    ----------
    path : str
        As it was given. What is a folder is guarded with everything in it; of a file or a prefix, its files.
    files : callable
        Gives the files whose content counts, always in the same order.
    stamp : str
        A hash of names, sizes, times and inodes of these when this object was made.
    stamp_now : callable, optional
        Gives the stamp as it is now of what lies in a store instead, and not on the disk.
    """

    path: str
    files: Files
    stamp: str
    stamp_now: Callable[[], str] | None = None


def input_of(path: str | os.PathLike[str], files: Files | None = None) -> Input:
    """An input, as it is now.

    Parameters
    ----------
    path : path
        As it was given.
    files : callable, optional
        Gives the files whose content counts; by default the file itself, or of a folder the files at its top.
    """
    found = files or (lambda: files_of(Path(path)))
    return Input(os.fspath(path), found, stamp_of(found()))


def folder_input(path: str | os.PathLike[str]) -> Input:
    """An input folder with everything below it: what facekit itself keeps (vectors, decisions)."""
    return input_of(path, lambda: (os.path.join(at, name) for at, _, names in sorted(os.walk(path)) for name in names))


def stamp_of(files: Iterable[str | os.PathLike[str]]) -> str:
    """A hash of where files lie, how large they are and when they were changed; memory does not grow with them."""
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        try:
            found = os.stat(path)
            what = f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"
        except FileNotFoundError:
            what = "none"
        digest.update(os.fsencode(path) + f"\0{what}\n".encode())
    return digest.hexdigest()


def refuse_changed(inputs: Iterable[Input]) -> None:
    """Refuse to publish what was made from files that changed meanwhile.

    Raises
    ------
    FacekitError
        An input is not what it was.
    """
    for one in inputs:
        now = stamp_of(one.files()) if one.stamp_now is None else one.stamp_now()
        if now != one.stamp:
            raise FacekitError(
                f"{one.path} changed while it was read, so nothing was published: what was made would be a mixture. "
                "Let whatever writes there finish, then give the same command with --overwrite, which begins anew"
            )


def refuse_related(target: Path, inputs: Iterable[Input]) -> None:
    """Refuse a destination that is an input, holds one, or lies in one: through links, relative names and mounts too.

    Raises
    ------
    ConfigError
        It does.
    """
    for one in inputs:
        named = Path(one.path)
        for place in [named] if named.is_dir() else files_of(named):
            if same_place(target, place):
                raise ConfigError(f"{target} is the input {one.path} itself; choose another destination")
            if holds(target, place):
                raise ConfigError(f"{target} holds the input {one.path}; choose another destination")
        if named.is_dir() and holds(named, target):
            raise ConfigError(f"{target} lies in the input {one.path}; choose a destination outside of it")


def files_of(path: Path) -> list[Path]:
    """The file itself, what lies at the top of a folder, or the files that a prefix names."""
    if path.is_dir():
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_file())
    stem = path.with_suffix("") if path.suffix in (".rec", ".idx") else path
    beside = [stem.with_name(stem.name + suffix) for suffix in (".rec", ".idx")]
    return [path, *(other for other in beside if other != path and other.exists())]
