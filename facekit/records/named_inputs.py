"""What somebody named to be read: what it is, or what lies near where nothing does."""

from __future__ import annotations

import os
import shlex
from difflib import get_close_matches
from pathlib import Path

from facekit.errors import FacekitError, MissingInput, WrongInput

__all__ = [
    "MARKS",
    "describe_path",
    "export_cure",
    "pack_cure",
    "require_file",
    "require_text",
    "require_there",
    "unreadable",
]

MARKS = {
    "decisions.parquet": "the output of facekit clean",
    "features.json": "vectors that facekit embed wrote",
    "rounds.json": "a run of facekit selflearn",
    "config.json": "a run of facekit train",
    "benchmark.json": "a benchmark",
    "train.rec": "a pack",
    "unpacked.lst": "a pack's pictures, by facekit unpack",
}
"""Files by which a folder is recognised, the most telling first."""

TEXTS = {
    ".csv": "a table",
    ".lst": "a list of pictures",
    ".idx": "the index of a record file",
    ".json": "JSON",
    ".toml": "TOML",
}
BINARIES = {
    ".onnx": "an ONNX model",
    ".pt": "weights of torch",
    ".pth": "weights of torch",
    ".bin": "a verification .bin",
    ".tar": "a tar file",
    ".gz": "a compressed file",
    ".zst": "a compressed file",
}
SIGNATURES = {
    b"PAR1": "a parquet table",
    b"\x93NUMPY": "an array",
    b"\x0a\x23\xd7\xce": "a record file",
    b"\xff\xd8\xff": "a picture",
    b"\x89PNG": "a picture",
}
TABLES = {b"facekit.list": "a list of decisions", b"facekit.clean": "a table of decisions"}
"""What the metadata of facekit's own parquet files hold."""

HEAD, MOST_METADATA = 512, 1 << 24
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
    head, suffix = _starts(place), place.suffix.lower()
    by_name = "a picture" if suffix in PICTURES else BINARIES.get(suffix, "a file of another kind")
    if not head:
        return "an empty file" if not place.stat().st_size else TEXTS.get(suffix, by_name)
    known = next((words for start, words in SIGNATURES.items() if head.startswith(start)), None)
    if known == "a parquet table":
        return _table(place)
    return known or (TEXTS.get(suffix, "a text file") if _is_text(head) else by_name)


def _is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text in UTF-8; what a cut has left of a last character counts."""
    text = head.decode("utf-8", "ignore")
    lost = len(head) - len(text.encode())
    return lost < (4 if len(head) == HEAD else 1) and all(one.isprintable() or one in "\t\r\n\f\ufeff" for one in text)


def _table(place: Path) -> str:
    """A parquet file, by the metadata at its end."""
    try:
        with open(place, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 8, 0))
            end = file.read(8)
            length = int.from_bytes(end[:4], "little") if end[4:] == b"PAR1" else 0
            file.seek(max(size - 8 - min(length, MOST_METADATA), 0))
            metadata = file.read(min(length, MOST_METADATA))
    except OSError:
        metadata = b""
    return next((words for name, words in TABLES.items() if name in metadata), "a parquet table")


def export_cure(path: str | os.PathLike[str]) -> str:
    """What helps where a run of training is given for a model; empty where it is something else."""
    trained = describe_path(path) == MARKS["config.json"]
    return f": facekit export {shlex.quote(os.fspath(path))} MODEL.onnx makes a model of it" if trained else ""


def pack_cure(path: str | os.PathLike[str]) -> str:
    """What helps where something is given for a pack of which one can be made; empty where none can."""
    cures = {
        "a folder of tar files": "facekit convert makes a pack of them",
        "a folder of parquet tables": "facekit convert makes a pack of them",
        "a tar file": "facekit convert makes a pack of it",
        "a parquet table": "facekit convert makes a pack of it, where it holds pictures",
        "a folder of pictures": "facekit pack makes a pack of them",
        "a list of pictures": "facekit pack makes a pack of them",
        MARKS["unpacked.lst"]: "facekit pack makes a pack of them",
        MARKS["decisions.parquet"]: "facekit apply makes the pack, of what was cleaned and these decisions",
    }
    cure = cures.get(describe_path(path))
    return "" if cure is None else f": {cure}"


def _folder(place: Path) -> str:
    with os.scandir(place) as entries:
        first = [entry.name for entry, _ in zip(entries, range(MOST_NAMES), strict=False)]
    if not first:
        return "an empty folder"
    suffixes = {os.path.splitext(name)[1].lower() for name in first}
    if ".rec" in suffixes:
        return "a pack"
    if suffixes & {".tar", ".tgz", ".zst"}:
        return "a folder of tar files"
    if ".parquet" in suffixes:
        return "a folder of parquet tables"
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


def require_file(path: str | os.PathLike[str], what: str, cure: str) -> None:
    """Refuse the name of an input that is no file.

    Parameters
    ----------
    path : path
    what : str
        What is wanted, with its article.
    cure : str

    Raises
    ------
    MissingInput
        Nothing is there.
    WrongInput
        A folder, a pipe or a device is; the message says what it is.
    """
    require_there(path, "file")
    if not os.path.isfile(path):
        raise WrongInput(f"it is {describe_path(path)}, not {what}: {cure}", path)


def require_text(path: str | os.PathLike[str], what: str, cure: str) -> None:
    """Refuse the name of an input that is no file with text, or nothing, in it; as `require_file`."""
    require_file(path, what, cure)
    found = describe_path(path)
    if found not in ("a text file", "an empty file", *TEXTS.values()) and _starts(path):
        raise WrongInput(f"it is {found}, not {what}: {cure}", path)


def _starts(path: str | os.PathLike[str]) -> bytes:
    """The first bytes of a file; none of one that may not be read, about which its reader says more."""
    try:
        with open(path, "rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def unreadable(
    path: str | os.PathLike[str], what: str, suffixes: tuple[str, ...], reason: object, cure: str
) -> FacekitError:
    """The error about a file that cannot be read as what is wanted: damaged, or something else that was named.

    Parameters
    ----------
    path : path
    what : str
        What is wanted, with its article.
    suffixes : tuple of str
        What a damaged one would be called.
    reason : object
        Why it cannot be read.
    cure : str
    """
    if os.path.isfile(path) and os.path.splitext(path)[1].lower() in suffixes:
        said = " ".join(str(reason).split())
        return FacekitError(f"{os.fspath(path)} cannot be read as {what} ({said}); {cure}")
    return WrongInput(f"it is {describe_path(path)}, not {what}: {cure}", path)


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
