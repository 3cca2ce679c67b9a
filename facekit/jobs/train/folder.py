"""The folder of a training run: held by one run at a time, and of one pack and one set of settings."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facekit.errors import ConfigError, DestinationExists
from facekit.run.user_files import read_json

__all__ = ["CONFIG", "LOCK", "check_resume", "has_checkpoint", "lock_run"]

CONFIG, LOCK = "config.json", "lock"
_OPEN: set[int] = set()


@contextmanager
def lock_run(out: Path) -> Iterator[None]:
    """Hold a run's folder, making it; the system releases it however the run ends.

    Raises
    ------
    ConfigError
        Another run holds it, or it cannot be made.
    DestinationExists
        Something else lies in it.
    """
    _refuse_foreign(out)
    lock = _lock(out)
    _OPEN.add(lock)
    try:
        yield
    finally:
        _OPEN.discard(lock)
        os.close(lock)


def check_resume(out: Path, record: Mapping[str, Any], resume: bool) -> None:
    """Refuse a folder that has checkpoints without ``resume``, or of other settings; else write its record.

    A run that has no checkpoint yet has nothing to lose.

    Raises
    ------
    ConfigError, DestinationExists
    """
    path, started = out / CONFIG, has_checkpoint(out)
    if started and not resume:
        raise DestinationExists(f"{out} exists already; --resume goes on with it, or choose another destination")
    changed = _changed(_read(path), record) if started else []
    if changed:
        raise ConfigError(f"{out} was started with other settings: {', '.join(changed)}; choose another destination")
    aside = path.with_name(f".{CONFIG}.{os.getpid()}")
    aside.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    os.replace(aside, path)


def has_checkpoint(out: str | Path) -> bool:
    """Whether a run in a folder has something to go on from."""
    return any((Path(out) / "checkpoints").glob("[0-9]*"))


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DestinationExists(f"{out} is a file, and a run needs a folder; choose another destination")
    if (out / CONFIG).is_file():
        _read(out / CONFIG)
    elif out.exists() and any(entry.name != LOCK for entry in out.iterdir()):
        raise DestinationExists(f"{out} exists already and is not of facekit train; choose another destination")


def _lock(out: Path) -> int:
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}; choose another destination") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigError(f"another run is training in {out}; wait for it, or choose another destination") from None
    return lock


def _close_inherited_locks() -> None:
    """Close the copies that a fork made: a loader's process that outlives a killed run would hold its folder."""
    while _OPEN:
        with contextlib.suppress(OSError):
            os.close(_OPEN.pop())


os.register_at_fork(after_in_child=_close_inherited_locks)


def _read(path: Path) -> dict[str, Any]:
    before = read_json(path, "restore it, or choose another destination")
    if not isinstance(before, dict) or not isinstance(before.get("settings"), dict):
        raise ConfigError(f"{path} is no record of facekit train; restore it, or choose another destination")
    return before


def _changed(before: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """What differs, except for the length of the run where the rate does not follow from it."""
    aside = ("settings", "facekit", "init")
    earlier = {"pack", "image_size"} - set(before)  # of a run from before they were recorded
    names = [name for name in record if before.get(name) != record[name] and name not in {*aside, *earlier}]
    old, new = before["settings"], record["settings"]
    # Other schedules are stretched over the epochs: with more of them the rate would jump.
    length = {"max_steps", "epochs"} if new.get("schedule") == "step" else {"max_steps"}
    differ = [name for name in new if old.get(name) != new[name] and name not in length]
    return names + [f"{name} ({old.get(name)} before, now {new[name]})" for name in differ]
