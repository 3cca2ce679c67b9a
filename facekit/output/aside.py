"""A file that appears whole: written under a name that nobody else can have, flushed, then renamed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from facekit.output.file_lock import open_flags, try_lock

__all__ = ["aside_file", "new_aside", "replace_file", "replacing"]

SUFFIX = ".partial"


def aside_file(path: str | os.PathLike[str], buffering: int = -1) -> tuple[IO[bytes], Path]:
    """Open a new file beside ``path``, made exclusively: whatever is there already is never touched.

    It is locked while it is open: what a run that was killed left for the same ``path`` is known by that, and removed.

    Parameters
    ----------
    path : path
    buffering : int
        As in `open`.

    Returns
    -------
    file : binary file, open for writing
    Path
        Its name, which begins with a dot and ends in ``.partial``.
    """
    _remove_orphans(Path(path))
    while True:
        aside = _own_name(path)
        try:
            descriptor = os.open(aside, open_flags("O_WRONLY", "O_CREAT", "O_EXCL", "O_CLOEXEC"), 0o666)
        except FileExistsError:
            continue
        if _is_kept(descriptor):
            return os.fdopen(descriptor, "wb", buffering), aside
        os.close(descriptor)


def new_aside(path: str | os.PathLike[str]) -> Path:
    """Make a new folder beside ``path``, exclusively; its name begins with a dot and ends in ``.partial``."""
    while True:
        aside = _own_name(path)
        try:
            aside.mkdir()
        except FileExistsError:
            continue
        return aside


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a file to write; when the block ends it is flushed to the disk and takes the place of ``path``.

    Nothing is left when an exception passes. Only for files that belong to facekit: whether a file of a user's may be
    replaced is decided by `facekit.output.open_files`.
    """
    file, aside = aside_file(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def replace_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a whole file in place of ``path``; text as UTF-8."""
    with replacing(path) as file:
        file.write(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)


def _is_kept(descriptor: int) -> bool:
    """Lock a new file; False where another run took it for an orphan before it was locked, and removed it."""
    with contextlib.suppress(OSError):  # a file system without locks: nothing is taken for an orphan there
        try_lock(descriptor)
    return os.fstat(descriptor).st_nlink > 0


def _remove_orphans(path: Path) -> None:
    """Remove files that were to become ``path`` and that no process holds any more."""
    start = re.escape(f".{_short(path)}.")
    own = re.compile(start + "[0-9a-f]{12}" + re.escape(SUFFIX))
    with contextlib.suppress(OSError):  # without a folder to look into there is nothing to remove
        for name in os.listdir(path.parent):
            if own.fullmatch(name):
                _remove_orphan(path.with_name(name))


def _remove_orphan(aside: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(aside, open_flags("O_RDWR", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))
        try:
            held = not try_lock(descriptor)
            removed = not held and _unlink(aside)
        finally:
            os.close(descriptor)
        if not held and not removed:
            os.unlink(aside)  # Windows removes no open file, and so none that its owner has meanwhile locked


def _unlink(path: Path) -> bool:
    try:
        os.unlink(path)
    except PermissionError:
        return False
    return True


def _own_name(path: str | os.PathLike[str]) -> Path:
    """A name beside ``path`` that nobody has by chance; cut, since names hold 255 bytes."""
    target = Path(path)
    return target.with_name(f".{_short(target)}.{secrets.token_hex(6)}{SUFFIX}")


def _short(path: Path) -> str:
    return os.fsdecode(os.fsencode(path.name)[:200])
