"""The protocols of a benchmark: which vectors are compared with which, and what is scored of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError
from facekit.evaluate import AllPairs, FaceSet, combined_score, verify_all
from facekit.evaluate.operating_points import allowed_accepts
from facekit.jobs.benchmark.folder import Benchmark, FaceTable
from facekit.jobs.benchmark.plan import BARE, MASKED, STYLES
from facekit.jobs.evaluate.comparisons import Score, score_all_pairs, score_or_reason
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Faces
from facekit.jobs.inputs.pair_tables import read_pairs

__all__ = [
    "ALIKE",
    "AS_DRAWN",
    "BARE_TO_BARE",
    "MASKED_TO_BARE",
    "PAIRS",
    "Protocol",
    "alikeness",
    "drawn_people",
    "protocols_of",
    "score_of",
    "scores_of",
    "tar_of",
]

MASKED_TO_BARE, BARE_TO_BARE, CHILDREN, PAIRS = "masked to bare", "bare to bare", "children", "verification pairs"
AS_DRAWN = "as drawn"
"""The pictures that were restyled, before."""

ALIKE = 0.16
"""Networks of photographs find two drawn people more alike than this on average, those of drawn people less:
benchmarks/drawn_ranking.py."""
Rows = npt.NDArray[np.bool_]


class Protocol(NamedTuple):
    """A comparison of all pairs.

    Attributes
    ----------
    name : str
    probe : (N,) bool
        Of the pictures of the benchmark.
    gallery : (N,) bool or None
        None: the probes with each other.
    """

    name: str
    probe: Rows
    gallery: Rows | None = None


def protocols_of(faces: FaceTable) -> Iterator[Protocol]:
    """All comparisons of a benchmark, in the order of its table."""
    adult, bare = ~faces.child, faces.role == BARE
    everybody = adult & bare
    yield Protocol(MASKED_TO_BARE, faces.role == MASKED, everybody)
    yield Protocol(BARE_TO_BARE, everybody)
    yield Protocol(CHILDREN, faces.child & bare)
    for column, values in (("skin", faces.skin), ("age", faces.age)):
        for name in sorted(set(values[everybody].tolist())):
            yield Protocol(f"{column} {name}", everybody & (values == name))
    for name in dict.fromkeys(faces.role.tolist()):
        if name.startswith(("noise ", "blur ")):
            yield Protocol(f"{name} to bare", faces.role == name, everybody)
    styled = np.isin(faces.image, faces.image[faces.role == STYLES[0]])
    yield Protocol(AS_DRAWN, everybody & styled)
    for style in STYLES:
        yield Protocol(style, faces.role == style)


def scores_of(benchmark: Benchmark, faces: Faces, config: EvalConfig) -> list[Score]:
    """Score every protocol, and the verification list.

    Parameters
    ----------
    benchmark : Benchmark
    faces : Faces
        Vectors of its pictures.
    config : EvalConfig
        Replicates of the intervals, and the seed of them.

    Returns
    -------
    list of Score
        Of a comparison that cannot be made, such as of a group with too few people, the reason.
    """
    table, rows = benchmark.faces, faces.rows_of(benchmark.faces.key)
    found = []
    for protocol in protocols_of(table):
        probe, gallery = (_set(table, faces, rows, side) for side in (protocol.probe, protocol.gallery))
        assert probe is not None
        found.append(_score(benchmark, config, protocol.name, probe, gallery))
    return [*found, _verification(benchmark, faces, config)]


def _set(table: FaceTable, faces: Faces, rows: npt.NDArray[np.int64], chosen: Rows | None) -> FaceSet | None:
    if chosen is None:
        return None
    there = chosen & (rows >= 0)
    return FaceSet(faces.set.vectors[rows[there]], table.person[there], table.source[there])


def _score(benchmark: Benchmark, config: EvalConfig, name: str, probe: FaceSet, gallery: FaceSet | None) -> Score:
    try:
        scores = _all_pairs(benchmark, probe, gallery)
    except ConfigError as error:
        return Score(name, refused=str(error))
    return score_all_pairs(config, name, scores, probe, gallery)


def _all_pairs(benchmark: Benchmark, probe: FaceSet, gallery: FaceSet | None) -> AllPairs:
    """At the benchmark's FARs, those that there are impostor pairs enough for."""
    impostor = _impostors(probe, gallery)
    fars = [far for far in benchmark.spec.fars if _is_measurable(far, impostor)]
    return verify_all(probe, gallery, fars or benchmark.spec.fars[:1])


def _is_measurable(far: float, impostor: int) -> bool:
    try:
        return allowed_accepts(far, impostor) > 0
    except ConfigError:
        return False


def _impostors(probe: FaceSet, gallery: FaceSet | None) -> int:
    """Pairs of two people."""
    size = int(max(probe.labels.max(initial=0), 0 if gallery is None else gallery.labels.max(initial=0))) + 1
    own = np.bincount(probe.labels, minlength=size)
    if gallery is None:
        return int((own.sum() ** 2 - (own**2).sum()) // 2)
    other = np.bincount(gallery.labels, minlength=size)
    return int(own.sum() * other.sum() - (own * other).sum())


def _verification(benchmark: Benchmark, faces: Faces, config: EvalConfig) -> Score:
    """Of the list, in folds that share no person."""
    listed = read_pairs(str(benchmark.folder / "pairs.csv"))
    rows = faces.rows_of(listed.keys.ravel()).reshape(-1, 2)
    there = (rows >= 0).all(axis=1)
    rows, same = rows[there], listed.same[there]
    similarity = np.einsum("pd,pd->p", faces.set.vectors[rows[:, 0]], faces.set.vectors[rows[:, 1]])
    places = np.searchsorted(benchmark.faces.key, listed.keys[there])
    return score_or_reason(PAIRS, similarity, same, benchmark.faces.person[places], config)


def alikeness(faces: FaceSet) -> float | None:
    """Mean cosine of two pictures of different people; None where there is one person only.

    Training on a kind of pictures spreads their vectors around zero; a kind that a network never saw lies together.

    Parameters
    ----------
    faces : FaceSet

    Returns
    -------
    float or None
    """
    vectors = faces.vectors[:].astype(np.float64)
    _, person = np.unique(faces.labels, return_inverse=True)
    sums, counts = np.zeros((int(person.max(initial=-1)) + 1, vectors.shape[1])), np.bincount(person)
    np.add.at(sums, person, vectors)
    pairs = int(counts.sum() ** 2 - (counts**2).sum())
    total = sums.sum(axis=0)
    return float(total @ total - (sums**2).sum()) / pairs if pairs else None


def drawn_people(benchmark: Benchmark, faces: Faces) -> FaceSet:
    """The bare pictures of its adults that have a vector."""
    table = benchmark.faces
    found = _set(table, faces, faces.rows_of(table.key), (table.role == BARE) & ~table.child)
    assert found is not None
    return found


def tar_of(scores: list[Score], name: str, far: float) -> float | None:
    """The TAR of a protocol at a FAR; None where it was not measured."""
    points = next((score.points for score in scores if score.name == name), ())
    return next((point.tar for point in points if point.far == far), None)


def score_of(scores: list[Score], far: float) -> float | None:
    """A quarter of masked to bare and three quarters of bare to bare, as the challenge weighs them."""
    masked, bare = (tar_of(scores, name, far) for name in (MASKED_TO_BARE, BARE_TO_BARE))
    return None if masked is None or bare is None else combined_score(masked, bare)
