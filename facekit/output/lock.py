"""A lock file that the system releases however its holder ends."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from facekit.errors import ConfigError
from facekit.output.file_lock import open_flags, try_lock

__all__ = ["LOCK", "is_free", "is_shared", "release", "take_lock"]

LOCK = "lock"
_HELD: set[int] = set()


def take_lock(folder: Path, shared: bool = False) -> int | None:
    """Lock ``folder/lock``, making the folder.

    A lock file that was removed between opening and locking is somebody's former one: it is taken again.

    Parameters
    ----------
    folder : Path
    shared : bool
        Beside others that share it; else alone.

    Returns
    -------
    int or None
        The descriptor that holds the lock; None where another process holds it in a way that does not go with this.

    Raises
    ------
    ConfigError
        The file system takes no new folders.
    OSError
        The folder or the file cannot be made.
    """
    while True:
        _make(folder)
        descriptor = os.open(folder / LOCK, open_flags("O_RDWR", "O_CREAT", "O_CLOEXEC", "O_NOFOLLOW"), 0o644)
        if not try_lock(descriptor, shared):
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(folder / LOCK)):
                _HELD.add(descriptor)
                return descriptor
        os.close(descriptor)


def is_free(folder: Path, shared: bool = False) -> bool:
    """Whether `take_lock` would take the lock now; makes nothing, and holds it no longer than it takes to ask."""
    try:
        descriptor = os.open(folder / LOCK, open_flags("O_RDWR", "O_CLOEXEC", "O_NOFOLLOW"))
    except OSError:
        return True
    try:
        return try_lock(descriptor, shared)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # of what it makes itself: as /proc refuses it
        if not folder.parent.is_dir():
            raise
        raise ConfigError(
            f"no folder can be made in {folder.parent}, whose file system takes none: choose another destination"
        ) from error


def is_shared(folder: Path) -> bool:
    """Whether those that hold ``folder/lock`` share it, so that one more could."""
    try:
        descriptor = os.open(folder / LOCK, open_flags("O_RDWR", "O_CLOEXEC", "O_NOFOLLOW"))
    except OSError:
        return False
    try:
        return try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def release(descriptor: int) -> None:
    """Let go of a lock."""
    _HELD.discard(descriptor)
    os.close(descriptor)


def _release_copies() -> None:
    """Close the copies that a fork made: a loader's process that outlives a killed run would hold its lock."""
    while _HELD:
        with contextlib.suppress(OSError):
            os.close(_HELD.pop())


if hasattr(os, "register_at_fork"):  # where there is no fork there are no copies
    os.register_at_fork(after_in_child=_release_copies)
