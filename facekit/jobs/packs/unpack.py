"""``facekit unpack``: a pack -> one folder an identity, with a list from which the pack can be made again.

Where the pack's ledger and ``source.lst`` tell the files it was made from, these get their names back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import RecordError
from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.source import pack_input, refuse_shared_records
from facekit.jobs.outputs.original_names import mask_types, original_names
from facekit.jobs.outputs.rewrite import NO_LABEL
from facekit.output import open_folder
from facekit.records import open_pack
from facekit.records.index_policy import index_policy
from facekit.records.tar_shards import picture_suffix
from facekit.run.progress import progress

__all__ = ["LIST", "UnpackConfig", "UnpackSummary", "unpack"]

LIST = "unpacked.lst"


@dataclass(frozen=True)
class UnpackConfig:
    """Settings of ``facekit unpack``.

    Attributes
    ----------
    source, destination : str
    limit : int, optional
        Take only the first pictures of those with a label from 0 on.
    overwrite : bool
        Replace a folder that was unpacked before.
    partial_index : bool
        Take a pack whose index does not reach its end.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    destination: str
    limit: int | None = None
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_at_least("limit", self.limit, 1)


@dataclass(frozen=True)
class UnpackSummary:
    """What ``facekit unpack`` did.

    Attributes
    ----------
    destination : str
    pictures, identities : int
    strange : int
        Payloads that are no picture by their first bytes, and were written too.
    named : int
        Files that have the name from before they were packed.
    dropped : dict from str to int
        Records of the pack left out, by reason.
    list : str
    seconds : float
    """

    destination: str
    pictures: int
    identities: int
    strange: int
    named: int
    dropped: dict[str, int]
    list: str
    seconds: float


def unpack(config: UnpackConfig) -> UnpackSummary:
    """Write every labelled payload of a pack, byte for byte, as a file, and the list of all.

    The file is called as before it was packed where the pack's ledger and its ``source.lst`` tell, else
    ``LABEL/KEY.jpg``. A second record of the same file has its mask type, or else its key, behind the name; a payload
    of another kind than the name says has the suffix of its kind.

    Parameters
    ----------
    config : UnpackConfig

    Returns
    -------
    UnpackSummary

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, or the destination exists.
    RecordError
        The pack is missing or corrupt, or the disk refuses.
    """
    started = perf_counter()
    strange, named = 0, 0
    with (
        open_pack(config.source, partial_index=index_policy(config.partial_index)) as pack,
        open_folder(
            config.destination,
            "unpack",
            [pack_input(pack.paths.rec, config.source)],
            asdict(config),
            config.overwrite,
            pack.paths.rec.stat().st_size if config.limit is None else 0,
        ) as output,
    ):
        folder = output.new_folder()
        refuse_shared_records(pack)
        rows = np.flatnonzero(pack.labels >= 0)[: config.limit]
        unlabelled = int((pack.labels < 0).sum())
        keys, labels = pack.keys[rows].tolist(), pack.labels[rows].tolist()
        told = _told(pack.paths.rec, pack.keys[rows], pack.labels[rows])
        with progress("unpacking", len(keys)) as advance, open(folder / LIST, "wb") as lines:
            for key, label, origin in zip(keys, labels, told, strict=True):
                payload = pack.read(key).payload
                suffix = picture_suffix(payload)
                name = _write(folder, _candidates(key, label, suffix, origin), payload)
                strange += suffix == "bin"
                named += origin.name is not None
                lines.write(b"%d\t%d\t%s\n" % (key, label, os.fsencode(name)))
                advance(1)
        output.publish(listed_in=LIST)
    place = Path(config.destination)
    dropped = {NO_LABEL: unlabelled} if unlabelled else {}
    return UnpackSummary(
        str(place), len(keys), len(set(labels)), strange, named, dropped, str(place / LIST), perf_counter() - started
    )  # fmt: skip


class Origin(NamedTuple):
    """What is told of a record: the file it was made from, and the mask it has got."""

    name: str | None = None
    type: str | None = None


def _told(rec: Path, keys: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> Iterator[Origin]:
    """What is told of each record; the folders are kept where each holds the pictures of one label."""
    names = original_names(rec, keys)
    if names is None:
        yield from (Origin() for _ in keys)
        return
    labels_told = _folders_tell(names, labels)
    for name, type, label in zip(names, mask_types(rec, keys), labels.tolist(), strict=True):
        if not name.is_valid:
            yield Origin()
            continue
        path = os.fsdecode(name.as_py())
        yield Origin(path if labels_told else f"{label:07d}/{path.rpartition('/')[2]}", type.as_py())


def _folders_tell(names: Iterable[Any], labels: npt.NDArray[np.int64]) -> bool:
    """Whether every picture lies in a folder, and no folder holds those of two labels."""
    owners: dict[bytes, int] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        folder = name.as_py().rpartition(b"/")[0] if name.is_valid else b"%07d" % label
        if not folder or owners.setdefault(folder, label) != label:
            return False
    return True


def _candidates(key: int, label: int, suffix: str, origin: Origin) -> Iterator[str]:
    """Names for a file, the best first."""
    if origin.name is None:
        yield f"{label:07d}/{key:08d}.{suffix}"
    else:
        stem, extension = os.path.splitext(origin.name)
        extension = extension if KINDS.get(extension.lower()) == suffix else f".{suffix}"
        yield stem + extension
        if origin.type is not None:
            yield f"{stem}-{origin.type}{extension}"
        yield f"{stem}-{key:08d}{extension}"
    yield f"{label:07d}/{key:08d}-{key}.{suffix}"


KINDS = {".jpg": "jpg", ".jpeg": "jpg", ".jpe": "jpg", ".jfif": "jpg", ".png": "png", ".webp": "webp", ".bmp": "bmp"}
"""Kind of picture by suffix."""


def _write(folder: Path, names: Iterable[str], payload: bytes) -> str:
    """Write a file under the first name that no other one has; which that was."""
    path = folder
    try:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError), open(path, "xb") as file:
                file.write(payload)
                return name
    except OSError as error:
        raise RecordError(f"writing failed: {error.strerror}", path) from error
    raise RecordError("another file has this name already; give another DIR", path)
