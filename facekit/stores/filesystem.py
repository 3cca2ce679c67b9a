"""fsspec's file systems as facekit needs them: sizes and stamps of objects, listing, and errors in words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from facekit.errors import ConfigError, RecordError
from facekit.stores.addresses import expand_braces, is_address, local_path

__all__ = [
    "UNFINISHED",
    "StoreError",
    "Stored",
    "find_stored",
    "missing_library",
    "open_filesystem",
    "restamp",
    "store_errors",
    "stored_file",
]

_AT_ONCE = 16
"""Objects that are asked about at one time."""

_STAMPS = ("ETag", "etag", "sha256", "blob_id", "oid", "checksum", "Content-MD5", "md5Hash", "Digest")
_TIMES = ("Last-Modified", "LastModified", "last_modified", "mtime", "updated", "created")
_SECONDS_OF_SILENCE = 60

UNFINISHED = "run.json.unfinished"
"""The object that says: what lies beside it is not whole yet."""

_FILES = (".tar", ".gz", ".zst", ".tgz", ".tzst", ".parquet", ".rec", ".idx")


class StoreError(RecordError):
    """A store does not answer, refuses, or gave less than it said: what may go well when it is tried again."""


class Stored(NamedTuple):
    """A file on the disk or an object in a store.

    Attributes
    ----------
    address : str
        A path, or the address.
    size : int
        Bytes.
    stamp : str
        What changes when its content does: the store's tag, else the time of its last change.
    """

    address: str
    size: int
    stamp: str


def open_filesystem(address: str) -> tuple[Any, str]:
    """The file system of an address, and what the address is called in it.

    Raises
    ------
    ConfigError
        A library is missing, or there is no such kind of address.
    """
    try:
        import fsspec
    except ImportError as error:
        raise missing_library(address, error) from error
    scheme = address.partition("://")[0].lower()
    options: dict[str, Any] = {}
    try:
        if scheme in ("http", "https"):
            import aiohttp

            # By itself it ends every answer after five minutes, however well the bytes come.
            options["client_kwargs"] = {
                "timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_SECONDS_OF_SILENCE)
            }
        system, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        raise missing_library(address, error) from error
    except ValueError as error:
        raise ConfigError(f"{address} cannot be opened: {error}") from error
    return system, str(path)


def missing_library(address: str, error: ImportError) -> ConfigError:
    """What to install."""
    return ConfigError(
        f"{address} needs a library that is not here ({error}): pip install '.[stores]' in the checkout has those for "
        "http, s3 and hf"
    )


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Whatever the libraries of a store raise (each has its own), as one error with the address in it.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except (RecordError, ConfigError):
        raise
    except ImportError as error:
        raise missing_library(address, error) from error
    except FileNotFoundError as error:
        raise StoreError("there is no such object in the store: mend the address", address) from error
    except PermissionError as error:
        raise StoreError(f"the store refuses: {error}; log in, or name another", address) from error
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        raise StoreError(f"the store failed: {type(error).__name__}: {text}", address) from error


def stored_file(path: str | os.PathLike[str]) -> Stored:
    """A file on the disk, as it is now.

    Raises
    ------
    RecordError
        It cannot be read.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise RecordError(f"the file cannot be read: {error.strerror}", path) from error
    return Stored(os.fspath(path), found.st_size, f"{found.st_mtime_ns} {found.st_ino}")


def restamp(stored: Sequence[Stored]) -> list[Stored]:
    """The same files and objects as they are now.

    Raises
    ------
    StoreError
        One is gone, or the store does not answer.
    """
    return _look_at([one.address for one in stored])


def find_stored(named: str, suffixes: tuple[str, ...]) -> list[Stored]:
    """The files or objects that a name means, in the order of their names.

    Parameters
    ----------
    named : str
        A path or an address; with braces (`expand_braces`) or ``*`` it means several, a folder or prefix means what
        lies in it.
    suffixes : tuple of str
        Of what counts in a folder or prefix.

    Returns
    -------
    list of Stored

    Raises
    ------
    StoreError
        One is not there, or the store does not answer.
    """
    named = local_path(named)
    names = [named] if not is_address(named) and os.path.exists(named) else expand_braces(named)
    found: list[str] = []
    for name in names:
        found += _matching(name, suffixes) if is_address(name) else _local_matching(name, suffixes)
    return _look_at(list(dict.fromkeys(found)))


def _matching(address: str, suffixes: tuple[str, ...]) -> list[str]:
    system, path = open_filesystem(address)
    with store_errors(address):
        _refuse_unfinished(system, path, address)
        if "*" in path or ("?" in path and not address.startswith("http")):
            return sorted(system.unstrip_protocol(name) for name in system.glob(path))
        if path.endswith(suffixes):
            return [address]
        names = sorted(system.find(path)) if not address.startswith("http") else []
        return [system.unstrip_protocol(name) for name in names if name.endswith(suffixes)] or [address]


def _refuse_unfinished(system: Any, path: str, address: str) -> None:
    """Refuse what facekit itself has not finished writing (see `facekit.output.prefix`)."""
    folder = path.rpartition("/")[0] if "*" in path or path.endswith(_FILES) else path.rstrip("/")
    if not address.startswith("http") and system.exists(f"{folder}/{UNFINISHED}"):
        raise RecordError("facekit has not finished writing what lies here: give its command again first", address)


def _local_matching(path: str, suffixes: tuple[str, ...]) -> list[str]:
    from glob import glob

    if os.path.isdir(path):
        with os.scandir(path) as entries:
            return sorted(entry.path for entry in entries if entry.name.endswith(suffixes) and entry.is_file())
    return [path] if os.path.exists(path) or "*" not in path else sorted(glob(path))


def _look_at(addresses: list[str]) -> list[Stored]:
    """Sizes and stamps, several at a time: an answer takes tens of milliseconds, and there may be 1,385 objects."""
    with ThreadPoolExecutor(min(_AT_ONCE, max(len(addresses), 1))) as pool:
        return list(pool.map(_stored, addresses))


def _stored(address: str) -> Stored:
    if not is_address(address):
        return stored_file(address)
    system, path = open_filesystem(address)
    with store_errors(address):
        found = _described(system, path)
    if found.get("type") == "directory":
        raise StoreError("this is a folder without anything that can be read: name its files", address)
    size = found.get("size")
    if size is None:
        raise StoreError("the store does not say how large it is, so nobody would notice its end: download it", address)
    return Stored(address, int(size), _stamp(found))


def _described(system: Any, path: str) -> dict[str, Any]:
    """What the store says of an object now, not what it said before."""
    kinds = (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)
    if "hf" in kinds:
        # Without expand_info the hub's answer to refresh has no tag of the content.
        return dict(system.info(path, refresh=True, expand_info=True))
    if "s3" in kinds:
        return dict(system.info(path, refresh=True))
    system.invalidate_cache()
    return dict(system.info(path))


def _stamp(found: dict[str, Any]) -> str:
    lfs = found.get("lfs") or {}
    said = {**found, **(lfs if isinstance(lfs, dict) else vars(lfs))}
    known = next((f"{name} {said[name]}" for name in _STAMPS if said.get(name)), None)
    return known or next((f"{name} {said[name]}" for name in _TIMES if said.get(name)), "")
