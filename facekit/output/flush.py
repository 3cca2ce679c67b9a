"""Files and names forced to the disk, as far as the system offers it.

Windows flushes files that are open for writing only, opens no folders and has no call for everything at once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from facekit.output.file_lock import open_flags

__all__ = ["flush_file", "flush_files", "flush_folder"]

FLUSHED_ONE_BY_ONE = 1000
"""Files up to which each is forced to the disk; above it the whole system is, which is quicker."""


def flush_file(path: str | os.PathLike[str]) -> None:
    """Force what was written into a file to the disk.

    Raises
    ------
    OSError
        The disk refused it.
    """
    try:
        descriptor, may_write = os.open(path, open_flags("O_RDWR", "O_CLOEXEC")), True
    except PermissionError:
        descriptor, may_write = os.open(path, open_flags("O_RDONLY", "O_CLOEXEC")), False
    try:
        os.fsync(descriptor)
    except OSError as error:
        if may_write or error.errno not in (errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(descriptor)


def flush_files(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Force what was written into files to the disk.

    Raises
    ------
    OSError
        The disk refused it.
    """
    rest = iter(paths)
    files = list(islice(rest, FLUSHED_ONE_BY_ONE + 1))
    if len(files) > FLUSHED_ONE_BY_ONE and hasattr(os, "sync"):
        os.sync()
        return
    for path in files:
        flush_file(path)
    for path in rest:
        flush_file(path)


def flush_folder(folder: Path) -> None:
    """Force the names in a folder to the disk; systems and file systems that cannot are passed over."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
