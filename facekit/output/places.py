"""Where files really lie: paths compared through links, relative names and mount points."""

from __future__ import annotations

import os
from pathlib import Path

from facekit.errors import ConfigError

__all__ = ["holds", "is_empty", "is_mount", "real", "refuse_below_file", "same_place"]


def real(path: str | os.PathLike[str]) -> Path:
    """The path with every link followed and nothing relative in it; it need not exist."""
    return Path(os.path.realpath(path))


def same_place(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Whether two paths are one file or folder: by device and inode where both exist, so hard links and bind mounts
    count, else by their real paths."""
    try:
        return os.path.samestat(os.stat(first), os.stat(second))
    except OSError:
        return real(first) == real(second)


def holds(outer: str | os.PathLike[str], inner: str | os.PathLike[str]) -> bool:
    """Whether ``inner`` is ``outer`` or lies somewhere below it; neither needs to exist."""
    place = real(inner)
    return any(same_place(outer, step) for step in (place, *place.parents))


def is_empty(folder: str | os.PathLike[str]) -> bool:
    """Whether nothing lies in a folder; one that holds millions is not listed for it."""
    with os.scandir(folder) as entries:
        return next(entries, None) is None


def is_mount(path: Path) -> bool:
    """Whether a folder is the root of a mounted file system, or bound from elsewhere: it cannot be renamed."""
    return os.path.ismount(path) or str(real(path)) in _mount_points()


def _mount_points() -> set[str]:
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return set()
    names = (line.split()[4] for line in lines)  # proc(5): field 5 is the mount point, with octal escapes
    return {os.fsdecode(name.decode("unicode_escape").encode("latin-1")) for name in names}


def refuse_below_file(path: Path) -> None:
    """Refuse a destination of whose path a part is no folder.

    Raises
    ------
    ConfigError
    """
    above = next((place for place in path.parents if os.path.lexists(place)), None)
    if above is not None and not above.is_dir():
        raise ConfigError(f"{above} is a file, and nothing can be written below it; choose another destination")
