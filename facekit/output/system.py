"""What the system refuses, in words: which path, what is needed, what is kept, and how to go on."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from facekit.errors import ConfigError, FacekitError, RecordError

__all__ = [
    "cured",
    "free_bytes",
    "memory_limit",
    "refusal_in_words",
    "refuse_long_name",
    "refuse_unwritable",
    "require_space",
    "staged_bytes",
    "system_error",
    "system_refusal",
]

_CURES = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the quota is used up: free some space",
    errno.EACCES: "permission denied: make it readable or, where it is to be written, make it writable, "
    "or choose another place",
    errno.EPERM: "the system does not permit it: make it writable, or choose another place",
    errno.EROFS: "the file system is read-only: choose another destination",
    errno.ENAMETOOLONG: "the name is too long for this file system: choose a shorter one",
    errno.EIO: "the disk reported an error: look at the system's log, and copy what is there before anything else",
    errno.ENOTDIR: "a part of the path is a file: choose another place",
    errno.EISDIR: "it is a folder, where a file is needed: name a file",
    errno.ENOENT: "there is no such file or folder, or it was removed meanwhile: restore it, or name another",
    errno.ESTALE: "the file server has lost it: restore it, or name another",
    errno.ELOOP: "links lead in a circle: name another",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "the machine has too many files open: end other programs, or raise its limit (fs.file-max)",
    errno.ENOMEM: "not enough memory: end other programs, or choose fewer --workers",
    errno.EAGAIN: "too many processes or threads: end other programs, raise the limit (ulimit -u), or choose fewer "
    "--workers",
}

_GRAVE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Refusals that stay the reason whatever a library made of them."""


def staged_bytes(staging: Path) -> int:
    """Bytes of the files below a folder that is still being written; what goes meanwhile counts as none."""
    total = 0
    for place, _, names in os.walk(staging):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def system_error(error: BaseException, staging: Path, kept: bool, staged: int = 0) -> FacekitError | None:
    """A refusal of the system somewhere behind an error, in words; None where there is none to explain.

    Parameters
    ----------
    error : BaseException
        Its causes are looked through too.
    staging : Path
        Where the output was made.
    kept : bool
        Whether something finished lies in ``staging``.
    staged : int
        Bytes that lay there when the system refused: a full disk had that many for it, and they were too few.
    """
    go_on = f"; what is finished is kept in {staging}, and the same command goes on from there" if kept else ""
    if isinstance(error, RecordError):
        return cured(error, go_on)
    found = system_refusal(error)
    if found is None:
        return None
    full = found.errno in (errno.ENOSPC, errno.EDQUOT) and staged
    target = str(staging).removesuffix(".partial")
    needs = f"; {target} needs more than {_size(staged + max(free_bytes(staging), 0))}" if full else ""
    return FacekitError(refusal_in_words(found, str(staging)) + needs + go_on)


def cured(error: RecordError, go_on: str = "") -> RecordError | None:
    """The same error with what helps against the system's refusal behind it; None where there is none."""
    cause = error.__cause__
    cure = _CURES.get(cause.errno or 0) if isinstance(cause, OSError) else None
    if cure is None or cure in error.problem:
        return None
    return RecordError(f"{error.problem}: {cure}{go_on}", error.path, error.key, error.offset)


def system_refusal(error: BaseException) -> OSError | None:
    """The system's refusal that an error is, or that a library made it of; None where it is something else.

    An error that facekit explained already is none.
    """
    if isinstance(error, FacekitError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error
    seen: BaseException | None = error.__cause__ or error.__context__
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _GRAVE and not isinstance(seen, FacekitError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def refusal_in_words(refusal: OSError, otherwise: str) -> str:
    """Which path, what is wrong with it, and what helps.

    Parameters
    ----------
    refusal : OSError
    otherwise : str
        The path to name where the refusal itself names none.

    >>> refusal_in_words(OSError(errno.ENOSPC, "No space left on device"), "out")
    'out: the disk is full: free some space'
    """
    # Of a copy or a rename the second name is the one that is written.
    named = refusal.filename if refusal.filename2 is None else refusal.filename2
    path = os.fsdecode(named) if isinstance(named, (str, bytes, os.PathLike)) else otherwise
    cure = _CURES.get(refusal.errno or 0)
    return f"{path}: {cure or f'the system refuses ({refusal.strerror}): choose another place'}"


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
    free = free_bytes(target)
    if needed > free >= 0:
        raise FacekitError(
            f"{target} needs about {_size(needed)} and its disk has {_size(free)} free: free some space, "
            "or choose another destination"
        )


def refuse_unwritable(folder: Path) -> None:
    """Raise what the system would raise where a folder is made and written in; makes nothing.

    Raises
    ------
    OSError
    """
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place, wanted = place.parent, place
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not os.access(place, os.W_OK | os.X_OK):
        read_only = hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY
        why = errno.EROFS if read_only else errno.EACCES
        raise OSError(why, os.strerror(why), str(folder if place == folder else wanted))


def memory_limit() -> str | None:
    """How much memory this process may address, as people read it; None where nothing limits it."""
    try:
        import resource  # there is none on Windows
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else _size(limit)


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


def free_bytes(path: Path) -> int:
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
