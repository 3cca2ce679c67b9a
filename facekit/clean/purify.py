"""Vectors and labels in, decisions out: the spine of cleaning."""

from __future__ import annotations

import dataclasses
import logging
from typing import NamedTuple

import numpy as np

from facekit.clean.calibrate import Calibrated, calibrate_eps, calibrate_intra
from facekit.clean.centres import choose_main
from facekit.clean.cluster import Nodes, find_nodes
from facekit.clean.decisions import ACTIONS, REASONS, Decisions, Identities
from facekit.clean.folders import Folders, Vectors, group_folders
from facekit.clean.outliers import score_faces
from facekit.clean.pairs import BlockEngine, Pairs
from facekit.clean.published import merge_identities
from facekit.clean.robust import group_nodes, relabel
from facekit.clean.settings import AUTO, CleanSettings
from facekit.errors import FacekitError

__all__ = ["clean_embeddings"]

_LOG = logging.getLogger(__name__)
_KEEP, _MOVE, _DROP, _REVIEW = range(len(ACTIONS))


class _Given(NamedTuple):
    """What is cleaned."""

    vectors: Vectors
    folders: Folders
    usable: np.ndarray  # (N,) bool: originals, the only ones that may shape a centre or a threshold
    engine: BlockEngine | None


class _Assigned(NamedTuple):
    """One row for each face before new labels are counted; groups are identities after merging."""

    group: np.ndarray  # (N,) int64, -1: out
    action: np.ndarray  # (N,) int8
    reason: np.ndarray  # (N,) int8
    similarity: np.ndarray  # (N,) float32
    decided_by: np.ndarray  # (N,) int64 group whose centre decided
    leader: np.ndarray  # (G,) int64 folder, -1: a new person
    home: np.ndarray  # (F,) int64 group of each folder
    pairs: Pairs  # of folders
    settings: dict[str, object]


def clean_embeddings(
    vectors: Vectors,
    labels: np.ndarray,
    *,
    inter: float = 0.75,
    intra: float | str = 0.25,
    mode: str = "published",
    eps: float | str = 0.55,
    min_samples: int = 2,
    cluster: str = "dbscan",
    union: float = 0.95,
    union_action: str = "join",
    guard: str = "complete",
    near_miss: float = 0.0,
    threads: int = 0,
    copies_of: np.ndarray | None = None,
    shapes_centres: np.ndarray | None = None,
    engine: BlockEngine | None = None,
) -> Decisions:
    """Clean a labelled set of face embeddings: ID-Union, Inter-ID, Intra-ID.

    Parameters
    ----------
    vectors : (N, D) float32
        Embeddings of any length, in an array, a memory map or a store that is sliced like one; a vector of zeros means
        that there is no embedding, and that face is dropped. Memory stays bounded: rows are read a few thousand at a
        time.
    labels : (N,) integers
        The identity of each face: any numbers from 0, in any order, with any gaps.
    inter, intra, mode, eps, min_samples, cluster, union, union_action, guard, near_miss, threads
        See `CleanSettings`.
    copies_of : (N,) integers, optional
        The row that each row is a copy of (a masked copy of a bare face), -1 for originals. Copies never enter a centre
        and follow the decision about their source.
    engine : BlockEngine, optional
        Where pairs of centres are multiplied, the processor by default.

    Returns
    -------
    Decisions
        One row for each face in the order of the input; the same for every order of the input and any number of
        threads.

    Raises
    ------
    ConfigError
        Settings outside what is allowed.
    FacekitError
        Embeddings and labels that do not fit together, or values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> turn = np.array([0.0, 0.1, 0.2, 3.1])
    >>> vectors = np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)
    >>> clean_embeddings(vectors, np.zeros(4, int)).action.tolist()
    ['keep', 'keep', 'keep', 'drop']
    """
    settings = CleanSettings(
        mode, inter, intra, eps, min_samples, cluster, union, union_action, guard, near_miss, threads
    )
    labels = _checked_labels(vectors, labels)
    folders = group_folders(labels)
    given = _Given(vectors, folders, _usable(folders, _checked_copies(copies_of, labels), shapes_centres), engine)
    settings = _with_eps(settings, given)
    nodes = find_nodes(
        vectors,
        folders,
        eps=float(settings.eps),
        min_samples=min_samples,
        method=cluster,
        usable=given.usable,
        threads=settings.workers,
    )
    _LOG.info("%d faces, %d identities, %d clusters", len(labels), len(folders.labels), len(nodes.size))
    assign = _published if mode == "published" else _robust
    return _decide(assign(given, nodes, settings), labels, folders, nodes, copies_of)


