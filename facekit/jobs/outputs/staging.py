"""How the output of a job that runs in one go appears: made in a folder beside its destination, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facekit.errors import ConfigError, DestinationExists
from facekit.run.destination import move_into_place

__all__ = ["new_file", "refuse_other_than_png", "staged"]


@contextmanager
def staged(
    destination: str | os.PathLike[str],
    overwrite: bool,
    marks: Sequence[str] = ("*.rec",),
    sources: Sequence[str | os.PathLike[str]] = (),
) -> Iterator[Path]:
    """Give a new folder to fill; it gets its name when the block ends, and is removed when an exception passes.

    Parameters
    ----------
    destination : path
    overwrite : bool
        Replace an existing folder.
    marks : sequence of str
        Only a folder that is empty or holds one of these is replaced.
    sources : sequence of path
        What is read: never replaced.

    Raises
    ------
    DestinationExists
        The destination exists and may not be replaced.
    ConfigError
        A source lies in the destination.
    """
    target = Path(os.path.abspath(destination))
    for source in sources:
        place = Path(source).resolve()
        if target.resolve() in (place, *place.parents):
            raise ConfigError(f"{target} holds the source itself; choose another destination")
    _check(target, overwrite, marks)
    aside = target.with_name(target.name + ".writing")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        move_into_place(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check(target: Path, overwrite: bool, marks: Sequence[str]) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise DestinationExists(f"{target} exists already; choose another destination or pass --overwrite")
    if not target.is_dir() or not any(next(target.glob(mark), None) for mark in marks):
        raise DestinationExists(
            f"{target} holds no {' or '.join(marks)}, and --overwrite replaces nothing else; move it away yourself"
        )


def refuse_other_than_png(path: str | os.PathLike[str] | None) -> None:
    """Refuse a name for a sheet that promises another format: viewers go by it.

    Raises
    ------
    ConfigError
        It does not end in .png.
    """
    if path is not None and Path(path).suffix.lower() != ".png":
        raise ConfigError(
            f"{os.fspath(path)} cannot be the name of a sheet: it is a PNG; choose a name that ends in .png"
        )


@contextmanager
def new_file(path: str | os.PathLike[str], overwrite: bool) -> Iterator[Path]:
    """Give the name to write a file under; it gets its own when the block ends.

    Raises
    ------
    DestinationExists
        The file exists and ``overwrite`` is not set.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise DestinationExists(f"{target} exists already; choose another name or pass --overwrite")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        yield aside
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
