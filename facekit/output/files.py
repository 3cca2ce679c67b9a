"""Single files that a command writes: a .bin, a page, a sheet, an .onnx, an index. They too appear whole, by rename."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import facekit
from facekit.errors import ConfigError, DestinationExists
from facekit.output.aside import replace_file
from facekit.output.dry_run import NOTHING_MORE, Forecast, is_dry, stop_if_dry
from facekit.output.flush import flush_file, flush_folder
from facekit.output.inputs import Input, refuse_changed, refuse_related
from facekit.output.places import real, same_place
from facekit.output.record import RECORD, plain, read_record
from facekit.output.staging import (
    OUTPUT,
    READY,
    check_settings,
    clear,
    is_made_with,
    leave_staging,
    look_at_staging,
    open_staging,
    refuse_foreign,
    staging_folder,
)
from facekit.output.system import refuse_long_name, require_space, staged_bytes, system_error

__all__ = [
    "BINS",
    "HTML",
    "INDEX",
    "JSON",
    "ONNX",
    "PARQUET",
    "PNG",
    "SVG",
    "FileKind",
    "FilesOutput",
    "check_files",
    "is_moving",
    "open_files",
]


@dataclass(frozen=True)
class FileKind:
    """What a command writes under a name, and how such a file is known: only such files are replaced.

    Attributes
    ----------
    name : str
        For messages.
    signatures : tuple of bytes
        What it begins with; empty: any file is one.
    suffixes : tuple of str
        What its name must end in, lower case; empty: anything.
    """

    name: str
    signatures: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...] = ()

    def is_one(self, path: Path) -> bool:
        """Whether an existing file is of this kind, by its first bytes; an empty file is of any."""
        with open(path, "rb") as file:
            start = file.read(max((len(signature) for signature in self.signatures), default=0))
        return not self.signatures or not start or start.startswith(self.signatures)

    def check_name(self, path: str | os.PathLike[str]) -> None:
        """Refuse a name that promises something else: viewers go by it.

        Raises
        ------
        ConfigError
        """
        if self.suffixes and not os.fspath(path).lower().endswith(self.suffixes):
            raise ConfigError(
                f"{os.fspath(path)} cannot be the name of {self.name}: choose one that ends in "
                f"{' or '.join(self.suffixes)}"
            )


PNG = FileKind("a PNG picture", (b"\x89PNG\r\n\x1a\n",), (".png",))
BINS = FileKind("a verification .bin", (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))  # pickle protocols
INDEX = FileKind("an index")
PARQUET = FileKind("a parquet table", (b"PAR1",))
ONNX = FileKind("an ONNX file", (b"\x08",), (".onnx",))  # protobuf field 1, ir_version
JSON = FileKind("a JSON file", (b"{", b"["))
HTML = FileKind("a page", (b"<!doctype html", b"<!DOCTYPE html"))
SVG = FileKind("an SVG picture", (b"<svg", b"<?xml"))


def check_files(targets: Mapping[str, FileKind], inputs: Iterable[Input] = (), overwrite: bool = False) -> None:
    """Refuse destinations before anything is read; `open_files` looks again.

    Raises
    ------
    ConfigError, DestinationExists
        As `open_files`.
    """
    for path, kind in targets.items():
        target = _target(path, kind)
        refuse_related(target, inputs)
        refuse_foreign(staging_folder(target))
        if not os.path.lexists(staging_folder(target)):
            _look(target, kind, overwrite)


def open_files(
    targets: Mapping[str, FileKind],
    command: str,
    inputs: Iterable[Input] = (),
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    needed: int = 0,
    in_place: bool = False,
    forecast: Forecast = NOTHING_MORE,
) -> FilesOutput:
    """Open the files that a command is to write; they appear one after another, each whole, when the block ends.

    Parameters
    ----------
    targets : mapping from path to FileKind
        The last one to appear comes last: the one that the user named.
    command : str
    inputs : iterable of Input
        Everything that was named to be read.
    settings : mapping
        JSON-able: what decides the bytes.
    overwrite : bool
        Replace files of the same kind that are there and belong to no folder that facekit wrote.
    needed : int
        Bytes that will be written at the most.
    in_place : bool
        The files belong to the inputs, as an index to its pack: they may lie there, and may be part of what facekit
        wrote. Only the inputs' own files are never replaced.
    forecast : Forecast
        What a dry run tells besides.

    Returns
    -------
    FilesOutput
        A context manager; its ``paths`` are to be written. Where ``published`` is true everything is done already.

    Raises
    ------
    ConfigError
        A file is an input, or lies in one; another run writes it; or its name is that of another kind.
    DestinationExists
        A file exists and may not be replaced.
    FacekitError
        The system refuses, or the disk cannot hold the output.
    """
    kinds = {_target(path, kind): kind for path, kind in targets.items()}
    return FilesOutput(kinds, command, tuple(inputs), dict(settings or {}), overwrite, needed, in_place, forecast)


def is_moving(path: str | os.PathLike[str]) -> bool:
    """Whether a run was killed between the names of the files that it had finished; the same command goes on with it.

    Parameters
    ----------
    path : path
        The last of them.
    """
    return (staging_folder(real(path)) / READY).exists()


class FilesOutput:
    """Files while they are made; see `open_files`.

    Attributes
    ----------
    paths : tuple of Path
        Where to write, in the order of the targets.
    published : bool
        An earlier run with the same settings was killed after it had finished them: they are in place now.
    """

    def __init__(
        self,
        kinds: dict[Path, FileKind],
        command: str,
        inputs: tuple[Input, ...],
        settings: dict[str, Any],
        overwrite: bool,
        needed: int,
        in_place: bool,
        forecast: Forecast = NOTHING_MORE,
    ) -> None:
        self._kinds, self._inputs, self._overwrite, self._in_place = kinds, inputs, overwrite, in_place
        # Beside the file that was named, whatever else is written with it: two runs on one name exclude each other.
        self.staging = staging_folder(list(kinds)[-1])
        stamps = [one.stamp for one in inputs]
        names = [str(target) for target in kinds]
        made_with = {"facekit": facekit.__version__, "command": command, "inputs": stamps, "files": names, **settings}
        self._settings = plain(made_with)
        for target in kinds:
            refuse_related(target, () if in_place else inputs)
        if is_dry():
            self._tell(command, needed, forecast)
        try:
            self._lock: int | None = open_staging(self.staging)
        except OSError as error:
            raise self._explained(error) from error
        try:
            self._begin(needed)
        except BaseException as error:
            self._end()
            raise (self._explained(error) if isinstance(error, Exception) else error) from error

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.staging / OUTPUT / f"{number}{target.suffix}" for number, target in enumerate(self._kinds))

    def _tell(self, command: str, needed: int, forecast: Forecast) -> None:
        """End here with the plan, where nothing stands in the way."""
        try:
            begun = look_at_staging(self.staging)
        except OSError as error:
            raise self._explained(error) from error
        for target, kind in self._kinds.items():
            if not begun:
                _look(target, kind, self._overwrite, self._in_place)
        *beside, named = self._kinds
        writes = forecast.writes or tuple(str(target) for target in beside)
        stop_if_dry(command, named, self._inputs, needed, begun, replace(forecast, writes=writes))

    def _begin(self, needed: int) -> None:
        self.published = (self.staging / READY).exists() and is_made_with(self.staging, self._settings)
        if self.published:
            self._move()
            return
        for target, kind in self._kinds.items():
            _look(target, kind, self._overwrite, self._in_place)
        clear(self.staging)
        check_settings(self.staging, self._settings, overwrite=True)
        require_space(next(iter(self._kinds)), needed)
        (self.staging / OUTPUT).mkdir()

    def _publish(self) -> None:
        refuse_changed(self._inputs)
        for path in self.paths:
            flush_file(path)
        for target, kind in self._kinds.items():
            _look(target, kind, self._overwrite, self._in_place)
        replace_file(self.staging / READY, "")
        self._move()
        self.published = True

    def _move(self) -> None:
        for path, target in zip(self.paths, self._kinds, strict=True):
            if path.exists():
                _replace(path, target) if self._overwrite else _move_new(path, target)

    def __enter__(self) -> FilesOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and not self.published:
                self._publish()
        except BaseException as late:
            error = late
        staged = staged_bytes(self.staging) if isinstance(error, Exception) else 0
        self._end()
        if isinstance(error, Exception):
            explained = self._explained(error, staged)
            if explained is not error:
                raise explained from error
        if kind is None and error is not None:  # an interruption while files get their names is one too
            raise error

    def _end(self) -> None:
        """Clear up, and let go of the lock."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        leave_staging(self.staging, lock, keep=False)

    def _explained(self, error: Exception, staged: int = 0) -> Exception:
        return system_error(error, self.staging, kept=False, staged=staged) or error