def _published(given: _Given, nodes: Nodes, settings: CleanSettings) -> _Assigned:
    vectors, folders, usable, engine = given
    merged = merge_identities(
        nodes,
        len(folders.labels),
        union=settings.union,
        inter=settings.inter,
        near_miss=settings.near_miss,
        guard=settings.guard,
        engine=engine,
        threads=settings.workers,
    )
    folder = folders.of_row
    group = merged.group[folder]
    scores = score_faces(vectors, merged.centres, group, norms=nodes.norms, threads=settings.workers)
    threshold, calibrated = _intra(settings, vectors, merged.centres, np.where(usable, group, -1), scores)
    follower = np.full(len(folders.labels), True)
    follower[merged.leader] = False
    united = follower & merged.by_union
    inside = scores >= threshold
    action = np.where(inside, np.where(follower[folder], _MOVE, _KEEP), _DROP).astype(np.int8)
    joined = np.where(follower, REASONS.index("inter"), REASONS.index("inlier"))
    joined[united] = REASONS.index("union")
    reason = np.where(inside, joined[folder], REASONS.index("intra")).astype(np.int8)
    if settings.union_action == "drop":
        action[united[folder]], reason[united[folder]] = _DROP, REASONS.index("duplicate_label")
    out = np.where(action == _DROP, -1, group)
    found = _record(settings, threshold, settings.inter, calibrated, merged.pairs.recall)
    return _Assigned(out, action, reason, scores, group, merged.leader, merged.group, merged.pairs, found)


def _robust(given: _Given, nodes: Nodes, settings: CleanSettings) -> _Assigned:
    vectors, folders, usable, engine = given
    grouped = group_nodes(nodes, len(folders.labels), guard=settings.guard, engine=engine, threads=settings.workers)
    folder = folders.of_row
    home = np.where(grouped.main >= 0, np.append(grouped.group, -1)[grouped.main], -1)
    clustered = np.append(grouped.group, -1)[nodes.of_row]
    group = np.where(clustered >= 0, clustered, home[folder])
    scores = score_faces(vectors, grouped.centres, group, norms=nodes.norms, threads=settings.workers)
    threshold, calibrated = _intra(settings, vectors, grouped.centres, np.where(usable, group, -1), scores)
    inside = scores >= threshold
    second = inside & (group != home[folder])
    moved = inside & ~second & (np.append(grouped.leader, -1)[group] != folder)
    action = np.where(inside, np.where(second | moved, _MOVE, _KEEP), _DROP).astype(np.int8)
    reason = np.full(len(action), REASONS.index("intra"), np.int8)
    for chosen, name in ((inside, "inlier"), (moved, "inter"), (second, "second_person")):
        reason[chosen] = REASONS.index(name)
    in_hub = np.append(grouped.hub & (grouped.group < 0), False)[nodes.of_row]
    action[in_hub], reason[in_hub] = _REVIEW, REASONS.index("hub")
    out = np.where(np.isin(action, (_KEEP, _MOVE)), group, -1)
    loose = np.flatnonzero((action == _DROP) & (nodes.norms > 0) & usable & (group >= 0))
    if calibrated is not None and len(grouped.centres) > 1:
        fate = relabel(vectors, loose, grouped, calibrated, threshold, engine=engine, threads=settings.workers)
        for chosen, what, name in ((fate.group >= 0, _MOVE, "relabel"), (fate.hub, _REVIEW, "hub")):
            rows = loose[chosen]
            action[rows], reason[rows] = what, REASONS.index(name)
            scores[rows], group[rows] = fate.similarity[chosen], fate.nearest[chosen]
        out[loose] = fate.group
    leaders = nodes.folder[grouped.pairs.left], nodes.folder[grouped.pairs.right]
    pairs = Pairs(*leaders, grouped.pairs.similarity)
    found = _record(settings, threshold, grouped.threshold, calibrated, grouped.pairs.recall)
    return _Assigned(out, action, reason, scores, group, grouped.leader, home, pairs, found)


def _intra(
    settings: CleanSettings, vectors: Vectors, centres: np.ndarray, group: np.ndarray, scores: np.ndarray
) -> tuple[float, Calibrated | None]:
    calibrated = None
    if settings.intra == AUTO or settings.mode == "robust":
        calibrated = calibrate_intra(vectors, centres, group, scores, threads=settings.workers)
    if settings.intra != AUTO:
        return float(settings.intra), calibrated
    if calibrated is None:
        _LOG.warning("too few faces to calibrate intra: %.2f is taken", CleanSettings.intra)
        return float(CleanSettings.intra), None
    return calibrated.threshold, calibrated


def _with_eps(settings: CleanSettings, given: _Given) -> CleanSettings:
    if settings.eps != AUTO:
        return settings
    found = calibrate_eps(given.vectors, given.folders, usable=given.usable)
    if found is None:
        _LOG.warning("too few faces to calibrate eps: %.2f is taken", CleanSettings.eps)
    eps = CleanSettings.eps if found is None else round(1 - found.threshold, 3)
    return dataclasses.replace(settings, eps=eps)


