"""A folder that a command writes: locked, refused, staged, resumed, compared and published here and nowhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import facekit
from facekit.errors import ConfigError, DestinationExists
from facekit.output.aside import replace_file
from facekit.output.dry_run import NOTHING_MORE, Forecast, is_dry, stop_if_dry
from facekit.output.flush import flush_files, flush_folder
from facekit.output.inputs import Input, refuse_changed, refuse_related
from facekit.output.places import real
from facekit.output.record import FolderRecord, lineage_of, plain, read_record, write_record
from facekit.output.replace import look, move_new, remove_former, swap
from facekit.output.staging import (
    FORMER,
    OUTPUT,
    READY,
    SCRATCH,
    SHARDS,
    check_settings,
    join_settings,
    leave_staging,
    look_at_staging,
    open_staging,
    refuse_foreign,
    refuse_other_settings,
    settings_hash,
    staging_folder,
)
from facekit.output.system import refuse_long_name, require_space, staged_bytes, system_error

__all__ = ["FolderOutput", "check_folder", "is_begun", "open_folder"]


def check_folder(path: str | os.PathLike[str], inputs: Iterable[Input] = (), overwrite: bool = False) -> None:
    """Refuse a destination before anything is read; `open_folder` looks again.

    Raises
    ------
    ConfigError, DestinationExists
        As `open_folder`.
    """
    target = _target(path)
    refuse_related(target, inputs)
    refuse_foreign(staging_folder(target))
    if not _is_unfinished(target):
        look(target, overwrite)


def open_folder(
    path: str | os.PathLike[str],
    command: str,
    inputs: Iterable[Input] = (),
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    needed: int = 0,
    shared: bool = False,
    pictures: int | None = None,
    steps: Mapping[str, int] | None = None,
    forecast: Forecast | Callable[[set[int]], Forecast] | None = None,
) -> FolderOutput:
    """Open the folder that a command is to write.

    Parameters
    ----------
    path : path
        Destination. A link is followed: what it leads to is written.
    command : str
        For the record of the folder.
    inputs : iterable of Input
        Everything that was named to be read.
    settings : mapping
        JSON-able: everything that decides the bytes. An unfinished run with others is refused.
    overwrite : bool
        Replace what facekit wrote there; discard an unfinished run with other settings.
    needed : int
        Bytes that will be written at the most.
    shared : bool
        This run does a part of the shards, beside other parts, and publishes nothing.
    pictures, steps, forecast
        What a dry run tells besides, the two alone or all of it: see `facekit.output.dry_run.Plan`. A function is given
        the numbers of the shards that are done, and asked only where a dry run gets so far.

    Returns
    -------
    FolderOutput
        A context manager that holds the lock. Where ``published`` is true everything is done already.

    Raises
    ------
    ConfigError
        The destination is an input, holds one or lies in one; another run writes it; or an unfinished run had other
        settings.
    DestinationExists
        Something stands there, or in the place of the staging folder, that may not be replaced.
    FacekitError
        The system refuses, or the disk cannot hold the output.
    """
    known = Forecast(pictures, steps or {}) if forecast is None else forecast
    about = (dict(settings or {}), overwrite, needed, shared, known)
    return FolderOutput(_target(path), command, tuple(inputs), *about)


def is_begun(path: str | os.PathLike[str]) -> bool:
    """Whether an unfinished run, or a part of one, has left something for a destination."""
    return os.path.lexists(staging_folder(_target(path)))


class FolderOutput:
    """An output folder while it is made; see `open_folder`.

    Attributes
    ----------
    target : Path
        Where it will appear.
    staging : Path
        Where it is made.
    published : bool
        An earlier run with the same settings published it and was killed before it had cleared up.
    """

    def __init__(
        self,
        target: Path,
        command: str,
        inputs: tuple[Input, ...],
        settings: dict[str, Any],
        overwrite: bool,
        needed: int,
        shared: bool = False,
        forecast: Forecast | Callable[[set[int]], Forecast] = NOTHING_MORE,
    ) -> None:
        self._shared = shared
        self.target, self.staging = target, staging_folder(target)
        self._inputs, self._overwrite = inputs, overwrite
        self.settings = plain({"facekit": facekit.__version__, "command": command, **settings})
        refuse_related(target, inputs)
        unfinished = os.path.lexists(self.staging)
        if is_dry():
            self._tell(command, needed, forecast)
        try:
            self._lock: int | None = open_staging(self.staging, shared)
        except OSError as error:
            raise self._explained(error) from error
        try:
            self._join(needed) if shared else self._begin(unfinished, needed)
        except BaseException as error:
            self._end(error)
            self._raise_explained(error)
            raise

    def _tell(
        self, command: str, needed: int, forecast: Forecast | Callable[[set[int]], Forecast]
    ) -> None:
        """End here with the plan, where nothing stands in the way."""
        try:
            unfinished = look_at_staging(self.staging, self._shared)
        except OSError as error:
            raise self._explained(error) from error
        if unfinished and not self._shared:
            refuse_other_settings(self.staging, self.settings, self._overwrite)
        if not unfinished:
            look(self.target, self._overwrite)
        told = forecast if isinstance(forecast, Forecast) else forecast(self.finished() if unfinished else set())
        stop_if_dry(command, self.target, self._inputs, needed, unfinished, told)

    def _begin(self, unfinished: bool, needed: int) -> None:
        _roll_back(self.staging, self.target)
        self.published = unfinished and self._is_published()
        self._before: FolderRecord | None = None
        if not self.published:
            self._before = look(self.target, self._overwrite)
            check_settings(self.staging, self.settings, self._overwrite)
            require_space(self.target, needed if not self.finished() else 0)
            self.shards.mkdir(exist_ok=True)
            for file in self.shards.glob(".*"):
                file.unlink()

    def _join(self, needed: int) -> None:
        """Begin a part: what others are writing here is left alone."""
        if os.path.lexists(self.staging / FORMER):
            raise ConfigError(
                f"a run was interrupted while it published {self.target}: give the command without --part, which goes "
                "on from there"
            )
        self.published, self._before = False, None
        look(self.target, self._overwrite)
        join_settings(self.staging, self.settings)
        require_space(self.target, needed if not self.finished() else 0)
        self.shards.mkdir(exist_ok=True)

    @property
    def shards(self) -> Path:
        """The folder of the finished shards."""
        return self.staging / f"{SHARDS}{settings_hash(self.settings)}"

    def shard(self, number: int) -> Path:
        """The file of a shard; while it does not exist, the shard is still to be done."""
        return self.shards / f"{number:08d}"

    def finished(self) -> set[int]:
        """Numbers of the shards that are done."""
        names = os.listdir(self.shards) if self.shards.is_dir() else ()
        return {int(name) for name in names if name.isdigit()}

    def discard_shards(self) -> None:
        """Forget what is finished, so that the next run may have other settings."""
        shutil.rmtree(self.shards)

    def scratch(self, name: str) -> Path:
        """A path for something that is written on the way and not published."""
        (self.staging / SCRATCH).mkdir(exist_ok=True)
        return self.staging / SCRATCH / name

    def new_folder(self) -> Path:
        """Make the empty folder in which the output is put together; a part puts nothing together, and makes none."""
        folder = self.staging / OUTPUT
        if self._shared:
            return folder
        (self.staging / READY).unlink(missing_ok=True)
        for former in (folder, self.staging / SCRATCH):
            if former.exists():
                shutil.rmtree(former)
        folder.mkdir()
        return folder

    def kept_folder(self) -> Path:
        """The folder in which the output is put together, with what is in it: shards that write into it go on there."""
        folder = self.staging / OUTPUT
        (self.staging / READY).unlink(missing_ok=True)
        folder.mkdir(exist_ok=True)
        return folder

    def publish(self, listed_in: str | None = None) -> None:
        """Give the output its record, compare sources and destination once more, and move it into place.

        Parameters
        ----------
        listed_in : str, optional
            A list in the output that names its files, where there are as many as pictures.

        Raises
        ------
        FacekitError
            A source changed.
        DestinationExists
            Something appeared at the destination, or changed there.
        """
        if self.published:  # by the run before; what a job made again, for its summary, is the same
            return
        output = self.staging / OUTPUT
        refuse_changed(self._inputs)
        write_record(output, self.settings, listed_in, lineage_of(one.path for one in self._inputs))
        _flush(output)
        replace_file(self.staging / READY, "")
        if self._before is None:
            move_new(output, self.target)
        else:
            if look(self.target, overwrite=True) != self._before:
                raise DestinationExists(f"{self.target} changed while its successor was made; give the command again")
            swap(output, self.target, self.staging / FORMER, self._before)
        self.published = True

    def _is_published(self) -> bool:
        """Whether a run with these settings was killed between publishing and the end of its clearing up."""
        record = read_record(self.target)
        if record is None or record.settings != self.settings or (self.staging / OUTPUT).exists():
            return False
        return not self._overwrite or (self.staging / READY).exists()

    def __enter__(self) -> FolderOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        staged = staged_bytes(self.staging) if isinstance(error, OSError) else 0
        self._end(error)
        self._raise_explained(error, staged)

    def _raise_explained(self, error: BaseException | None, staged: int = 0) -> None:
        """Raise what an error is in words, where the system refused; nothing where it is something else."""
        if isinstance(error, Exception):
            explained = self._explained(error, staged)
            if explained is not error:
                raise explained from error

    def _end(self, error: BaseException | None) -> None:
        """Clear up what nobody can use again, and let go of the lock."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        try:
            keep = self._shared or (error is not None and self._is_worth_keeping())
        except OSError:
            keep = True
        leave_staging(self.staging, lock, keep)

    def _is_worth_keeping(self) -> bool:
        # Shards of whatever settings: a run that was refused for them has not made them.
        shards = any(self.staging.glob(f"{SHARDS}*/[0-9]*"))
        return shards or (self.staging / FORMER).exists() or (self.staging / READY).exists()

    def _explained(self, error: Exception, staged: int = 0) -> Exception:
        kept = self.staging.exists() and self._is_worth_keeping()
        return system_error(error, self.staging, kept, staged) or error


def _target(path: str | os.PathLike[str]) -> Path:
    target = real(path)
    if not target.name:
        raise ConfigError(f"{os.fspath(path)} cannot be written as a whole; choose a folder in it")
    refuse_long_name(target)
    return target


def _is_unfinished(target: Path) -> bool:
    return os.path.lexists(staging_folder(target))


def _roll_back(staging: Path, target: Path) -> None:
    """Mend what a run left that was killed while two folders changed places.

    Raises
    ------
    DestinationExists
        Somebody put something at the destination meanwhile.
    """
    former = staging / FORMER
    if not os.path.lexists(former):
        return
    if not os.path.lexists(target):
        os.rename(former, target)
    elif not (staging / OUTPUT).exists():
        remove_former(former, target)
    else:
        raise DestinationExists(
            f"{target} was written while a run that replaces it was interrupted; what stood there before lies in "
            f"{former}: move one of them away"
        )


def _flush(folder: Path) -> None:
    """Force files and names to the disk before the folder gets its name."""
    flush_files(os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    flush_folder(folder)
