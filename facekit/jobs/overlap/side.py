"""One of the two sets of faces that are compared: pictures, identities, hashes and vectors, as far as it has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.clean.vectors import Vectors
from facekit.embeddings import Engine, is_features, open_features
from facekit.errors import ConfigError
from facekit.evaluate import people_of_pairs
from facekit.jobs.clean.exclusion import hashes_of
from facekit.jobs.clean.features import FeatureRows, open_vectors
from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.embed.in_memory import embed_payloads
from facekit.jobs.embed.pace import reading_pace, seconds_a_picture, source_pace
from facekit.jobs.embed.plan import make_plan
from facekit.jobs.embed.reuse import embed_once
from facekit.jobs.inputs.clean_list import is_list, read_list
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.outputs.payload_hashes import hash_payloads
from facekit.output import Input, folder_input, input_of
from facekit.output.dry_run import is_dry
from facekit.records.bins import Bins, read_bins
from facekit.records.distinct import distinct
from facekit.run.ledger import payload_hash

__all__ = ["NETWORK", "READING", "Side", "Space", "open_side"]

NETWORK, READING = "network", "reading"
"""What the time of a side goes into."""


@dataclass(frozen=True)
class Space:
    """By what network pictures become vectors.

    Attributes
    ----------
    engine : Engine
    choice : ModelChoice
    folder : Path
        Where vectors of packs may lie while they are compared.
    """

    engine: Engine
    choice: ModelChoice
    folder: Path


@dataclass(frozen=True)
class Side:
    """A set of N faces.

    Attributes
    ----------
    path : str
    keys : (N,) int64
        Key in a pack, or place in a ``.bin`` or a list.
    labels : (N,) int64
        Identity of each. Where a set says nothing of who is shown, each picture is one.
    hashes : (N,) S16 or None
        Of the stored bytes.
    vectors : Vectors or None
        (N, D); a row of zeros where there is none.
    model : str or None
        Hash of the network that made them.
    read : Input
        For the output room.
    payloads : callable or None
        Rows -> their payloads.
    seconds : dict from str to float
        What a dry run found its parts to take. Vectors and hashes are then stand-ins.
    """

    path: str
    keys: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.bytes_] | None
    vectors: Vectors | None
    model: str | None
    read: Input
    payloads: Callable[[npt.NDArray[np.int64]], list[bytes]] | None
    seconds: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


def open_side(path: str, features: str | None, space: Space | None) -> Side:
    """Open a pack, a folder of pictures, a ``.bin``, a folder of vectors or a list of decisions.

    Parameters
    ----------
    path : str
    features : str, optional
        Vectors of a pack or folder that were made before.
    space : Space, optional
        Makes those that are missing.

    Raises
    ------
    ConfigError
        Vectors are given for what is none of a pack or folder, or were made in another way.
    FacekitError
        It cannot be read, or the vectors are of another pack.
    """
    if is_features(Path(path)):
        return _of_features(path)
    if path.endswith(".bin"):
        if features is not None:
            raise ConfigError(f"{path} is a .bin, of which facekit embed makes no folder: give --model instead")
        return _of_bins(path, read_bins(path), space)
    if is_list(path):
        if features is not None:
            raise ConfigError(f"{path} is a list, which knows pictures by their bytes: leave out its --features")
        return _of_list(path)
    return _of_source(path, open_source(path, layout="flat")[0], features, space)


def _of_features(path: str) -> Side:
    features = open_features(path)
    vectors = FeatureRows(features, np.arange(features.count))
    return Side(path, features.keys, _identities(features.labels), None, vectors, features.model_hash,
                folder_input(path), None)  # fmt: skip


def _of_list(path: str) -> Side:
    """The pictures that a list speaks of, numbered by their rows; one that it leaves out is a person of its own."""
    listed = read_list(path)
    hashes = hashes_of(listed.pictures.payload_hash)
    return Side(path, np.arange(len(listed)), _identities(listed.identity), hashes, None, None, input_of(path), None)


def _of_bins(path: str, bins: Bins, space: Space | None) -> Side:
    """Its different pictures; who is shown follows from the genuine pairs, as far as they connect pictures."""
    first: dict[bytes, int] = {}
    places = np.array([first.setdefault(payload, at) for at, payload in enumerate(bins.payloads)], np.int64)
    people = np.empty(len(places), np.int64)
    people[places] = people_of_pairs(places.reshape(-1, 2), bins.same).reshape(-1)
    keys = distinct(places)
    some = [bins.payloads[key] for key in keys.tolist()]
    vectors, seconds = (None, {}) if space is None else _embedded(space, some, path)
    model = None if space is None else space.engine.model_hash
    hashes = np.frombuffer(b"".join(map(payload_hash, some)), np.uint8).reshape(-1, 16)

    def payloads(rows: npt.NDArray[np.int64]) -> list[bytes]:
        return [some[row] for row in rows.tolist()]

    return Side(path, keys, people[keys], hashes_of(hashes), vectors, model, input_of(path), payloads, seconds)


def _embedded(space: Space, payloads: list[bytes], path: str) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    """Vectors of payloads; of a plan, stand-ins and the seconds that they would take."""
    if not is_dry() or not payloads:
        return embed_payloads(space.engine, space.choice, payloads, path, skip=True), {}

    def do(count: int) -> None:
        embed_payloads(space.engine, space.choice, payloads[:count], path, skip=True)

    seconds = seconds_a_picture(do, min(space.choice.batch, len(payloads))) * len(payloads)
    return np.ones((len(payloads), 1), np.float32), {NETWORK: seconds}


def _planned(path: str, source: Source, features: str | None, space: Space | None) -> Side:
    """A pack or folder whose pictures are only counted; what `_of_source` refuses by its names is refused here."""
    seconds, vectors, model = {READING: reading_pace(source) * len(source)}, None, None
    if features is not None:
        faces = open_vectors(features, source)
        if faces.embedded_by is None:
            raise _nameless(features)
        vectors, model = np.ones((len(source), 1), np.float32), faces.model
    elif space is not None:
        asked = EmbedConfig(path, str(space.folder / "0.features"), space.choice)
        pace = source_pace(space.engine, space.choice, make_plan(asked).source)
        seconds |= {NETWORK: (pace or 0.0) * len(source)}
        vectors, model = np.ones((len(source), 1), np.float32), space.engine.model_hash
    hashes = np.zeros(len(source), "S16")
    return Side(path, source.keys, _identities(source.labels), hashes, vectors, model, source_input(source, path),
                None, seconds)  # fmt: skip


def _nameless(features: str) -> ConfigError:
    return ConfigError(f"{features} says nothing of the model that made it: give what facekit embed wrote")


def _of_source(path: str, source: Source, features: str | None, space: Space | None) -> Side:
    if is_dry():
        return _planned(path, source, features, space)
    if features is None and space is not None:
        place = str(space.folder / f"{len(list(space.folder.iterdir()))}.features")
        features = embed_once(EmbedConfig(path, place, space.choice), "name another folder")
    faces = None if features is None else open_vectors(features, source)
    if faces is not None and faces.embedded_by is None:
        raise _nameless(str(features))

    def payloads(rows: npt.NDArray[np.int64]) -> list[bytes]:
        return [record.payload for record, _ in read_records(source.select_rows(rows))]

    vectors, model = (None, None) if faces is None else (faces.vectors, faces.model)
    hashes = hashes_of(hash_payloads(source))
    return Side(path, source.keys, _identities(source.labels), hashes, vectors, model, source_input(source, path),
                payloads)  # fmt: skip


def _identities(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The labels; numbers of their own where one label holds everything, or a picture has none."""
    if len(labels) > 1 and len(distinct(labels)) == 1:
        return np.arange(len(labels))
    missing = np.flatnonzero(labels < 0)
    if not len(missing):
        return labels
    whole = labels.copy()
    whole[missing] = int(labels.max()) + 1 + np.arange(len(missing))
    return whole
