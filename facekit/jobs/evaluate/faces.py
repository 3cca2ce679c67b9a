"""Where the vectors of an evaluation come from: a folder of vectors, or pictures through a network, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from facekit.embeddings import Embedded, Engine, Features, embed_pictures, is_features, open_features
from facekit.errors import ConfigError, FacekitError
from facekit.evaluate import FaceSet
from facekit.images import decode
from facekit.jobs.inputs.ledger import read_flags
from facekit.jobs.inputs.model import ModelChoice, open_engine
from facekit.jobs.inputs.source import open_source, read_records
from facekit.records.key_rows import rows_of

__all__ = ["Alter", "Faces", "Network", "of_features", "of_pack", "of_payloads", "open_subject"]

Picture = npt.NDArray[np.uint8]
Alter = Callable[[int, Picture], Picture]
"""Number (a key, or a place in a .bin) and picture to another picture; may raise FacekitError where there is none."""


@dataclass(frozen=True)
class Faces:
    """Vectors that are to be compared.

    Attributes
    ----------
    set : FaceSet
    keys : (N,) int64
    masked : (N,) bool
    uncertainty : (N,) float32 or None
    errors : Counter
        Pictures without a vector, by the reason.
    seconds : float
        That the network took; 0 for vectors that were there.
    """

    set: FaceSet
    keys: npt.NDArray[np.int64]
    masked: npt.NDArray[np.bool_]
    uncertainty: npt.NDArray[np.float32] | None = None
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def rows_of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The row of each key; -1: there is no vector."""
        return rows_of(self.keys, keys)


@dataclass(frozen=True)
class Network:
    """A network and how it is used."""

    engine: Engine
    choice: ModelChoice


class EmbeddingCollector:
    """Vectors as they come out of the network, batch by batch."""

    def __init__(self, network: Network) -> None:
        self.network, self.seconds, self.errors = network, 0.0, Counter[str]()
        self._waiting: list[tuple[int, Picture, bool]] = []
        self._done: list[tuple[list[int], Embedded]] = []

    def add(self, number: int, picture: Picture, masked: bool) -> None:
        """One picture more."""
        self._waiting.append((number, picture, masked))
        if len(self._waiting) == self.network.choice.batch:
            self.flush()

    def flush(self) -> None:
        """Embed what waits."""
        if not self._waiting:
            return
        numbers, pictures, masked = zip(*self._waiting, strict=True)
        branch, started = self.network.choice.branch or "ledger", perf_counter()
        flags = np.array(masked) if branch == "ledger" else np.full(len(masked), branch == "masked")
        done = embed_pictures(
            self.network.engine, np.stack(pictures), flags, branch == "both", self.network.choice.flip
        )
        self.seconds += perf_counter() - started
        self._done.append((list(numbers), done))
        self._waiting = []

    def arrays(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Numbers, vectors, uncertainties of the pictures that have a vector."""
        self.flush()
        if not self._done:
            reason = next(iter(self.errors), "there are none")
            raise FacekitError(f"no picture can be embedded: {reason}")
        numbers = np.array([number for part, _ in self._done for number in part], np.int64)
        vectors = np.concatenate([done.vectors for _, done in self._done])
        valid = vectors.any(axis=1)
        self.errors["the network gave no direction"] += int((~valid).sum())
        some = [done.uncertainty for _, done in self._done if done.uncertainty is not None]
        return numbers[valid], vectors[valid], np.concatenate(some)[valid] if some else None


def open_subject(path: str, choice: ModelChoice) -> Network | Features:
    """A folder of vectors, or else a network."""
    if Path(path).is_dir() and not is_features(Path(path)):
        raise ConfigError(f"{path} is a folder without vectors: give a model, or what facekit embed wrote")
    return open_features(path) if is_features(Path(path)) else Network(open_engine(choice), choice)


def of_features(features: Features) -> Faces:
    """All vectors of a folder."""
    loaded = features.load()
    errors = Counter(str(row["error"]) for row in features.failures())
    faces = FaceSet(loaded.vectors, features.labels, features.sources)
    return Faces(faces, features.keys, features.masked, features.uncertainty, errors)


def of_pack(
    network: Network, path: str, alter: Alter | None = None, keys: npt.NDArray[np.int64] | None = None
) -> Faces:
    """The pictures of a pack or folder, or those of some keys.

    Raises
    ------
    ConfigError
        A key is not in the pack, or its pictures do not fit the network.
    """
    source, _ = open_source(path, layout="flat")
    flags = read_flags(source)
    if keys is not None:
        places = np.flatnonzero(np.isin(source.keys, keys))
        missing = np.setdiff1d(keys, source.keys)
        if len(missing):
            raise ConfigError(f"{path} has no picture of key {missing[0]} ({len(missing)} keys are missing)")
        source, flags = source.select_rows(places), flags.select_rows(places)
    collector = EmbeddingCollector(network)
    for (record, _), masked in zip(read_records(source), flags.masked.tolist(), strict=True):
        embed_one(collector, record.key, record.payload, masked, alter)
    numbers, vectors, uncertainty = collector.arrays()
    rows = rows_of(source.keys, numbers)
    faces = FaceSet(vectors, source.labels[rows], flags.sources[rows])
    return Faces(faces, numbers, flags.masked[rows], uncertainty, +collector.errors, collector.seconds)


def of_payloads(network: Network, payloads: Iterator[bytes], alters: tuple[Alter | None, Alter | None]) -> Faces:
    """The pictures of a list of pairs, first and second by turns; keys are their places."""
    collector = EmbeddingCollector(network)
    for place, payload in enumerate(payloads):
        embed_one(collector, place, payload, False, alters[place % 2])
    numbers, vectors, uncertainty = collector.arrays()
    faces = FaceSet(vectors, numbers)
    return Faces(faces, numbers, np.zeros(len(numbers), np.bool_), uncertainty, +collector.errors, collector.seconds)


def embed_one(collector: EmbeddingCollector, number: int, payload: bytes, masked: bool, alter: Alter | None) -> None:
    """Decode, alter and embed one picture, or note why not. A size that does not fit is wrong for all of them."""
    try:
        picture = decode(payload)
        picture = picture if alter is None else alter(number, picture)
    except FacekitError as error:
        collector.errors[getattr(error, "reason", None) or str(error)] += 1
        return
    collector.network.engine.preprocessing.check(picture)
    collector.add(number, picture, masked)
