"""What somebody named to be read: what it is, or what lies near where nothing does."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from facekit.errors import MissingInput

__all__ = ["MARKS", "describe_path", "export_cure", "require_there"]

MARKS = {
    "decisions.parquet": "the output of facekit clean",
    "features.json": "vectors that facekit embed wrote",
    "rounds.json": "a run of facekit selflearn",
    "config.json": "a run of facekit train",
    "train.rec": "a pack",
    "unpacked.lst": "a pack's pictures, by facekit unpack",
}
"""Files by which a folder is recognised, the most telling first."""

KINDS = {
    ".onnx": "an ONNX model",
    ".pt": "weights of torch",
    ".pth": "weights of torch",
    ".bin": "a verification .bin",
    ".rec": "a record file",
    ".idx": "the index of a record file",
    ".npy": "an array",
    ".parquet": "a table",
    ".csv": "a table",
    ".lst": "a list",
    ".json": "JSON",
    ".toml": "TOML",
    ".tar": "a tar file",
    ".gz": "a compressed file",
}
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".avif", ".tif", ".tiff")
MOST_NAMES = 10_000


def describe_path(path: str | os.PathLike[str]) -> str:
    """What lies at a path, in a few words with their article, such as ``a pack``.

    Parameters
    ----------
    path : path

    Examples
    --------
    >>> describe_path(os.devnull)
    'no file and no folder'
    """
    place = Path(path)
    if place.is_dir():
        return next((words for name, words in MARKS.items() if (place / name).exists()), _folder(place))
    if not place.is_file():
        return "no file and no folder" if os.path.lexists(place) else "nothing that is there"
    suffix = place.suffix.lower()
    return "a picture" if suffix in PICTURES else KINDS.get(suffix, "a file of another kind")


def export_cure(path: str | os.PathLike[str]) -> str:
    """What helps where a run of training is given for a model; empty where it is something else."""
    trained = describe_path(path) == MARKS["config.json"]
    return f": facekit export {os.fspath(path)} makes a model of it" if trained else ""


def _folder(place: Path) -> str:
    with os.scandir(place) as entries:
        first = [entry.name for entry, _ in zip(entries, range(MOST_NAMES), strict=False)]
    if not first:
        return "an empty folder"
    suffixes = {os.path.splitext(name)[1].lower() for name in first}
    if ".tar" in suffixes:
        return "a folder of tar files"
    if suffixes & set(PICTURES):
        return "a folder of pictures"
    return "a folder of folders" if all((place / name).is_dir() for name in first[:100]) else "a folder"


def require_there(path: str | os.PathLike[str], what: str = "file or folder") -> None:
    """Refuse the name of an input of which nothing is there.

    Parameters
    ----------
    path : path
    what : str
        What is wanted, such as ``pack``.

    Raises
    ------
    MissingInput
        Nothing is there; the message names what is called nearly the same.
    """
    if not os.path.lexists(path):
        raise MissingInput(f"there is no such {what}{_near(Path(path))}", path)


def _near(path: Path) -> str:
    """What is called nearly the same, in words; empty where there is nothing."""
    for place in (path, *path.parents):
        if not place.parent.is_dir() or place.name in ("", "."):
            continue
        with os.scandir(place.parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST_NAMES), strict=False)]
        found = get_close_matches(place.name, names, 1, 0.7)
        return f"; did you mean {place.parent / found[0]}?" if found else ""
    return ""