def _target(path: str | os.PathLike[str], kind: FileKind) -> Path:
    kind.check_name(path)
    target = real(path)
    refuse_long_name(target)
    return target


def _look(target: Path, kind: FileKind, overwrite: bool, in_place: bool = False) -> None:
    """Refuse what may not be replaced at the destination of a file."""
    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise DestinationExists(f"{target} is no file, and {kind.name} is to be written; choose another destination")
    if not overwrite:
        raise DestinationExists(f"{target} exists already; choose another name or pass --overwrite")
    if not kind.is_one(target):
        raise DestinationExists(
            f"{target} is not {kind.name}, and --overwrite replaces nothing else; move it away, or choose another name"
        )
    record = None if in_place else read_record(target.parent)
    if record is not None and any(file.path == target.name for file in record.files):
        raise DestinationExists(
            f"{target} belongs to what facekit {record.command} wrote in its folder (see {RECORD}); choose another name"
        )


def _move_new(path: Path, target: Path) -> None:
    """Give a finished file its name; the system refuses where something has it."""
    try:
        os.link(path, target)
    except FileExistsError as error:
        if not same_place(path, target):  # else a run was killed between the two names
            raise DestinationExists(
                f"{target} appeared while it was made, and is left alone: move it away and give the command again"
            ) from error
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise
        os.rename(path, target)
    path.unlink(missing_ok=True)
    flush_folder(target.parent)


def _replace(path: Path, target: Path) -> None:
    os.replace(path, target)
    flush_folder(target.parent)
