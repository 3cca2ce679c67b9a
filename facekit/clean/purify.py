"""Vectors and labels in, decisions out: the spine of cleaning."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

import numpy as np

from facekit.clean.assignment import Assignment, Faces
from facekit.clean.calibrate import calibrate_eps
from facekit.clean.centres import choose_main
from facekit.clean.cluster import PLAUSIBLE_FACES, Clustering, Nodes, cluster_chunks, find_nodes
from facekit.clean.decisions import Action, Decisions, Identities, Reason
from facekit.clean.identity_groups import IdentityGroups, group_by_identity
from facekit.clean.pairs import BlockEngine, Pairs
from facekit.clean.published import assign_published
from facekit.clean.robust import assign_robust
from facekit.clean.settings import AUTO, DEFAULTS, CleanSettings
from facekit.clean.vectors import Vectors
from facekit.errors import FacekitError
from facekit.records.distinct import blocks, distinct_of

__all__ = ["clean_embeddings", "purify"]

_LOG = logging.getLogger(__name__)


def clean_embeddings(
    vectors: Vectors,
    labels: np.ndarray,
    settings: CleanSettings = DEFAULTS,
    *,
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
    settings : CleanSettings
    copies_of : (N,) integers, optional
        The row that each row is a copy of (a masked copy of a bare face), -1 for originals. Copies never enter a centre
        and follow the decision about their source.
    shapes_centres : (N,) bool, optional
        Faces that may shape a centre or a threshold; all by default. The others are judged like any face. An identity
        with none of them is shaped by all of its own.
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
        The chosen clustering needs a package that is not installed.
    FacekitError
        Embeddings and labels that do not fit together, or values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> turn = np.array([0.0, 0.1, 0.2, 3.1])
    >>> vectors = np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)
    >>> clean_embeddings(vectors, np.zeros(4, int), CleanSettings(intra=0.3)).action.tolist()
    ['keep', 'keep', 'keep', 'drop']
    """
    return purify(vectors, labels, settings, copies_of, shapes_centres, engine, cluster_chunks)


def purify(
    vectors: Vectors,
    labels: np.ndarray,
    settings: CleanSettings,
    copies_of: np.ndarray | None,
    shapes_centres: np.ndarray | None,
    engine: BlockEngine | None,
    clustering: Clustering,
) -> Decisions:
    """As `clean_embeddings`; ``clustering`` says who clusters inside the identities."""
    labels = _checked_labels(vectors, labels)
    identities = group_by_identity(labels)
    usable = _usable(identities, _checked_copies(copies_of, labels), shapes_centres)
    faces = Faces(vectors, identities, usable, engine)
    _warn_of_crowds(identities)
    settings = _with_eps(settings, faces)
    nodes = find_nodes(vectors, identities, settings, usable, clustering)
    _LOG.info("%d faces, %d identities, %d clusters", len(labels), identities.identity_count, len(nodes.size))
    assign = assign_published if settings.mode == "published" else assign_robust
    return _decide(assign(faces, nodes, settings), labels, identities, nodes, copies_of)


def _warn_of_crowds(identities: IdentityGroups) -> None:
    """Say which label has more faces than one person plausibly has: comparing all with all grows with the square."""
    sizes = identities.sizes
    large = np.flatnonzero(sizes > PLAUSIBLE_FACES)
    if len(large):
        most = int(large[sizes[large].argmax()])
        _LOG.warning(
            "label %d has %d faces, more than one person plausibly has (%d labels have more than %d): "
            "is it a label for everybody who is unknown? Clustering it takes time with the square of its faces; "
            "leave it out with facekit convert --drop",
            identities.labels[most], sizes[most], len(large), PLAUSIBLE_FACES,
        )  # fmt: skip


def _with_eps(settings: CleanSettings, faces: Faces) -> CleanSettings:
    if settings.eps != AUTO:
        return settings
    found = calibrate_eps(faces.vectors, faces.identities, usable=faces.usable)
    if found is None:
        _LOG.warning("too few faces to calibrate eps: %.2f is taken", DEFAULTS.eps)
    return dataclasses.replace(settings, eps=DEFAULTS.eps if found is None else round(1 - found.threshold, 3))


