"""Where the vectors of an evaluation come from: a folder of vectors, or pictures through a network, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.gathered_rows import GatheredRows
from facekit.embeddings import (
    ArrayVectors,
    Embeddings,
    Engine,
    Features,
    VectorRows,
    embed_pictures,
    is_features,
    open_features,
)
from facekit.errors import ConfigError, FacekitError
from facekit.evaluate import FaceSet
from facekit.images import decode
from facekit.jobs.embed.pace import seconds_a_picture
from facekit.jobs.evaluate.mapped_faces import MappedFaces
from facekit.jobs.inputs.branches import AUTO, KNOWN, branch_flags
from facekit.jobs.inputs.ledger import read_bins_flags, read_flags
from facekit.jobs.inputs.model import ModelChoice, open_engine
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.source_records import read_records
from facekit.output.dry_run import is_dry
from facekit.records.bins import Bins
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import describe_path, export_cure

__all__ = ["Alter", "Faces", "Network", "mapped", "of_bins", "of_features", "of_pack", "open_subject"]

Picture = npt.NDArray[np.uint8]
Places = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Alter:
    """What is done to pictures before they are embedded.

    Attributes
    ----------
    change : callable
        Number (a key, or a place in a .bin) and picture to another picture; may raise FacekitError where there is none.
    wears : bool
        What comes out wears a mask.
    """

    change: Callable[[int, Picture], Picture]
    wears: bool = False

    def __call__(self, number: int, picture: Picture) -> Picture:
        return self.change(number, picture)


@dataclass(frozen=True)
class Faces:
    """Vectors that are to be compared.

    Attributes
    ----------
    set : FaceSet
    keys : (N,) int64
    masked : (N,) bool
        Which wear a mask: by a ledger, or because one was put on for the evaluation.
    uncertainty : (N,) float32 or None
    errors : Counter
        Pictures without a vector, by the reason.
    seconds : float
        That the network took; 0 for vectors that were there.
    branches : Counter
        Pictures with a vector by the branch they took: face, masked or both; empty of a network without branches.
    norms : (N,) float32 or None
        Of the vectors before normalisation.
    """

    set: FaceSet
    keys: npt.NDArray[np.int64]
    masked: npt.NDArray[np.bool_]
    uncertainty: npt.NDArray[np.float32] | None = None
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    branches: Counter[str] = field(default_factory=Counter)
    norms: npt.NDArray[np.float32] | None = None

    def rows_of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The row of each key; -1: there is no vector."""
        return rows_of(self.keys, keys)

    def vectors_at(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(n, D) float32."""
        return self.set.vectors[rows]

    def labels_at(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n,) int64."""
        return self.set.labels[rows]


@dataclass(frozen=True)
class Network:
    """A network and how it is used."""

    engine: Engine
    choice: ModelChoice


class _Batch(NamedTuple):
    """What was embedded at once."""

    numbers: npt.NDArray[np.int64]
    masked: npt.NDArray[np.bool_]
    flags: npt.NDArray[np.bool_]
    norms: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float32] | None


class EmbeddingCollector:
    """Vectors as they come out of the network, batch by batch."""

    def __init__(self, network: Network) -> None:
        self.network, self.seconds, self.errors = network, 0.0, Counter[str]()
        self._waiting: list[tuple[int, Picture, bool]] = []
        self._done: list[_Batch] = []
        self._vectors = GatheredRows()

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
        worn, branch, started = np.array(masked), self.network.choice.branch, perf_counter()
        images = np.stack(pictures)
        flags = branch_flags(branch, worn, images)
        done = embed_pictures(self.network.engine, images, flags, branch == "both", self.network.choice.flip)
        self.seconds += perf_counter() - started
        valid = done.vectors.any(axis=1)
        self.errors["the network gave no direction"] += int((~valid).sum())
        self._vectors.add(done.vectors[valid])
        uncertainty = None if done.uncertainty is None else done.uncertainty[valid]
        found = _Batch(np.array(numbers, np.int64)[valid], worn[valid], flags[valid], done.norms[valid], uncertainty)
        self._done.append(found)
        self._waiting = []

    def faces(self, labels: Places, sources: Places | None = None) -> Faces:
        """The pictures that have a vector; labels and sources from their numbers."""
        self.flush()
        if not self._done:
            reason = next(iter(self.errors), "there are none")
            raise FacekitError(f"no picture can be embedded: {reason}")
        numbers = np.concatenate([done.numbers for done in self._done])
        masked = np.concatenate([done.masked for done in self._done])
        some = [done.uncertainty for done in self._done if done.uncertainty is not None]
        vectors = VectorRows(ArrayVectors(self._vectors.array()))
        found = FaceSet(vectors, labels(numbers), None if sources is None else sources(numbers))
        uncertainty = np.concatenate(some) if some else None
        branch = self.network.choice.branch or KNOWN if self.network.engine.takes_flag else None
        norms = np.concatenate([done.norms for done in self._done])
        flags = np.concatenate([done.flags for done in self._done])
        taken = _branches(branch, flags)
        return Faces(found, numbers, masked, uncertainty, +self.errors, self.seconds, taken, norms)


