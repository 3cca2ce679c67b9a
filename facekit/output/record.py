"""``run.json``: what a folder was made by, and the files that facekit put there; only those are ever replaced.

    {"facekit": version, "command": name, ..., "files": [[path, bytes, hash or null], ...], "listed_in": name or null,
     "lineage": [{"facekit": version, "command": name, ...}, ...]}

The settings of the run stand beside these names, and ``lineage`` has those of the runs that made what was read, the
first one first. Paths are relative to the folder. A command that writes as many files
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

__all__ = [
    "RECORD",
    "FolderRecord",
    "Listed",
    "changed_since",
    "lineage_of",
    "note_replaced",
    "plain",
    "read_record",
    "write_record",
]

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
    lineage : tuple of dict
        The settings of the runs that made what was read, each once, the first one first.
    """

    settings: dict[str, Any]
    files: tuple[Listed, ...] = ()
    listed_in: str | None = None
    lineage: tuple[dict[str, Any], ...] = ()
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
        lineage = tuple(dict(run) for run in content.pop("lineage", ()))  # absent from records of before
        if not isinstance(content["facekit"], str) or any(_leaves(file.path) for file in files):
            return None
        return FolderRecord(content, files, listed_in, lineage, folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def lineage_of(paths: Iterable[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """The settings of the runs that made what was read, as far as ``run.json`` beside or above it says so.

    Parameters
    ----------
    paths : iterable of path
        Folders that facekit wrote, and files in some; of anything else nothing is known.

    Returns
    -------
    list of dict
        Each run once, the first one first.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in map(Path, paths):
        record, _ = _record_of(path)
        for run in () if record is None else (*record.lineage, record.settings):
            found.setdefault(json.dumps(run, sort_keys=True), run)
    return list(found.values())


def changed_since(path: str | os.PathLike[str]) -> list[str]:
    """Files that are not what facekit wrote: where there are some, the lineage is that of other files.

    Parameters
    ----------
    path : path
        A file that facekit wrote; those of its folder are looked at.

    Returns
    -------
    list of str
        Their names, as far as sizes tell, and of small files hashes; nothing where there is no record.
    """
    record, inside = _record_of(Path(path))
    if record is None:
        return []
    near = [file for file in record.files if os.path.dirname(file.path) == os.path.dirname(inside)]
    return [os.path.basename(file.path) for file in near if not file.is_unchanged(record.folder)]


def _record_of(path: Path) -> tuple[FolderRecord | None, str]:
    """The record of the run that wrote a folder or a file, wherever above it lies, and the path relative to it."""
    if path.is_dir() and (record := read_record(path)) is not None:
        return record, ""
    whole = Path(os.path.abspath(path))  # links are not followed: a pack may be one
    for folder in whole.parents:
        inside = whole.relative_to(folder).as_posix()
        record = read_record(folder)
        if record is not None and any(f"{file.path}/".startswith(f"{inside}/") for file in record.files):
            return record, inside
    return None, ""


def write_record(
    folder: Path,
    settings: Mapping[str, Any],
    listed_in: str | None = None,
    lineage: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Write ``run.json`` of a finished folder: its settings and every file in it.

    Parameters
    ----------
    folder : Path
    settings : mapping
        JSON-able, with the keys ``facekit`` and ``command``.
    listed_in : str, optional
        A list in the folder; only files at the top of the folder are named in the record itself then.
    lineage : iterable of mapping
        The settings of the runs that made what was read.
    """
    found = _top_files(folder) if listed_in is not None else _files(folder)
    files = [[name, (folder / name).stat().st_size, _digest(folder / name)] for name in found if name != RECORD]
    content = {**plain(settings), "files": files, "listed_in": listed_in, "lineage": [plain(run) for run in lineage]}
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
    kept = {"listed_in": record.listed_in, "lineage": record.lineage}
    content = {**record.settings, "files": [files[name] for name in sorted(files)], **kept}
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
