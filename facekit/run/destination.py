"""How an output appears: written aside and moved into place in one step, never over something by surprise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from facekit.errors import DestinationExists

__all__ = ["check_destination", "move_into_place"]


def check_destination(path: Path, overwrite: bool) -> None:
    """Refuse an existing destination.

    Raises
    ------
    DestinationExists
        ``path`` exists and ``overwrite`` is false; or it is a file, or a folder that holds no pack, which are never
        replaced.
    """
    if not path.exists():
        return
    if not overwrite:
        raise DestinationExists(f"{path} exists already; choose another destination or pass --overwrite")
    if not path.is_dir() or (any(path.iterdir()) and not any(path.glob("*.rec"))):
        raise DestinationExists(f"{path} is not a pack, and --overwrite replaces only packs; move it away yourself")


def move_into_place(finished: Path, path: Path) -> None:
    """Rename the finished folder to ``path``; what stood there before is removed after the new one is in place."""
    former = path.with_name(path.name + ".former")
    shutil.rmtree(former, ignore_errors=True)
    if path.exists():
        os.replace(path, former)
    os.replace(finished, path)
    shutil.rmtree(former, ignore_errors=True)
