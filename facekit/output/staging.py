"""The folder beside a destination in which its output is made: ``DST.partial``, facekit's own, marked and locked.

    DST.partial/
        lock              held while a run is alive; the parts of a job share it
        journal.json      facekit's mark, and the settings that everything here was made with
        shards-<hash>/    finished shards, and files that are still being written (their names begin with a dot)
        scratch/          what is written on the way and not published
        output/           the output while it is put together
        ready             the output is whole
        former/           what stood at the destination, while the output takes its place

A folder of that name without the mark is somebody else's: it is refused by name and never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from facekit.errors import ConfigError, DestinationExists
from facekit.output.aside import replace_file
from facekit.output.flush import flush_folder
from facekit.output.lock import LOCK, is_free, is_shared, release, take_lock
from facekit.output.places import is_empty, refuse_below_file
from facekit.output.record import plain
from facekit.output.system import refuse_unwritable

__all__ = [
    "FORMER",
    "OUTPUT",
    "READY",
    "SCRATCH",
    "SHARDS",
    "check_settings",
    "clear",
    "is_made_with",
    "join_settings",
    "leave_staging",
    "look_at_staging",
    "open_staging",
    "refuse_foreign",
    "refuse_other_settings",
    "settings_hash",
    "staging_folder",
]

JOURNAL, SHARDS, SCRATCH, OUTPUT, READY, FORMER = "journal.json", "shards-", "scratch", "output", "ready", "former"
MARK = "facekit unfinished output"


def staging_folder(target: Path) -> Path:
    """Where the output of a destination is made."""
    return target.with_name(target.name + ".partial")


def settings_hash(settings: Mapping[str, Any]) -> str:
    """A hash of everything that decides the bytes of the output."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def refuse_foreign(folder: Path) -> None:
    """Refuse what stands in the place of the staging folder and is not facekit's.

    Raises
    ------
    DestinationExists
        It is a link, a file, or a folder without the mark.
    """
    refuse_below_file(folder)
    if not os.path.lexists(folder):
        return
    names = set() if folder.is_symlink() or not folder.is_dir() else set(os.listdir(folder))
    ours = bool(names) and (_mark(folder) is not None or all(_precedes_mark(name) for name in names))
    if not ours and (names or folder.is_symlink() or not folder.is_dir()):
        raise DestinationExists(
            f"{folder} is in the way and not of facekit, which makes its output there: move it away, "
            "or choose another destination"
        )
    strange = sorted(name for name in names if not _is_known(name))
    if strange:
        raise DestinationExists(
            f"{folder} holds {strange[0]}, which is not of facekit: move it away, or choose another destination"
        )


def open_staging(folder: Path, shared: bool = False) -> int:
    """Make and lock the staging folder.

    Parameters
    ----------
    folder : Path
    shared : bool
        Other parts of the same job may be at work in it.

    Returns
    -------
    int
        The descriptor of the lock.

    Raises
    ------
    DestinationExists
        Something else stands in its place.
    ConfigError
        Another run holds it, or the file system takes no new folders.
    """
    refuse_foreign(folder)
    lock = take_lock(folder, shared)
    if lock is None:
        raise _busy(folder)
    return lock


def _busy(folder: Path) -> ConfigError:
    if is_shared(folder):
        return ConfigError(f"parts of a job are writing {folder}; wait for them, or choose another destination")
    return ConfigError(f"another run is writing {folder}; wait for it, or choose another destination")


def look_at_staging(folder: Path, shared: bool = False) -> bool:
    """Refuse what `open_staging` would refuse, and make nothing.

    Returns
    -------
    bool
        Whether an unfinished run lies there.

    Raises
    ------
    DestinationExists, ConfigError, OSError
    """
    refuse_foreign(folder)
    if not is_free(folder, shared):
        raise _busy(folder)
    refuse_unwritable(folder)
    return os.path.lexists(folder)


