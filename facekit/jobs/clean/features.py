"""Vectors for the images of a source, in their order, whatever they came in."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.folders import Vectors
from facekit.embeddings import is_features, open_features
from facekit.embeddings.store import Features
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.inputs.ledger import read_flags
from facekit.jobs.inputs.source import Source

__all__ = ["FaceVectors", "FeatureRows", "open_vectors"]


class FaceVectors(NamedTuple):
    """What cleaning needs to know about the images of a source, row by row."""

    vectors: Vectors  # (N, D); a row of zeros: no embedding
    norms: npt.NDArray[np.float32] | None  # (N,) before normalisation, nan where there is no vector
    masked: npt.NDArray[np.bool_]  # (N,) wears a drawn mask
    copies_of: npt.NDArray[np.int64]  # (N,) row of the bare picture, -1
    model: str  # hash


class FeatureRows:
    """Rows of a folder of vectors in another order, read when they are asked for.

    Parameters
    ----------
    features : Features
    rows : (N,) int64
        Row in the folder, -1 for none.
    """

    def __init__(self, features: Features, rows: npt.NDArray[np.int64]) -> None:
        self._rows = rows
        self._blocks = [block for _, block in features.blocks()]
        self._starts = np.cumsum([0, *(len(block) for block in self._blocks)])
        self.shape = (len(rows), features.dimensions)

    def __getitem__(self, wanted: Any) -> npt.NDArray[np.float32]:
        rows = self._rows[wanted]
        out = np.zeros((len(rows), self.shape[1]), np.float32)
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard[rows >= 0]):
            inside = (shard == number) & (rows >= 0)
            out[inside] = self._blocks[number][rows[inside] - self._starts[number]]
        return out


def open_vectors(path: str, source: Source) -> FaceVectors:
    """Open the vectors of a source: what ``facekit embed`` wrote, or an ``.npy`` with one row for each image in
    physical order.

    Raises
    ------
    ConfigError
        It is neither.
    FacekitError
        The vectors belong to another pack.
    """
    flags = read_flags(source)
    copies = _copies(source, flags.masked, flags.sources)
    if is_features(Path(path)):
        features = open_features(path)
        _check_same(features, source, path)
        rows = features.rows_of(source.keys)
        norms = np.where(rows >= 0, features.norms[rows], np.nan).astype(np.float32)
        return FaceVectors(FeatureRows(features, rows), norms, flags.masked, copies, features.model_hash)
    vectors = _load_array(path)
    if vectors.ndim != 2 or len(vectors) != len(source):
        raise FacekitError(
            f"{path} holds {vectors.shape}, {source.path} {len(source)} images: one row for each image is needed, "
            "in the order of the pack"
        )
    return FaceVectors(vectors, None, flags.masked, copies, _file_hash(path))


def _load_array(path: str) -> npt.NDArray[Any]:
    if not path.endswith(".npy"):
        raise ConfigError(f"{path} is neither a folder that facekit embed wrote nor an .npy file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise FacekitError(f"{path} cannot be read as an array: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise FacekitError(f"{path} holds no floating point array")
    return array


def _check_same(features: Features, source: Source, path: str) -> None:
    content = features.description.get("input", {}).get("content")
    known = {int(key) for key in features.keys} | {int(row["key"]) for row in features.failures()}
    if content not in (None, source.content) or not known.issuperset(source.keys.tolist()):
        raise FacekitError(f"{path} was made from another pack than {source.path}: run facekit embed on this one")
    rows = features.rows_of(source.keys)
    if np.any(features.labels[rows[rows >= 0]] != source.labels[rows >= 0]):
        raise FacekitError(f"the labels of {path} are not those of {source.path}: run facekit embed again")


def _copies(source: Source, masked: npt.NDArray[np.bool_], origin: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the row of the bare picture that each masked one was made from, -1 where it is not in the pack."""
    copies = np.full(len(source), -1, np.int64)
    bare = np.flatnonzero(~masked)
    if not masked.any() or not len(bare):
        return copies
    order = bare[np.argsort(origin[bare], kind="stable")]
    place = np.minimum(np.searchsorted(origin[order], origin[masked]), len(order) - 1)
    found = order[place]
    same = (origin[found] == origin[masked]) & (source.labels[found] == source.labels[masked])
    copies[masked] = np.where(same, found, -1)
    return copies


def _file_hash(path: str) -> str:
    with open(path, "rb") as file:
        return (
            hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            if hasattr(hashlib, "file_digest")
            else hashlib.blake2b(file.read(), digest_size=16).hexdigest()
        )
