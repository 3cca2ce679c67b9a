"""TinyFace's lists of pictures and people: MATLAB files of version 5, as the benchmark is published.

gallery_match_img_ID_pairs.mat   gallery_set, cells of file names; gallery_ids, numbers
probe_img_ID_pairs.mat           probe_set, probe_ids
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError

__all__ = ["PictureList", "is_tinyface", "read_tinyface"]

KINDS = ("gallery", "probe")


class PictureList(NamedTuple):
    """Pictures, and whom each shows.

    Attributes
    ----------
    names : tuple of str
        Files, as written.
    people : (N,) int64
    """

    names: tuple[str, ...]
    people: npt.NDArray[np.int64]


def is_tinyface(path: str | None) -> bool:
    """Whether a list is one of TinyFace's, by its name.

    Parameters
    ----------
    path : str or None
    """
    return path is not None and path.lower().endswith(".mat")


def read_tinyface(path: str) -> PictureList:
    """Read a list.

    Raises
    ------
    ConfigError
        There is no such file, or it has neither a gallery nor probes.
    FacekitError
        It is no MATLAB file of version 5, or names and people do not belong together.
    """
    if not Path(path).is_file():
        raise ConfigError(f"{path}: no such file")
    from scipy.io import loadmat

    wanted = [f"{kind}_{part}" for kind in KINDS for part in ("set", "ids")]
    try:
        content: dict[str, Any] = loadmat(path, variable_names=wanted)
    except (ValueError, TypeError, KeyError, IndexError, EOFError, OSError, NotImplementedError) as error:
        raise FacekitError(f"{path} is no MATLAB file of version 5: {error}; save it anew with -v7") from error
    kind = next((one for one in KINDS if f"{one}_set" in content and f"{one}_ids" in content), None)
    if kind is None:
        raise ConfigError(f"{path} has neither gallery_set and gallery_ids nor probe_set and probe_ids")
    names, people = content[f"{kind}_set"], np.asarray(content[f"{kind}_ids"]).ravel()
    found = tuple(_text(cell, path) for cell in np.asarray(names).ravel())
    if people.dtype.kind not in "iuf" or len(found) != len(people) or not len(people):
        raise FacekitError(f"{path}: {len(found)} names, {len(people)} people of {people.dtype}; one of each a picture")
    if not np.array_equal(people, people.astype(np.int64)) or (people < 0).any():
        raise FacekitError(f"{path}: people must be whole numbers from 0 on")
    return PictureList(found, people.astype(np.int64))


def _text(cell: Any, path: str) -> str:
    """A cell of a cell array of texts, or a row of an array of characters."""
    while isinstance(cell, np.ndarray) and cell.size == 1:
        cell = cell.reshape(-1)[0]
    if not isinstance(cell, str):
        raise FacekitError(f"{path}: a name is {type(cell).__name__}, and must be a text")
    return cell.strip()
