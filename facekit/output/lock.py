"""A lock file that the system releases however its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

__all__ = ["LOCK", "is_shared", "release", "take_lock"]

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
    OSError
        The folder or the file cannot be made.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(folder / LOCK)):
                _HELD.add(descriptor)
                return descriptor
        os.close(descriptor)


def is_shared(folder: Path) -> bool:
    """Whether those that hold ``folder/lock`` share it, so that one more could."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def release(descriptor: int) -> None:
    """Let go of a lock."""
    _HELD.discard(descriptor)
    os.close(descriptor)


def _release_copies() -> None:
    """Close the copies that a fork made: a loader's process that outlives a killed run would hold its lock."""
    while _HELD:
        with contextlib.suppress(OSError):
            os.close(_HELD.pop())


os.register_at_fork(after_in_child=_release_copies)