def check_settings(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Go on with what was made with the same settings; with others it is refused, or discarded where ``overwrite``.

    Where nothing is finished there is nothing to lose, and the settings may be others.

    Raises
    ------
    ConfigError
        Finished shards were made with other settings.
    """
    refuse_other_settings(folder, settings, overwrite)
    wanted = plain(settings)
    if _mark(folder) != wanted:
        clear(folder)
        _write_mark(folder, wanted)


def refuse_other_settings(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """What `check_settings` refuses, and no more.

    Raises
    ------
    ConfigError
    """
    before, wanted = _mark(folder), plain(settings)
    if before not in (None, wanted) and not overwrite and any(folder.glob(f"{SHARDS}*/[0-9]*")):
        raise ConfigError(
            f"{_disagreement(folder, before or {}, wanted)}. "
            "Run it again with its own settings to continue it, or pass --overwrite to discard it"
        )


def join_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Go on with what was made with the same settings, beside others that do: nothing is ever discarded.

    Parts that begin at the same time write the same mark, each as a whole.

    Raises
    ------
    ConfigError
        What lies there was begun with other settings.
    """
    before, wanted = _mark(folder), plain(settings)
    if before is None:
        _write_mark(folder, wanted)
        before = _mark(folder)
    if before != wanted:
        raise ConfigError(
            f"{_disagreement(folder, before or {}, wanted)}. Give every part the same settings, or discard what was "
            "begun: give the command once without --part, with --overwrite"
        )


def is_made_with(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether what lies in a staging folder was made with these settings."""
    return _mark(folder) == plain(settings)


def clear(folder: Path, keep_lock: bool = True) -> None:
    """Remove what facekit put into a staging folder, and nothing else; ``former`` is not among it."""
    last = {READY: 1, JOURNAL: 2, LOCK: 3}  # until then a run that was killed here is known for what it was
    for name in sorted(os.listdir(folder), key=lambda name: last.get(name, 0)):
        path = folder / name
        if not _is_known(name) or name == FORMER or (keep_lock and name == LOCK):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not keep_lock and is_empty(folder):
        os.rmdir(folder)


def leave_staging(folder: Path, lock: int, keep: bool) -> None:
    """Clear up, unless what lies there is worth keeping, and let go of the lock; what cannot go stays.

    Parameters
    ----------
    folder : Path
    lock : int
        As `open_staging` returned it.
    keep : bool
    """
    alone = False
    try:
        if not keep:
            clear(folder, keep_lock=False)
    except PermissionError:  # Windows removes no open file, and the lock is one
        alone = _entries(folder) == [LOCK]
    except OSError:
        pass  # what the run ended with comes first; the next one clears up
    finally:
        release(lock)
    if alone:
        with suppress(OSError):  # another run may hold it by now
            os.unlink(folder / LOCK)
            os.rmdir(folder)


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _write_mark(folder: Path, settings: Mapping[str, Any]) -> None:
    replace_file(folder / JOURNAL, json.dumps({"mark": MARK, "settings": settings}, sort_keys=True, indent=2) + "\n")
    flush_folder(folder)


def _precedes_mark(name: str) -> bool:
    """Whether facekit itself leaves this in a folder that it was killed in before the mark was there."""
    return name == LOCK or name.startswith(f".{JOURNAL}.")


def _is_known(name: str) -> bool:
    asides = (f".{JOURNAL}.", f".{READY}.", f".{OUTPUT}.", f"{OUTPUT}.")
    return name in (LOCK, JOURNAL, SCRATCH, OUTPUT, READY, FORMER) or name.startswith((SHARDS, *asides))


def _mark(folder: Path) -> dict[str, Any] | None:
    """The settings in facekit's mark; None where the folder does not carry it."""
    try:
        content = json.loads((folder / JOURNAL).read_bytes())
        return content["settings"] if content["mark"] == MARK else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _disagreement(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> str:
    old, new = _flat(before), _flat(now)
    names = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    changes = "; ".join(f"{name} was {old.get(name)!r}, is {new.get(name)!r}" for name in names)
    return f"{folder} holds an unfinished run with other settings ({changes})"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value})
    return flat
