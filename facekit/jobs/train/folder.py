"""The folder of a training run: of one pack and one set of settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facekit.errors import ConfigError, DestinationExists
from facekit.output import replace_file
from facekit.run.user_files import read_json

__all__ = ["CONFIG", "check_resume", "has_checkpoint", "refuse_resume"]

CONFIG = "config.json"


def check_resume(out: Path, record: Mapping[str, Any], resume: bool) -> None:
    """Refuse a folder that has checkpoints without ``resume``, or of other settings; else write its record.

    A run that has no checkpoint yet has nothing to lose.

    Raises
    ------
    ConfigError, DestinationExists
    """
    refuse_resume(out, record, resume)
    replace_file(out / CONFIG, json.dumps(record, indent=2) + "\n")


def refuse_resume(out: Path, record: Mapping[str, Any], resume: bool) -> None:
    """What `check_resume` refuses, and no more.

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


def has_checkpoint(out: str | Path) -> bool:
    """Whether a run in a folder has something to go on from."""
    return any((Path(out) / "checkpoints").glob("[0-9]*"))


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
    old, new = {"optimizer": "sgd"} | before["settings"], record["settings"]  # before there was a choice
    # Other schedules are stretched over the epochs: with more of them the rate would jump.
    length = {"max_steps", "epochs"} if new.get("schedule") == "step" else {"max_steps"}
    differ = [name for name in new if old.get(name) != new[name] and name not in length]
    return names + [f"{name} ({old.get(name)} before, now {new[name]})" for name in differ]
