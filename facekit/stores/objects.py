"""Objects below a prefix of a store: listed, read, put and removed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from facekit.errors import ConfigError
from facekit.stores.filesystem import UNFINISHED, open_filesystem, store_errors

__all__ = ["UNFINISHED", "list_objects", "put_bytes", "put_file", "read_object", "remove_objects"]

_READ_ONLY = ("http://", "https://")


def list_objects(prefix: str) -> dict[str, int]:
    """The objects below a prefix: their names behind it, and their sizes in bytes.

    Raises
    ------
    ConfigError
        Nothing can be written to such an address.
    StoreError
        The store does not answer.
    """
    if prefix.lower().startswith(_READ_ONLY):
        raise ConfigError(f"{prefix} can be read only: write to s3, hf or another store, or to a folder")
    system, path = open_filesystem(prefix)
    with store_errors(prefix):
        system.invalidate_cache()
        try:
            found = system.find(path, detail=True)
        except FileNotFoundError:
            return {}
    below = path.rstrip("/") + "/"
    return {name.removeprefix(below): int(said["size"]) for name, said in found.items() if name.startswith(below)}


def read_object(prefix: str, name: str) -> bytes:
    """The content of a small object.

    Raises
    ------
    StoreError
        There is none, or the store does not answer.
    """
    system, path = open_filesystem(prefix)
    with store_errors(f"{prefix}/{name}"):
        return bytes(system.cat_file(f"{path}/{name}"))


def put_bytes(prefix: str, name: str, content: bytes) -> None:
    """Write a small object.

    Raises
    ------
    StoreError
        The store refuses.
    """
    system, path = open_filesystem(prefix)
    with store_errors(f"{prefix}/{name}"):
        system.pipe_file(f"{path}/{name}", content)


def put_file(prefix: str, file: Path) -> None:
    """Write a file as an object of its name: it is there when it is whole, not before.

    Raises
    ------
    StoreError
        The store refuses.
    """
    system, path = open_filesystem(prefix)
    with store_errors(f"{prefix}/{file.name}"):
        system.put_file(str(file), f"{path}/{file.name}")


def remove_objects(prefix: str, names: Iterable[str]) -> None:
    """Remove objects.

    Raises
    ------
    StoreError
        The store refuses.
    """
    system, path = open_filesystem(prefix)
    for name in names:
        with store_errors(f"{prefix}/{name}"):
            system.rm_file(f"{path}/{name}")
