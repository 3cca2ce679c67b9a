"""What cleaning reads: a source, the vectors of its images, test sets, and what a person decided."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.overrides import Overrides, load_overrides
from facekit.clean.vectors import Vectors
from facekit.embeddings import Features, is_features, open_features
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.exclusion import ExclusionSet, open_exclusion_set
from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.embed.reuse import embed_once
from facekit.jobs.inputs.ledger import MaskFlags, read_flags
from facekit.jobs.inputs.model import ModelChoice, open_engine
from facekit.jobs.inputs.source import Source, open_source
from facekit.records.distinct import blocks, distinct
from facekit.records.index_policy import index_policy
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import describe_path, require_there

__all__ = [
    "CleanInputs",
    "FaceVectors",
    "FeatureRows",
    "embed_beside",
    "open_inputs",
    "open_vectors",
]

READ_BYTES = 1 << 20


class FaceVectors(NamedTuple):
    """What cleaning needs to know about the images of a source, row by row."""

    vectors: Vectors  # (N, D); a row of zeros: no embedding
    labels: npt.NDArray[np.int64]  # (N,)
    norms: npt.NDArray[np.float32] | None  # (N,) before normalisation, nan where there is no vector
    masked: npt.NDArray[np.bool_]  # (N,) wears a drawn mask
    copies_of: npt.NDArray[np.integer]  # (N,) row of the bare picture, -1
    model: str  # hash
    embedded_by: dict[str, Any] | None  # see `facekit.jobs.embed.plan.embedded_by`; None: nothing is known

    @property
    def originals(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: bare pictures, of which each is there once."""
        bare = ~self.masked
        for part in blocks(len(bare)):
            bare[part] &= self.copies_of[part] < 0
        return bare


class CleanInputs(NamedTuple):
    """Everything that a cleaning reads."""

    source: Source
    faces: FaceVectors
    exclusion_sets: tuple[ExclusionSet, ...]
    overrides: Overrides


class FeatureRows:
    """Rows of a folder of vectors in another order, read when they are asked for.

    Parameters
    ----------
    features : Features
    rows : (N,) int64
        Row in the folder, -1 for none.

    Attributes
    ----------
    rows : (N,) int64
    """

    def __init__(self, features: Features, rows: npt.NDArray[np.int64]) -> None:
        self.rows = rows
        self._blocks = [block for _, block in features.blocks()]
        self._starts = np.cumsum([0, *(len(block) for block in self._blocks)])
        self.shape = (len(rows), features.dimensions)

    def __getitem__(self, wanted: Any) -> npt.NDArray[np.float32]:
        rows = self.rows[wanted]
        out = np.zeros((len(rows), self.shape[1]), np.float32)
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard[rows >= 0]):
            inside = (shard == number) & (rows >= 0)
            out[inside] = self._blocks[number][rows[inside] - self._starts[number]]
        return out


def open_inputs(config: CleanConfig) -> CleanInputs:
    """Open everything that a cleaning reads.

    Raises
    ------
    ConfigError
        A file is of another kind, or pictures are to be embedded without a model.
    FacekitError
        Something is missing or corrupt, or the vectors belong to another pack.
    """
    source, _ = open_source(config.source, layout="flat", partial_index=index_policy(config.partial_index))
    faces = open_vectors(config.features, source)
    overrides = Overrides() if config.overrides is None else load_overrides(config.overrides)
    engine = open_engine(config.model) if config.exclude and config.model is not None else None
    exclusion_sets = tuple(open_exclusion_set(path, engine, config.model, faces.embedded_by) for path in config.exclude)
    return CleanInputs(source, faces, exclusion_sets, overrides)


def embed_beside(source: str, destination: str, model: ModelChoice, partial_index: bool = False) -> str:
    """Embed a source beside the destination of its cleaning; vectors that this model made before are taken as they are.

    Parameters
    ----------
    source, destination : str
    model : ModelChoice
    partial_index : bool
        Take a pack whose index does not reach its end.

    Returns
    -------
    str
        The folder of vectors.

    Raises
    ------
    ConfigError
        There are vectors that another model made, or the same one in another way.
    """
    path = destination.rstrip("/") + ".features"
    config = EmbedConfig(source, path, model, partial_index=partial_index)
    return embed_once(config, "name it with --features and leave --model out")


