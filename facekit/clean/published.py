"""The method as published: ID-Union, Inter-ID and Intra-ID on centre features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facekit.clean.approximate import find_pairs
from facekit.clean.centres import choose_main, unit
from facekit.clean.cluster import Nodes
from facekit.clean.merge import merge_groups
from facekit.clean.pairs import BlockEngine, Pairs, pairs_between

__all__ = ["Merged", "merge_identities"]


class Merged(NamedTuple):
    """Identities after ID-Union and Inter-ID; F folders, G groups in the order of their smallest folder."""

    group: np.ndarray  # (F,) int64, -1: a folder without a single embedding
    leader: np.ndarray  # (G,) int64 the folder with the most members, whose faces keep their identity
    by_union: np.ndarray  # (F,) bool: joined to its leader by ID-Union rather than Inter-ID
    centres: np.ndarray  # (G, D) float32 unit length, from the cluster members of all its folders
    pairs: Pairs  # of folders, everything at or above `inter - near_miss`


def merge_identities(
    nodes: Nodes,
    folders: int,
    *,
    union: float,
    inter: float,
    near_miss: float,
    guard: str,
    engine: BlockEngine | None,
    threads: int,
) -> Merged:
    """Join folders of one person by the centres of their largest clusters."""
    main = choose_main(nodes, folders)
    present = np.flatnonzero(main >= 0)
    sums, size = nodes.sums[main[present]], nodes.size[main[present]]
    centres = unit(sums)
    listed = find_pairs(centres, inter - near_miss, engine=engine, threads=threads)
    pairs = _at_least(listed, inter)
    united = merge_groups(len(present), _at_least(pairs, union), guard=guard, sums=sums, threshold=union)
    names, first = np.unique(united, return_inverse=True)
    sums_united = _group_sums(sums, first, len(names))
    again = _pairs_after(united, names, first, pairs, unit(sums_united), inter, engine, threads)
    second = merge_groups(len(names), again, guard=guard, sums=sums_united, threshold=inter)[first]
    _, group = np.unique(second, return_inverse=True)
    leader = _leaders(group, size)
    out = np.full(folders, -1, np.int64)
    out[present] = group
    by_union = np.zeros(folders, bool)
    by_union[present] = united == united[leader[group]]
    found = Pairs(present[listed.left], present[listed.right], listed.similarity, listed.recall)
    return Merged(out, present[leader], by_union, unit(_group_sums(sums, group, len(leader))), found)


def _at_least(pairs: Pairs, threshold: float) -> Pairs:
    keep = pairs.similarity >= threshold
    return Pairs(pairs.left[keep], pairs.right[keep], pairs.similarity[keep], pairs.recall)


def _group_sums(sums: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    from facekit.clean.kernels import sum_nodes

    total = np.zeros((count, sums.shape[1]), np.float32)
    sum_nodes(sums, group, total)
    return total


def _leaders(group: np.ndarray, size: np.ndarray) -> np.ndarray:
    order = np.lexsort((np.arange(len(group)), -size, group))
    first = np.ones(len(order), bool)
    first[1:] = group[order][1:] != group[order][:-1]
    return order[first]


def _pairs_after(
    united: np.ndarray,
    names: np.ndarray,
    first: np.ndarray,
    pairs: Pairs,
    centres: np.ndarray,
    inter: float,
    engine: BlockEngine | None,
    threads: int,
) -> Pairs:
    """Return the pairs among the united centres: searched again only where a centre has moved."""
    moved = np.bincount(first, minlength=len(names)) > 1
    if not moved.any():
        return pairs
    i, j = first[pairs.left], first[pairs.right]
    still = ~moved[i] & ~moved[j]
    where = np.flatnonzero(moved)
    fresh = pairs_between(centres[where], centres, inter, engine=engine, threads=threads)
    a, b = where[fresh.left], fresh.right
    keep = (a != b) & ~(moved[b] & (a > b))
    left = np.concatenate([i[still], np.minimum(a, b)[keep]])
    right = np.concatenate([j[still], np.maximum(a, b)[keep]])
    return Pairs(left, right, np.concatenate([pairs.similarity[still], fresh.similarity[keep]]))