def _decide(
    found: Assignment, labels: np.ndarray, identities: IdentityGroups, nodes: Nodes, copies_of: np.ndarray | None
) -> Decisions:
    action, reason = found.action, found.reason
    blank = nodes.norms == 0
    action[blank], reason[blank] = Action.DROP, Reason.NO_EMBEDDING
    group, similarity = found.group, found.similarity
    group[blank], similarity[blank] = -1, np.nan
    leaders = np.append(np.where(found.leader >= 0, identities.labels[found.leader], -1), -1)
    if leaders.max() < 1 << 31:
        leaders = leaders.astype(np.int32)  # as many as faces are taken of them
    nearest = leaders[found.decided_by]
    if copies_of is not None:
        copy = _where(np.asarray(copies_of), lambda some: some >= 0)
        source = np.asarray(copies_of)[copy]
        for column in (action, group, similarity, nearest):
            column[copy] = column[source]
        reason[copy] = Reason.COPY
    main = choose_main(nodes, identities.identity_count)
    return Decisions(
        action_code=action,
        reason_code=reason,
        old_label=labels,
        new_label=_number_through(group),
        similarity=similarity,
        threshold=np.broadcast_to(np.float32(found.intra), len(labels)),
        nearest=nearest,
        cluster=_cluster_ranks(nodes, main.astype(np.int32)[identities.of_row]),
        identities=_identities(identities, nodes, main, leaders[found.group_of_identity].astype(np.int64)),
        pairs=Pairs(identities.labels[found.pairs.left], identities.labels[found.pairs.right], found.pairs.similarity),
        settings=found.settings,
    )


def _where(values: np.ndarray, test: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The rows for which a test holds, (n,) int64."""
    found = [part.start + np.flatnonzero(test(values[part])) for part in blocks(len(values))]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _unknown(copies_of: np.ndarray) -> bool:
    """Whether one and the same -1 stands for all rows, which takes no memory."""
    given = np.asarray(copies_of)
    return given.ndim == 1 and given.strides == (0,) and len(given) > 0 and int(given[0]) == -1


def _number_through(group: np.ndarray) -> np.ndarray:
    alive = distinct_of(group[part][group[part] >= 0] for part in blocks(len(group)))
    numbered = np.full(len(group), -1, np.int64)
    for part in blocks(len(group)):
        inside = group[part] >= 0
        numbered[part][inside] = np.searchsorted(alive, group[part][inside])
    return numbered


def _cluster_ranks(nodes: Nodes, main: np.ndarray) -> np.ndarray:
    """(N,) int8, 0 in the main cluster of a row's identity, 1 in another, -1 in none; `main` (N,) int32."""
    ranks = (nodes.of_row != main).astype(np.int8)
    ranks[nodes.of_row < 0] = -1
    return ranks


def _identities(identities: IdentityGroups, nodes: Nodes, main: np.ndarray, merged_into: np.ndarray) -> Identities:
    members, fallback = np.append(nodes.size, 0)[main], np.append(nodes.fallback, False)[main]
    return Identities(identities.labels, identities.sizes, members, fallback, merged_into)


def _checked_labels(vectors: Vectors, labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    shape = tuple(getattr(vectors, "shape", ()))
    if len(shape) != 2 or shape[1] < 2:
        raise FacekitError(f"embeddings have the shape {shape}: (N, D) with D of at least 2 is needed")
    if labels.ndim != 1 or len(labels) != shape[0]:
        raise FacekitError(f"{shape[0]} embeddings, labels of the shape {labels.shape}: one label for each is needed")
    if len(labels) == 0:
        raise FacekitError("there are no embeddings to clean")
    if labels.dtype.kind not in "iuf" or (labels.dtype.kind == "f" and not np.all(labels == np.floor(labels))):
        raise FacekitError(f"labels are {labels.dtype}: whole numbers are needed")
    labels = labels.astype(np.int64, copy=False)
    if labels.min() < 0:
        raise FacekitError(f"label {labels.min()} in row {int(labels.argmin())}: labels count from 0")
    return labels


def _usable(identities: IdentityGroups, original: np.ndarray, shapes_centres: np.ndarray | None) -> np.ndarray:
    if shapes_centres is None:
        return original
    wanted = np.asarray(shapes_centres)
    if wanted.shape != original.shape or wanted.dtype != bool:
        raise FacekitError(f"shapes_centres is {wanted.shape} of {wanted.dtype}: one bool for each face is needed")
    if wanted.all():
        return original
    identity = identities.of_row
    some = np.zeros(identities.identity_count, bool)
    some[identity[original & wanted]] = True
    return original & (wanted | ~some[identity])


def _checked_copies(copies_of: np.ndarray | None, labels: np.ndarray) -> np.ndarray:
    if copies_of is None or _unknown(copies_of):
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
