"""A file that appears whole: written under a name that nobody else can have, flushed, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["aside_file", "flush_folder", "new_aside", "replace_file", "replacing"]

SUFFIX = ".partial"


def aside_file(path: str | os.PathLike[str], buffering: int = -1) -> tuple[IO[bytes], Path]:
    """Open a new file beside ``path``, made exclusively: whatever is there already is never touched.

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
    while True:
        aside = _own_name(path)
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        return os.fdopen(descriptor, "wb", buffering), aside


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
    replaced is decided by `facekit.output.open_file`.
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


def flush_folder(folder: Path) -> None:
    """Force the names in a folder to the disk; file systems that cannot are passed over."""
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


def _own_name(path: str | os.PathLike[str]) -> Path:
    """A name beside ``path`` that nobody has by chance; cut, since names hold 255 bytes."""
    target = Path(path)
    short = os.fsdecode(os.fsencode(target.name)[:200])
    return target.with_name(f".{short}.{secrets.token_hex(6)}{SUFFIX}")