def open_vectors(path: str, source: Source) -> FaceVectors:
    """Open the vectors of a source: what ``facekit embed`` wrote, or an ``.npy`` with one row for each image in
    physical order.

    Parameters
    ----------
    path : str
    source : Source
        In the layout ``flat``; N images.

    Raises
    ------
    ConfigError
        It is neither.
    FacekitError
        The vectors belong to another pack.
    """
    flags = read_flags(source)
    copies = _bare_rows(source, flags)
    if not is_features(Path(path)):
        return FaceVectors(_load_array(path, source), source.labels, None, flags.masked, copies, _file_hash(path), None)
    features = open_features(path)
    rows = rows_of(features.column("key"), source.keys)
    _check_same(features, source, rows)
    norms = features.column("norm")[rows]
    norms[rows < 0] = np.nan
    vectors, made = FeatureRows(features, rows), features.description
    return FaceVectors(vectors, source.labels, norms, flags.masked, copies, features.model_hash, made)


def _load_array(path: str, source: Source) -> npt.NDArray[Any]:
    require_there(path, "folder of vectors, nor an .npy file")
    if not path.endswith(".npy"):
        wanted = "name a folder that facekit embed wrote or an .npy file"
        raise ConfigError(f"{path} is {describe_path(path)}, not vectors: {wanted}")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        damaged = describe_path(path) == "an array"  # what numpy says of others speaks of pickles
        reason = error if damaged else f"it is {describe_path(path)}"
        raise FacekitError(f"{path} cannot be read as an array: {reason}; save it with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise FacekitError(f"{path} holds no floating point array")
    if array.ndim != 2 or len(array) != len(source):
        raise FacekitError(
            f"{path} holds {array.shape}, {source.path} {len(source)} images: one row for each image is needed, "
            "in the order of the pack"
        )
    return array


def _check_same(features: Features, source: Source, rows: npt.NDArray[np.int64]) -> None:
    """Refuse vectors of another pack; `rows` (N,) int64 are those of the source's keys."""
    content = features.description.get("input", {}).get("content")
    failed = np.array([row["key"] for row in features.failures()], np.int64)
    missing = rows_of(failed, source.keys[rows < 0]) < 0
    if content not in (None, source.content) or missing.any():
        raise FacekitError(
            f"{features.path} was made from another pack than {source.path}: run facekit embed on this one"
        )
    labels = features.column("label")
    if any(((labels[rows[part]] != source.labels[part]) & (rows[part] >= 0)).any() for part in blocks(len(rows))):
        raise FacekitError(f"the labels of {features.path} are not those of {source.path}: run facekit embed again")


def _bare_rows(source: Source, flags: MaskFlags) -> npt.NDArray[np.integer]:
    """Return the row of the bare picture that each masked one was made from, -1 where it is not in the pack."""
    masked = np.flatnonzero(flags.masked)
    if not len(masked):
        return np.broadcast_to(np.int64(-1), len(source))
    origins = distinct(flags.sources[masked])
    first = np.full(len(origins), -1, np.int64)  # the first bare row of each
    for part in blocks(len(source)):
        bare = np.flatnonzero(~flags.masked[part])
        found = rows_of(origins, flags.sources[part][bare], ascending=True)
        fresh = np.flatnonzero((found >= 0) & (first[found] < 0))[::-1]
        first[found[fresh]] = part.start + bare[fresh]
    copies = np.full(len(source), -1, np.int32 if len(source) < 1 << 31 else np.int64)
    for part in blocks(len(masked)):
        some = masked[part]
        rows = first[np.searchsorted(origins, flags.sources[some])]
        same = (rows >= 0) & (source.labels[rows] == source.labels[some])
        copies[some[same]] = rows[same]
    return copies


def _file_hash(path: str) -> str:
    """BLAKE2b of a file, hexadecimal, 16 bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
