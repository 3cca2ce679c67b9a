"""Locks on open files, and flags of `os.open`, on whatever system this is."""

from __future__ import annotations

import errno
import os

__all__ = ["open_flags", "try_lock"]


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Lock an open file for as long as it is open, without waiting.

    The system lets go of the lock when the file is closed, and so when its process ends, however it ends. Two
    descriptors from two `os.open` are strangers to each other, in one process too.

    Parameters
    ----------
    descriptor : int
        Of a file that is open for writing.
    shared : bool
        Beside others that share it; else alone.

    Returns
    -------
    bool
        False where another holds it in a way that does not go with this.

    Raises
    ------
    OSError
        The file system has no locks, or its server cannot be reached.
    """
    import portalocker  # flock, and LockFileEx on Windows; costs 20 ms, which commands that write nothing save

    kind = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
    try:
        portalocker.lock(descriptor, kind | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise OSError(errno.ENOLCK, str(error)) from error
    return True


def open_flags(*names: str) -> int:
    """Flags of `os.open` by their names; those that this system does not have are left out.

    Bytes are always read and written as they are, which Windows has to be told.
    """
    flags = getattr(os, "O_BINARY", 0)
    for name in names:
        flags |= getattr(os, name, 0)
    return int(flags)