def _record(
    settings: CleanSettings, intra: float, merge: float, null: Calibrated | None, recall: float
) -> dict[str, object]:
    found: dict[str, object] = {k: v for k, v in dataclasses.asdict(settings).items() if k != "threads"}
    found.update(intra=intra, merge=merge, intra_given=settings.intra)
    if recall < 1:
        found.update(pairs_recall=round(recall, 4))
    if null is not None:
        found.update(null_median=round(null.null_median, 4), null_deviation=round(null.null_deviation, 4))
    return found


def _decide(
    given: _Assigned, labels: np.ndarray, folders: Folders, nodes: Nodes, copies_of: np.ndarray | None
) -> Decisions:
    action, reason = given.action, given.reason
    blank = nodes.norms == 0
    action[blank], reason[blank] = _DROP, REASONS.index("no_embedding")
    group = np.where(blank, -1, given.group)
    similarity = np.where(blank, np.nan, given.similarity).astype(np.float32)
    names = np.append(np.where(given.leader >= 0, folders.labels[given.leader], -1), -1)
    nearest = names[given.decided_by]
    if copies_of is not None:
        copy = np.flatnonzero(np.asarray(copies_of) >= 0)
        source = np.asarray(copies_of)[copy]
        for column in (action, group, similarity, nearest):
            column[copy] = column[source]
        reason[copy] = REASONS.index("copy")
    alive = np.unique(group[group >= 0])
    new_label = np.full(len(labels), -1, np.int64)
    new_label[group >= 0] = np.searchsorted(alive, group[group >= 0])
    main = choose_main(nodes, len(folders.labels))
    inside = main[folders.of_row]
    rank = np.where(nodes.of_row < 0, -1, np.where(nodes.of_row == inside, 0, 1)).astype(np.int8)
    threshold = np.full(len(labels), given.settings["intra"], np.float32)
    identities = _identities(given, folders, nodes, main, names)
    pairs = Pairs(folders.labels[given.pairs.left], folders.labels[given.pairs.right], given.pairs.similarity)
    return Decisions(
        action, reason, labels, new_label, similarity, threshold, nearest, rank, identities, pairs, given.settings
    )


def _identities(given: _Assigned, folders: Folders, nodes: Nodes, main: np.ndarray, names: np.ndarray) -> Identities:
    present = main >= 0
    members = np.where(present, np.append(nodes.size, 0)[main], 0)
    fallback = np.where(present, np.append(nodes.fallback, False)[main], False).astype(bool)
    return Identities(folders.labels, folders.sizes, members, fallback, names[given.home])


def _checked_labels(vectors: Vectors, labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    shape = tuple(getattr(vectors, "shape", ()))
    if len(shape) != 2 or shape[1] < 2:
        raise FacekitError(f"embeddings have the shape {shape}: (N, D) with D of at least 2 is needed")
    if labels.ndim != 1 or len(labels) != shape[0]:
        raise FacekitError(f"{shape[0]} embeddings, labels of the shape {labels.shape}: one label for each is needed")
    if len(labels) == 0:
        raise FacekitError("there are no embeddings to clean")
    if labels.dtype.kind not in "iuf" or not np.all(labels == np.floor(labels)):
        raise FacekitError(f"labels are {labels.dtype}: whole numbers are needed")
    labels = labels.astype(np.int64)
    if labels.min() < 0:
        raise FacekitError(f"label {labels.min()} in row {int(labels.argmin())}: labels count from 0")
    return labels


def _usable(folders: Folders, original: np.ndarray, shapes_centres: np.ndarray | None) -> np.ndarray:
    if shapes_centres is None:
        return original
    wanted = np.asarray(shapes_centres)
    if wanted.shape != original.shape or wanted.dtype != bool:
        raise FacekitError(f"shapes_centres is {wanted.shape} of {wanted.dtype}: one bool for each face is needed")
    folder = folders.of_row
    some = np.zeros(len(folders.labels), bool)
    some[folder[original & wanted]] = True
    return original & (wanted | ~some[folder])


def _checked_copies(copies_of: np.ndarray | None, labels: np.ndarray) -> np.ndarray:
    if copies_of is None:
        return np.ones(len(labels), bool)
    source = np.asarray(copies_of)
    if source.shape != labels.shape or not np.issubdtype(source.dtype, np.integer):
        raise FacekitError(f"copies_of is {source.shape} of {source.dtype}: one row number for each face is needed")
    copy = source >= 0
    if np.any(source >= len(labels)) or np.any(source[source[copy]] >= 0):
        raise FacekitError("copies_of names a row that is not there or is a copy itself")
    if np.any(labels[copy] != labels[source[copy]]):
        raise FacekitError("a copy and its source have different labels")
    return ~copy
