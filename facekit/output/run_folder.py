"""A folder that a run works in for days: checkpoints, logs, rounds. Locked, marked by its kind, never replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facekit.errors import ConfigError, DestinationExists
from facekit.output.aside import replace_file
from facekit.output.inputs import Input, refuse_related
from facekit.output.lock import LOCK, is_free, release, take_lock
from facekit.output.places import real, refuse_below_file
from facekit.output.system import refuse_unwritable, staged_bytes, system_error

__all__ = ["MARK_FILE", "look_at_run_folder", "open_run_folder"]

MARK_FILE = ".facekit-run.json"


@contextmanager
def open_run_folder(path: str | os.PathLike[str], command: str, inputs: Iterable[Input] = ()) -> Iterator[Path]:
    """Hold a run's folder, making and marking it; the system releases it however the run ends.

    Parameters
    ----------
    path : path
    command : str
        The command whose folder it is: another one's is refused.
    inputs : iterable of Input
        Everything that was named to be read.

    Raises
    ------
    ConfigError
        The folder is an input, holds one or lies in one; or another run holds it.
    DestinationExists
        It is of another command, or something else lies in it.
    FacekitError
        The system refuses.
    """
    folder = real(path)
    refuse_related(folder, inputs)
    _refuse_foreign(folder, command)
    try:
        lock = take_lock(folder)
    except OSError as error:
        raise system_error(error, folder, kept=False) or error from error
    if lock is None:
        raise _busy(folder)
    try:
        replace_file(folder / MARK_FILE, json.dumps({"command": command}) + "\n")
        yield folder
    except Exception as error:
        # train says itself how it goes on: from its last checkpoint, where it has one.
        explained = system_error(
            error, folder, command != "train", staged_bytes(folder) if isinstance(error, OSError) else 0
        )
        if explained is None:
            raise
        raise explained from error
    finally:
        release(lock)


def look_at_run_folder(path: str | os.PathLike[str], command: str, inputs: Iterable[Input] = ()) -> Path:
    """Refuse what `open_run_folder` would refuse, and make nothing.

    Parameters
    ----------
    path, command, inputs
        As there.

    Returns
    -------
    Path
        The folder.
    """
    folder = real(path)
    refuse_related(folder, inputs)
    _refuse_foreign(folder, command)
    try:
        refuse_unwritable(folder)
    except OSError as error:
        raise system_error(error, folder, kept=False) or error from error
    if not is_free(folder):
        raise _busy(folder)
    return folder


def _busy(folder: Path) -> ConfigError:
    return ConfigError(f"another run works in {folder}; wait for it, or choose another destination")


def _refuse_foreign(folder: Path, command: str) -> None:
    refuse_below_file(folder)
    if folder.exists() and not folder.is_dir():
        raise DestinationExists(f"{folder} is a file, and a run needs a folder; choose another destination")
    if not folder.exists():
        return
    owner = _owner(folder)
    if owner is None and any(not _precedes_mark(name) for name in os.listdir(folder)):
        raise DestinationExists(f"{folder} exists already and is not of facekit {command}; choose another destination")
    if owner not in (None, command):
        raise DestinationExists(f"{folder} is of facekit {owner}, not {command}; choose another destination")


def _precedes_mark(name: str) -> bool:
    """Whether facekit itself leaves this in a folder that it was killed in before the mark was there."""
    return name == LOCK or name.startswith(f".{MARK_FILE}.")


def _owner(folder: Path) -> str | None:
    """The command whose mark a folder carries."""
    try:
        return str(json.loads((folder / MARK_FILE).read_bytes())["command"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
