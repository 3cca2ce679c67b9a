"""``run.json``: what a folder was made by, and the files that facekit put there; only those are ever replaced.

    {"facekit": version, "command": name, ..., "files": [[path, bytes, hash or null], ...], "listed_in": name or null}

The settings of the run stand beside these names. Paths are relative to the folder. A command that writes as many files
as there are pictures names the list that has them (``key <tab> label <tab> path`` a line) instead.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from facekit.output.aside import replace_file

__all__ = ["RECORD", "FolderRecord", "Listed", "note_replaced", "plain", "read_record", "write_record"]

RECORD = "run.json"
HASHED_BYTES = 1 << 20
"""Files up to this size are hashed: those that a person may edit. Of larger ones the size is compared."""


class Listed(NamedTuple):
    """A file that facekit wrote."""

    path: str
    size: int | None
    digest: str | None

    def is_unchanged(self, folder: Path) -> bool:
        """Whether what lies there is still what was written, as far as it is known."""
        path = folder / self.path
        if path.is_symlink() or not path.is_file():
            return False
        if self.size is not None and path.stat().st_size != self.size:
            return False
        return self.digest is None or _digest(path) == self.digest


@dataclass(frozen=True)
class FolderRecord:
    """What ``run.json`` of a folder says.

    Attributes
    ----------
    settings : dict
        Everything that decided the bytes.
    files : tuple of Listed
    listed_in : str or None
        A list in the folder that names further files.
    """

    settings: dict[str, Any]
    files: tuple[Listed, ...] = ()
    listed_in: str | None = None
    folder: Path = field(default=Path(), compare=False)

    @property
    def command(self) -> str:
        """The command that wrote the folder."""
        return str(self.settings.get("command", "?"))

    def all_files(self) -> Iterator[Listed]:
        """Every file that facekit wrote here, the record itself included."""
        yield from self.files
        yield Listed(RECORD, None, None)
        if self.listed_in is not None:
            with open(self.folder / self.listed_in, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
                for line in lines:
                    yield Listed(line.rstrip("\n").split("\t", 2)[2], None, None)


def read_record(folder: Path) -> FolderRecord | None:
    """The record of a folder; None where there is none that facekit wrote."""
    try:
        content = json.loads((folder / RECORD).read_bytes())
        files = tuple(Listed(str(path), size, digest) for path, size, digest in content.pop("files"))
        listed_in = content.pop("listed_in")
        if not isinstance(content["facekit"], str) or any(_leaves(file.path) for file in files):
            return None
        return FolderRecord(content, files, listed_in, folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def write_record(folder: Path, settings: Mapping[str, Any], listed_in: str | None = None) -> None:
    """Write ``run.json`` of a finished folder: its settings and every file in it.

    Parameters
    ----------
    folder : Path
    settings : mapping
        JSON-able, with the keys ``facekit`` and ``command``.
    listed_in : str, optional
        A list in the folder; only files at the top of the folder are named in the record itself then.
    """
    found = _top_files(folder) if listed_in is not None else _files(folder)
    files = [[name, (folder / name).stat().st_size, _digest(folder / name)] for name in found if name != RECORD]
    content = {**plain(settings), "files": files, "listed_in": listed_in}
    (folder / RECORD).write_text(json.dumps(content, sort_keys=True, indent=2) + "\n", "utf-8")


def note_replaced(folder: Path, names: Iterable[str]) -> None:
    """Say in the record of a folder that facekit itself wrote some of its files anew; nothing where it has no record.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        Files at its top; those that are not there are taken out.
    """
    record = read_record(folder)
    if record is None:
        return
    anew = set(names)
    files = {file.path: [file.path, file.size, file.digest] for file in record.files if file.path not in anew}
    for name in anew:
        if (folder / name).is_file():
            files[name] = [name, (folder / name).stat().st_size, _digest(folder / name)]
    content = {**record.settings, "files": [files[name] for name in sorted(files)], "listed_in": record.listed_in}
    replace_file(folder / RECORD, json.dumps(content, sort_keys=True, indent=2) + "\n")


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives them back: tuples are lists."""
    found: dict[str, Any] = json.loads(json.dumps(settings))
    return found


def _digest(path: Path) -> str | None:
    if path.stat().st_size > HASHED_BYTES:
        return None
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _top_files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))


def _files(folder: Path) -> list[str]:
    found = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(os.path.relpath(path, folder) for path in found)


def _leaves(path: str) -> bool:
    """Whether a path leads out of its folder: a record that says so was not written here."""
    return os.path.isabs(path) or ".." in Path(path).parts