def _branches(branch: str | None, flags: npt.NDArray[np.bool_]) -> Counter[str]:
    """Pictures by the branch that they take."""
    if branch is None:
        return Counter()
    if branch not in (KNOWN, AUTO):
        return Counter({branch: len(flags)})
    return +Counter({"face": int((~flags).sum()), "masked": int(flags.sum())})


def open_subject(path: str, choice: ModelChoice) -> Network | Features:
    """A folder of vectors, or else a network."""
    if Path(path).is_dir() and not is_features(Path(path)):
        raise ConfigError(f"{path} is {describe_path(path)}, neither vectors nor a model{export_cure(path)}")
    return open_features(path) if is_features(Path(path)) else Network(open_engine(choice), choice)


def of_features(features: Features) -> Faces:
    """All vectors of a folder, which are read where they lie."""
    errors, labels = features.reasons(), features.column("label")
    stand_ins = _stand_ins(len(features.keys))
    if not is_dry():
        Embeddings(stand_ins, labels, features.keys)
    faces = FaceSet(stand_ins if is_dry() else VectorRows(features), labels, features.column("source_key"))
    branches = _branches_of(features)
    return Faces(faces, features.keys, features.masked, features.uncertainty, errors, 0.0, branches, features.norms)


def mapped(features: Features) -> MappedFaces:
    """All vectors of a folder, in their files."""
    return MappedFaces(features, features.reasons(), _branches_of(features))


def _branches_of(features: Features) -> Counter[str]:
    """Pictures by the branch that they took; what a picture looked like is not kept beside its vector."""
    branch = features.description.get("branch")
    return Counter({AUTO: len(features.masked)}) if branch == AUTO else _branches(branch, features.masked)


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
    read = ((record.key, record.payload) for record, _ in read_records(source))
    if is_dry():
        seconds = _rehearsed(network, read, alter)
        found = FaceSet(_stand_ins(len(source)), source.labels, flags.sources)
        return Faces(found, source.keys, flags.masked | _wears(alter), seconds=seconds * len(source))
    collector = EmbeddingCollector(network)
    for (key, payload), masked in zip(read, flags.masked.tolist(), strict=True):
        embed_one(collector, key, payload, masked, alter)

    def rows(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return rows_of(source.keys, numbers)

    return collector.faces(lambda numbers: source.labels[rows(numbers)], lambda numbers: flags.sources[rows(numbers)])


def _stand_ins(count: int) -> npt.NDArray[np.float32]:
    """What stands for vectors where an evaluation is only planned."""
    return np.ones((count, 1), np.float32)


def _wears(alter: Alter | None) -> bool:
    return alter is not None and alter.wears


def _rehearsed(network: Network, read: Iterable[tuple[int, bytes]], *alters: Alter | None) -> float:
    """Seconds that a picture takes; the first ones are embedded, as all will be, and dropped.

    Raises
    ------
    ConfigError, FacekitError
        They do not fit the network, or there are none.
    """
    some = list(islice(read, network.choice.batch))

    def do(count: int) -> None:
        collector = EmbeddingCollector(network)
        for place, (number, payload) in enumerate(some[:count]):
            embed_one(collector, number, payload, False, alters[place % len(alters)])
        collector.flush()

    if not some:
        EmbeddingCollector(network).faces(lambda numbers: numbers)
    return seconds_a_picture(do, len(some))


def of_bins(network: Network, path: str, bins: Bins, alters: tuple[Alter | None, Alter | None]) -> Faces:
    """The pictures of a list of pairs, first and second by turns; keys are their places.

    Raises
    ------
    FacekitError
        The ledger beside the file is of another.
    """
    flags = read_bins_flags(Path(path), bins)
    if is_dry():
        seconds, places = _rehearsed(network, enumerate(bins.payloads), *alters), np.arange(len(bins.payloads))
        masked = flags | np.array([_wears(alter) for alter in alters])[places % 2]
        return Faces(FaceSet(_stand_ins(len(places)), places), places, masked, seconds=seconds * len(places))
    collector = EmbeddingCollector(network)
    for place, (payload, worn) in enumerate(zip(bins.payloads, flags.tolist(), strict=True)):
        embed_one(collector, place, payload, worn, alters[place % 2])
    return collector.faces(lambda numbers: numbers)


def embed_one(collector: EmbeddingCollector, number: int, payload: bytes, masked: bool, alter: Alter | None) -> None:
    """Decode, alter and embed one picture, or note why not. A size that does not fit is wrong for all of them."""
    try:
        picture = decode(payload)
        picture = picture if alter is None else alter(number, picture)
    except FacekitError as error:
        collector.errors[getattr(error, "reason", None) or str(error)] += 1
        return
    collector.network.engine.preprocessing.check(picture)
    collector.add(number, picture, masked or (alter is not None and alter.wears))
