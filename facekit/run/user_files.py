"""Small files that a user wrote or named: TOML, JSON, pictures of masks; what is no such file is one error with a cure.

Whatever path is given, reading ends: pipes and devices are refused, and so is what is larger than such a file can be.
Text may begin with a byte order mark, as editors on Windows write it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

from facekit.errors import ConfigError
from facekit.output.file_lock import open_flags

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["parse_json", "read_json", "read_regular_file", "read_toml"]

MOST_BYTES = 4 << 20
"""Of a file of settings; a table of a thousand mask types has 0.2 MB."""

TOO_DEEP = "its brackets are nested too deeply"


def read_regular_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file.

    Parameters
    ----------
    path : Path
    most : int
        Bytes that it may have.

    Raises
    ------
    ConfigError
        There is no such file, it may not be read, is a pipe, a device or a folder, or larger.
    """
    try:
        content, size = _read_file(path, most + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise ConfigError(f"{str(path)!r} cannot be read: {error}; no file has such a name") from error
    if content is None:
        raise ConfigError(f"{path} cannot be read: it is a pipe, a device or a folder; name a file")
    if len(content) > most:
        raise ConfigError(f"{path} cannot be read: it has {size:,} bytes, more than {most:,}; name another")
    return content


def _read_file(path: Path, most: int) -> tuple[bytes | None, int]:
    """Up to so many bytes of a file, None where it is another thing, and its size."""
    # A pipe without a writer would be waited for, were it not for this flag; files do not know it.
    descriptor = os.open(path, open_flags("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC"))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None, 0
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most), found.st_size
    finally:
        os.close(descriptor)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises
    ------
    ConfigError
        It cannot be read (see `read_regular_file`), or is no TOML.
    """
    try:
        return tomllib.loads(read_regular_file(path).decode("utf-8-sig"))
    except RecursionError:
        raise ConfigError(f"{path} is no TOML that can be read: {TOO_DEEP}") from None
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is no TOML: {error}; save it as TOML in UTF-8") from error


def read_json(path: Path, cure: str = "restore it") -> Any:
    """The content of a JSON file.

    Parameters
    ----------
    path : Path
    cure : str
        What helps where it is none; ends the message.

    Raises
    ------
    ConfigError
        It cannot be read (see `read_regular_file`), or is no JSON.
    """
    try:
        return parse_json(read_regular_file(path), str(path))
    except ConfigError as error:
        raise ConfigError(f"{error}; {cure}") from error


def parse_json(text: str | bytes, name: str) -> Any:
    """What JSON text says.

    Parameters
    ----------
    text : str or bytes
        Bytes are UTF-8, with or without a byte order mark.
    name : str
        What it is, for the message of an error.

    Raises
    ------
    ConfigError
        It is no JSON.

    >>> parse_json(b'{"format": 1}', "features.json")
    {'format': 1}
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except RecursionError:
        raise ConfigError(f"{name} cannot be read: {TOO_DEEP}") from None
    except ValueError as error:
        raise ConfigError(f"{name} cannot be read: {error}") from error
