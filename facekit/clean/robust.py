"""Robust mode: what was measured to be better than the published method on planted noise (benchmarks/clean_quality.py).

Every coherent cluster takes part, not only the largest of a folder, so a second person inside a folder finds the folder
it belongs to or becomes an identity of its own. Similarity is corrected for the sizes of the clusters and its threshold
is the valley between look-alikes and duplicates, found anew each time. Outliers move to the identity they belong to if
that is far beyond chance and clearly the best; an identity that attracts more faces than a person plausibly would is a
hub, and what it attracts goes to a person for review.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from facekit.clean.approximate import find_pairs
from facekit.clean.centres import choose_main, size_aware_rows, unit
from facekit.clean.cluster import Nodes
from facekit.clean.merge import merge_groups
from facekit.clean.pairs import BlockEngine, Pairs

__all__ = ["Relabelled", "RobustGroups", "calibrate_merge", "group_nodes", "relabel"]

FEWEST_TO_MATCH = 3
FEWEST_ALONE = 5
HUB_DEGREE = 8
LOOK_FROM = 0.45
DEFAULT_MERGE = 0.85
LOWEST_MERGE, HIGHEST_MERGE = 0.75, 0.92
BANDWIDTH = 0.025
RELABEL_MARGIN = 0.1


class RobustGroups(NamedTuple):
    """Identities made of clusters; M nodes, F folders, G groups in the order of their first folder."""

    group: np.ndarray  # (M,) int64 -1: the cluster stays out
    hub: np.ndarray  # (M,) bool
    main: np.ndarray  # (F,) int64 the main node of each folder, -1: none
    leader: np.ndarray  # (G,) int64 the folder that gives the group its identity; -1: a new person
    centres: np.ndarray  # (G, D) float32 unit length
    size: np.ndarray  # (G,) int64 members
    pairs: Pairs  # of nodes, size-aware similarity
    threshold: float


class Relabelled(NamedTuple):
    """What becomes of faces that are outliers of their own identity."""

    group: np.ndarray  # (n,) int64 the identity each belongs to, -1: to none
    hub: np.ndarray  # (n,) bool: would have gone to a hub
    similarity: np.ndarray  # (n,) float32 with the best centre
    nearest: np.ndarray  # (n,) int64 the best centre


def calibrate_merge(similarity: np.ndarray) -> float:
    """Return the valley between look-alikes and duplicates among size-aware similarities; `DEFAULT_MERGE` where none
    shows.

    Duplicates lie near 1, whatever the sizes: that is what size-aware means. The valley is the lowest kernel density
    below that peak.
    """
    if np.count_nonzero((similarity > DEFAULT_MERGE) & (similarity < 1.15)) < 5:
        return DEFAULT_MERGE
    grid = np.arange(LOW_GRID, 1.15, 0.005)
    density = np.exp(-0.5 * ((grid[:, None] - similarity[None, :]) / BANDWIDTH) ** 2).sum(1)
    peak = int(np.argmax(np.where(grid >= DEFAULT_MERGE, density, -1)))
    inside = (grid >= LOWEST_MERGE) & (grid <= min(HIGHEST_MERGE, grid[peak]))
    lowest = np.flatnonzero(inside & (density <= density[inside].min() * 1.001 + 1e-9))
    return round(float(grid[lowest[len(lowest) // 2]]), 3)


LOW_GRID = 0.5


def group_nodes(nodes: Nodes, folders: int, *, guard: str, engine: BlockEngine | None, threads: int) -> RobustGroups:
    """Join clusters of one person within and across folders."""
    main = choose_main(nodes, folders)
    is_main = np.zeros(len(nodes.size), bool)
    is_main[main[main >= 0]] = True
    used = np.flatnonzero(is_main | (nodes.size >= FEWEST_TO_MATCH))
    sums, size = nodes.sums[used], nodes.size[used]
    pairs = find_pairs(size_aware_rows(sums, size), LOOK_FROM, engine=engine, threads=threads)
    hub = _find_hubs(len(used), pairs)
    clear = ~hub[pairs.left] & ~hub[pairs.right]
    threshold = calibrate_merge(pairs.similarity[clear])
    joined = clear & (pairs.similarity >= threshold)
    named = merge_groups(len(used), Pairs(*(c[joined] for c in pairs[:3])), guard=guard, sums=sums, threshold=threshold)
    alone = np.bincount(named, minlength=len(used))[named] == 1
    stay = is_main[used] | (~hub & (~alone | (size >= FEWEST_ALONE)))
    group = np.full(len(nodes.size), -1, np.int64)
    names, group[used[stay]] = np.unique(named[stay], return_inverse=True)
    all_hubs = np.zeros(len(nodes.size), bool)
    all_hubs[used] = hub
    found = Pairs(used[pairs.left], used[pairs.right], pairs.similarity)
    return _assemble(nodes, group, len(names), all_hubs, main, is_main, found, threshold)


def _find_hubs(count: int, pairs: Pairs) -> np.ndarray:
    near = pairs.similarity >= LOWEST_MERGE
    degree = np.bincount(np.concatenate([pairs.left[near], pairs.right[near]]), minlength=count)
    return degree > HUB_DEGREE


def _assemble(
    nodes: Nodes,
    group: np.ndarray,
    count: int,
    hub: np.ndarray,
    main: np.ndarray,
    is_main: np.ndarray,
    pairs: Pairs,
    threshold: float,
) -> RobustGroups:
    from facekit.clean.kernels import sum_nodes

    sums = np.zeros((count, nodes.sums.shape[1]), np.float32)
    sum_nodes(nodes.sums, group, sums)
    size = np.bincount(group[group >= 0], weights=nodes.size[group >= 0], minlength=count).astype(np.int64)
    order = np.lexsort((nodes.folder, -nodes.size))
    order = order[(group[order] >= 0) & is_main[order]][::-1]
    leader = np.full(count, -1, np.int64)
    leader[group[order]] = nodes.folder[order]
    return RobustGroups(group, hub, main, leader, unit(sums), size, pairs, threshold)


def relabel(
    nearest: np.ndarray,
    similarity: np.ndarray,
    size: np.ndarray,
    null_median: float,
    null_deviation: float,
    floor: float,
) -> Relabelled:
    """Decide where outliers belong.

    Parameters
    ----------
    nearest : (n, 2) int64
        The two most similar centres of each outlier.
    similarity : (n, 2) float32
    size : (G,) int64
        Members of each identity.
    null_median, null_deviation : float
        Of similarities between a face and a stranger's centre. A face is relabelled only beyond what the best of G
        strangers reaches by chance once in a hundred, and at `floor` or above.
    """
    chance = NormalDist().inv_cdf(1 - 0.01 / max(len(size), 2))
    least = max(floor, null_median + chance * null_deviation)
    best, second = similarity[:, 0], np.maximum(similarity[:, 1], -1)
    belongs = (best >= least) & (best - second >= RELABEL_MARGIN) & (nearest[:, 0] >= 0)
    arrived = np.bincount(nearest[belongs, 0], minlength=len(size))
    plausible = np.maximum(5, size)
    hub = belongs & (arrived > plausible)[np.maximum(nearest[:, 0], 0)]
    return Relabelled(np.where(belongs & ~hub, nearest[:, 0], -1), hub, best, nearest[:, 0])
