"""Which photographs there are, and which of them are to be masked, decided before the first is opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError
from facekit.jobs.inputs.picture_files import PICTURES, files_in, format_counts
from facekit.jobs.mask.plan import smallest
from facekit.jobs.photos.config import PhotosConfig
from facekit.records.name_list import NameList
from facekit.records.named_inputs import MARKS, describe_path, require_there
from facekit.run.shards import Shard, cut

__all__ = ["CONTACT", "LEDGER", "LIST", "PhotosPlan", "make_plan"]

LEDGER, LIST, CONTACT = "photos.ledger.parquet", "photos.lst", "photos.contact.png"
OWN = (LEDGER, LIST, CONTACT)
PICTURES_A_SHARD = 16
"""A shard holds its pictures' files, and those of photographs are large."""


class PhotosPlan(NamedTuple):
    """What a job over photographs will do.

    Attributes
    ----------
    root : str
        The folder of the photographs.
    files : NameList
        Paths relative to it, sorted; the ledger calls them 1, 2, ...
    chosen : (N,) bool
        Pictures whose faces may be masked.
    shards : list of Shard
    others : dict from str to int
        Files that are no pictures by their names, by suffix.
    content : str
        A hash of names, sizes and times.
    """

    root: str
    files: NameList
    chosen: npt.NDArray[np.bool_]
    shards: list[Shard]
    others: dict[str, int]
    content: str


def make_plan(config: PhotosConfig) -> PhotosPlan:
    """List the folder and choose.

    Raises
    ------
    FacekitError
        It is no folder, cannot be listed, or holds no pictures.
    """
    folder = Path(config.source)
    require_there(folder, "folder of photographs")
    if not folder.is_dir():
        raise ConfigError(f"{folder} is {describe_path(folder)}; --photos takes a folder of photographs")
    what = describe_path(folder)
    if what == MARKS["train.rec"]:  # which has a picture in it: its sheet
        raise ConfigError(f"{folder} is a pack, whose faces are aligned: mask it without --photos")
    found = files_in(folder, suffixes=PICTURES)
    files = NameList(islice((name for name in found.pictures if name not in OWN), config.limit))
    if not files:
        instead = f"; it holds {format_counts(found.others)}" if found.others else ""
        known = "" if what in ("a folder", "a folder of folders") else f" is {what}: it"
        raise ConfigError(f"{folder}{known} holds no pictures{instead}; name a folder that does")
    chosen = np.ones(len(files), np.bool_)
    if config.ratio_of == "picture":
        chosen[:] = False
        chosen[smallest(np.arange(1, len(files) + 1), config.seed, round(config.ratio * len(files)))] = True
    shards = cut(len(files), PICTURES_A_SHARD)
    return PhotosPlan(str(folder), files, chosen, shards, dict(found.others.most_common()), _content(folder, files))


def _content(folder: Path, files: Iterable[str]) -> str:
    told = hashlib.blake2b(digest_size=16)
    for name in files:
        path = folder / name
        found = os.stat(path) if os.path.exists(path) else None
        told.update(os.fsencode(name) + (f"\0{found.st_size} {found.st_mtime_ns}\n" if found else "\0\n").encode())
    return told.hexdigest()
