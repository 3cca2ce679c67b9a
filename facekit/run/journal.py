"""The journal that makes a job resumable: finished shard files beside the destination, under a hash of the settings.

DST.partial/
    lock              held while a run is alive; the system releases it however the run ends
    run.json          the settings and the input that the shards were made from
    shards-<hash>/    finished shard files, and files that are still being written (their names begin with a dot)
    pack/             the output while it is put together from the shards
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from facekit.errors import ConfigError
from facekit.run.destination import move_into_place
from facekit.run.shards import Shard

__all__ = ["Journal", "journal_folder", "settings_hash", "was_published"]


def settings_hash(settings: Mapping[str, Any]) -> str:
    """A hash of everything that decides the bytes of the output."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Journal:
    """The unfinished run beside ``destination``; holding one holds its lock.

    Parameters
    ----------
    destination : Path
        Where the output will appear.
    settings : mapping
        JSON-able: the configuration and what identifies the input. A journal made with others is refused.
    overwrite : bool
        Discard a journal made with other settings instead of refusing it.

    Raises
    ------
    ConfigError
        Another run is writing this destination, or the journal was made with other settings.
    """

    def __init__(self, destination: Path, settings: Mapping[str, Any], overwrite: bool = False) -> None:
        self.destination = destination
        self.folder = journal_folder(destination)
        self._lock = _take_lock(self.folder)
        self.shards = self.folder / f"shards-{settings_hash(settings)}"
        try:
            self._agree(_plain(settings), overwrite)
        except BaseException:
            os.close(self._lock)
            raise
        self.shards.mkdir(exist_ok=True)
        for unfinished in self.shards.glob(".*"):
            unfinished.unlink()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def path(self, shard: Shard) -> Path:
        """The file of a finished shard; while it does not exist, the shard is still to be done."""
        return self.shards / f"{shard.number:08d}"

    def finished(self) -> set[int]:
        """Numbers of the shards that are done."""
        return {int(path.name) for path in self.shards.iterdir() if path.name.isdigit()}

    def output(self) -> Path:
        """Where to put the output together; nothing is there."""
        for former in self.folder.glob("pack*"):
            shutil.rmtree(former)
        return self.folder / "pack"

    def publish(self) -> None:
        """Give the output its ``run.json``, move it into place and remove the journal."""
        shutil.copyfile(self.folder / "run.json", self.folder / "pack" / "run.json")
        move_into_place(self.folder / "pack", self.destination)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _agree(self, settings: dict[str, Any], overwrite: bool) -> None:
        path = self.folder / "run.json"
        before = json.loads(path.read_text()) if path.exists() else None
        if before == settings:
            return
        if before is not None and not overwrite and any(self.folder.glob("shards-*/[0-9]*")):
            raise ConfigError(_disagreement(self.folder, before, settings))
        _empty(self.folder)
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(settings, sort_keys=True, indent=2) + "\n")
        os.replace(aside, path)


def journal_folder(destination: Path) -> Path:
    """Where the journal of a destination lies."""
    return destination.with_name(destination.name + ".partial")


def was_published(destination: Path, settings: Mapping[str, Any]) -> bool:
    """Whether a run with these settings ended between moving its output into place and removing its journal.

    What is left of the journal is removed.
    """
    folder, record = journal_folder(destination), destination / "run.json"
    if not folder.exists() or not record.is_file() or json.loads(record.read_text()) != _plain(settings):
        return False
    shutil.rmtree(folder)
    return True


def _take_lock(folder: Path) -> int:
    """Lock ``folder/lock``, making the folder; a lock whose file was removed meanwhile is taken again."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise ConfigError(f"another run is writing {folder}; wait for it, or choose another destination") from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(folder / "lock")):
                return lock
        os.close(lock)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives them back: tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "lock":
            entry.unlink()


def _disagreement(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> str:
    old, new = _flat(before), _flat(now)
    names = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    changes = "; ".join(f"{name} was {old.get(name)!r}, is {new.get(name)!r}" for name in names)
    return (
        f"{folder} holds an unfinished run with other settings ({changes}). "
        "Run it again with its own settings to continue it, or pass --overwrite to discard it"
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value})
    return flat
