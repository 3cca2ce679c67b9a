"""The method as published: ID-Union, Inter-ID and Intra-ID on centre features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facekit.clean.approximate import find_pairs
from facekit.clean.assignment import Assignment, Faces, intra_threshold, settings_in_force
from facekit.clean.centres import choose_main
from facekit.clean.cluster import Nodes
from facekit.clean.decisions import Action, Reason
from facekit.clean.gathered_rows import gather_rows, rows_at, sums_of_groups, unit_rows
from facekit.clean.merge import merge_groups
from facekit.clean.outliers import score_faces
from facekit.clean.pairs import BlockEngine, Pairs, pairs_between
from facekit.clean.settings import CleanSettings

__all__ = ["Merged", "assign_published", "merge_identities"]


class Merged(NamedTuple):
    """Identities after ID-Union and Inter-ID; I identities, G groups in the order of their smallest identity."""

    group: np.ndarray  # (I,) int64, -1: an identity without a single embedding
    leader: np.ndarray  # (G,) int64 the identity with the most members, whose faces keep their label
    by_union: np.ndarray  # (I,) bool: joined to its leader by ID-Union rather than Inter-ID
    centres: np.ndarray  # (G, D) float32 unit length, from the cluster members of all its identities
    pairs: Pairs  # of identities, everything at or above `inter - near_miss`


def assign_published(faces: Faces, nodes: Nodes, settings: CleanSettings) -> Assignment:
    """Merge identities of one person, then drop the faces that are too far from the merged centre."""
    merged = merge_identities(nodes, faces.identities.identity_count, settings, faces.engine)
    identity = faces.identities.of_row
    group = merged.group.astype(np.int32)[identity]
    scores = score_faces(faces.vectors, merged.centres, group, norms=nodes.norms, threads=settings.workers)
    threshold, null = intra_threshold(faces, settings, merged.centres, group, scores)
    action, reason = _outcomes(merged, identity, scores >= threshold, settings.union_action)
    out = group.copy()
    out[action == Action.DROP] = -1
    found = settings_in_force(settings, threshold, settings.inter, null, merged.pairs.recall)
    return Assignment(out, action, reason, scores, group, merged.leader, merged.group, merged.pairs, threshold, found)


def _outcomes(
    merged: Merged, identity: np.ndarray, inside: np.ndarray, union_action: str
) -> tuple[np.ndarray, np.ndarray]:
    """Action and reason of each face, (N,) int8; `inside` (N,) bool: similar enough to the centre."""
    follower = np.ones(len(merged.group), bool)
    follower[merged.leader] = False
    united = follower & merged.by_union
    action = np.where(follower, np.int8(Action.MOVE), np.int8(Action.KEEP))[identity]
    joined = np.where(follower, np.int8(Reason.INTER), np.int8(Reason.INLIER))
    joined[united] = Reason.UNION
    reason = joined[identity]
    action[~inside], reason[~inside] = Action.DROP, Reason.INTRA
    if union_action == "drop":
        action[united[identity]], reason[united[identity]] = Action.DROP, Reason.DUPLICATE_LABEL
    return action, reason


def merge_identities(nodes: Nodes, count: int, settings: CleanSettings, engine: BlockEngine | None = None) -> Merged:
    """Join identities of one person by the centres of their largest clusters: ID-Union, then Inter-ID.

    Parameters
    ----------
    nodes : Nodes
    count : int
        Number of identities.
    settings : CleanSettings
        `union`, `inter`, `near_miss`, `guard` and `workers` are read.
    engine : BlockEngine, optional
    """
    main = choose_main(nodes, count)
    present = np.flatnonzero(main >= 0)
    sums, size = rows_at(nodes.sums, main[present]), nodes.size[main[present]]
    lowest = settings.inter - settings.near_miss
    listed = find_pairs(unit_rows(sums), lowest, engine=engine, threads=settings.workers)
    pairs = _at_least(listed, settings.inter)
    same = _at_least(pairs, settings.union)
    united = merge_groups(len(present), same, guard=settings.guard, sums=sums, threshold=settings.union)
    names, first = np.unique(united, return_inverse=True)
    sums_united = _group_sums(sums, first, len(names))
    after = _pairs_after(first, pairs, sums_united, settings, engine)
    merged = merge_groups(len(names), after, guard=settings.guard, sums=sums_united, threshold=settings.inter)[first]
    _, group = np.unique(merged, return_inverse=True)
    leader = _leaders(group, size)
    out = np.full(count, -1, np.int64)
    out[present] = group
    by_union = np.zeros(count, bool)
    by_union[present] = united == united[leader[group]]
    found = Pairs(present[listed.left], present[listed.right], listed.similarity, listed.recall)
    return Merged(out, present[leader], by_union, unit_rows(_group_sums(sums, group, len(leader))), found)


def _at_least(pairs: Pairs, threshold: float) -> Pairs:
    keep = pairs.similarity >= threshold
    return Pairs(pairs.left[keep], pairs.right[keep], pairs.similarity[keep], pairs.recall)


def _group_sums(sums: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    return gather_rows(sums_of_groups(sums, group, count), sums.shape[1])


def _leaders(group: np.ndarray, size: np.ndarray) -> np.ndarray:
    order = np.lexsort((np.arange(len(group)), -size, group))
    first = np.ones(len(order), bool)
    first[1:] = group[order][1:] != group[order][:-1]
    return order[first]


def _pairs_after(
    first: np.ndarray, pairs: Pairs, sums: np.ndarray, settings: CleanSettings, engine: BlockEngine | None
) -> Pairs:
    """Return the pairs among the united centres: searched again only where a centre has moved."""
    moved = np.bincount(first, minlength=len(sums)) > 1
    if not moved.any():
        return pairs
    i, j = first[pairs.left], first[pairs.right]
    still = ~moved[i] & ~moved[j]
    where = np.flatnonzero(moved)
    centres = unit_rows(sums)
    fresh = pairs_between(centres[where], centres, settings.inter, engine=engine, threads=settings.workers)
    a, b = where[fresh.left], fresh.right
    keep = (a != b) & ~(moved[b] & (a > b))
    left = np.concatenate([i[still], np.minimum(a, b)[keep]])
    right = np.concatenate([j[still], np.maximum(a, b)[keep]])
    return Pairs(left, right, np.concatenate([pairs.similarity[still], fresh.similarity[keep]]))
