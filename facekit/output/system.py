"""What the system refuses, in words: which path, what is needed, what is kept, and how to go on."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from facekit.errors import ConfigError, FacekitError

__all__ = ["refuse_long_name", "require_space", "system_error"]

_CURES = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the quota is used up: free some space",
    errno.EACCES: "permission denied: make it writable, or choose another destination",
    errno.EPERM: "the system does not permit it: make it writable, or choose another destination",
    errno.EROFS: "the file system is read-only: choose another destination",
    errno.ENAMETOOLONG: "the name is too long for this file system: choose a shorter one",
    errno.EIO: "the disk reported an error: look at the system's log, and copy what is there before anything else",
    errno.ENOTDIR: "a part of the path is a file: choose another destination",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
}


def system_error(error: BaseException, staging: Path, kept: bool) -> FacekitError | None:
    """A refusal of the system somewhere behind an error, in words; None where there is none to explain.

    Parameters
    ----------
    error : BaseException
        Its causes are looked through too.
    staging : Path
        Where the output was made.
    kept : bool
        Whether something finished lies in ``staging``.
    """
    found = _refusal(error)
    if found is None or found.errno not in _CURES:
        return None
    path = os.fsdecode(found.filename) if isinstance(found.filename, (str, bytes)) else str(staging)
    go_on = f"; what is finished is kept in {staging}, and the same command goes on from there" if kept else ""
    return FacekitError(f"{path}: {_CURES[found.errno]}{go_on}")


def require_space(target: Path, needed: int) -> None:
    """Refuse to begin where the disk cannot hold the output.

    Parameters
    ----------
    target : Path
    needed : int
        Bytes that will be written at the most, what is kept on the way included.

    Raises
    ------
    FacekitError
        The file system has less.
    """
    free = _free(target)
    if needed > free >= 0:
        raise FacekitError(
            f"{target} needs about {_size(needed)} and its disk has {_size(free)} free: free some space, "
            "or choose another destination"
        )


def refuse_long_name(target: Path) -> None:
    """Refuse a name that leaves no room for the staging folder beside it.

    Raises
    ------
    ConfigError
        It does not.
    """
    longest = 255
    length = len(os.fsencode(target.name)) + len(".partial")
    if length > longest:
        raise ConfigError(
            f"{target}: the name has {length - len('.partial')} bytes, and {longest - len('.partial')} is what leaves "
            "room for the unfinished output beside it; choose a shorter one"
        )


def _refusal(error: BaseException) -> OSError | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None and not isinstance(seen, FacekitError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _free(path: Path) -> int:
    """Bytes that this user may still write where a path lies or will lie; -1 where it cannot be known."""
    for place in (path, *path.parents):
        if place.exists():
            try:
                return shutil.disk_usage(place).free
            except OSError:
                return -1
    return -1


def _size(count: int) -> str:
    """Bytes as people read them."""
    if count < 0:
        return "an unknown number of bytes"
    value, units = float(count), ("bytes", "kB", "MB", "GB", "TB")
    for unit in units:
        if value < 1000 or unit == units[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
