"""Test sets that the result may share neither people nor pictures with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.vectors import unit
from facekit.embeddings import Engine, is_features, open_features
from facekit.errors import ConfigError
from facekit.jobs.embed.in_memory import embed_payloads
from facekit.jobs.embed.plan import embedded_by
from facekit.jobs.embed.reuse import SAME_SPACE, difference
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.source_records import read_records
from facekit.records.named_inputs import require_file
from facekit.run.ledger import payload_hash

__all__ = ["HASH", "ExclusionSet", "hashes_of", "open_exclusion_set"]

HASH = "S16"
"""How a BLAKE2b hash of 16 bytes is compared: bytes that sort."""


class ExclusionSet(NamedTuple):
    """Vectors of the pictures of a test set, and hashes of their bytes where they are known."""

    name: str
    vectors: npt.NDArray[np.float32]  # (T, D) unit length
    hashes: npt.NDArray[np.bytes_]  # (h,) S16


def open_exclusion_set(
    path: str, engine: Engine | None, model: ModelChoice | None, faces_by: dict[str, Any] | None = None
) -> ExclusionSet:
    """Open a test set: vectors as they are, pictures through the model.

    Parameters
    ----------
    path : str
        A ``.bin``, a pack, a folder of pictures or of vectors.
    engine : Engine, optional
        For pictures.
    model : ModelChoice, optional
        How the engine is used.
    faces_by : dict, optional
        How the faces were embedded that it is compared with, where that is known.

    Raises
    ------
    ConfigError
        Pictures, and no model to embed them; or a model that is not the one of the faces.
    PictureError
        One cannot be decoded.
    """
    name = Path(path).name
    if is_features(Path(path)):
        features = open_features(path)
        _refuse_other_space(path, features.description, faces_by)
        return ExclusionSet(name, unit(features.load().vectors), np.zeros(0, HASH))
    if engine is None or model is None:
        _require_pictures(path)
        raise ConfigError(f"--exclude {path} holds pictures: give the --model that made the features to embed them")
    _refuse_other_space(path, embedded_by(engine, model), faces_by)
    payloads = _payloads(path)
    hashes = np.frombuffer(b"".join(map(payload_hash, payloads)), np.uint8).reshape(-1, 16)
    return ExclusionSet(name, embed_payloads(engine, model, payloads, path), hashes_of(hashes))


def _refuse_other_space(path: str, own: dict[str, Any], faces_by: dict[str, Any] | None) -> None:
    found = "" if faces_by is None else difference(own, faces_by, SAME_SPACE)
    if found:
        raise ConfigError(
            f"--exclude {path} is not embedded as the faces were, so nothing can be compared ({found}): "
            "give the --model and the options that made the features"
        )


def _require_pictures(path: str) -> None:
    """Refuse what holds no pictures, before a model is asked for that could embed them."""
    if path.endswith(".bin"):
        require_file(path, "a verification .bin", "name a .bin, a pack, a folder of pictures or one of vectors")
    else:
        open_source(path, limit=1)


def _payloads(path: str) -> list[bytes]:
    if path.endswith(".bin"):
        from facekit.records.bins import read_bins

        return [bytes(payload) for payload in read_bins(path).payloads]
    source, _ = open_source(path, layout="flat")
    return [record.payload for record, _ in read_records(source)]


def hashes_of(hashes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bytes_]:
    """View (N, 16) uint8 hashes as (N,) bytes that can be sorted and looked up."""
    return np.ascontiguousarray(hashes).view(HASH).reshape(-1)
