"""Robust mode: what was measured to be better than the published method on planted noise (benchmarks/clean_quality.py).

Every coherent cluster takes part, not only the largest of an identity, so a second person under one label finds the
identity it belongs to or becomes an identity of its own. Similarity is corrected for the sizes of the clusters and its
threshold is the valley between look-alikes and duplicates, found anew each time. Outliers move to the identity they
belong to if that is far beyond chance and clearly the best; an identity that attracts more faces than a person
plausibly would is a hub, and what it attracts goes to a person for review.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from facekit.clean.approximate import find_pairs
from facekit.clean.assignment import Assignment, Faces, intra_threshold, settings_in_force
from facekit.clean.calibrate import Calibrated
from facekit.clean.centres import choose_main, size_aware_rows
from facekit.clean.cluster import Nodes
from facekit.clean.decisions import Action, Reason
from facekit.clean.gathered_rows import gather_rows, gathered_unit_rows, rows_at, sums_of_groups
from facekit.clean.merge import merge_groups
from facekit.clean.outliers import score_faces
from facekit.clean.pairs import BlockEngine, Pairs, pairs_between
from facekit.clean.settings import CleanSettings
from facekit.clean.vectors import Vectors, unit

__all__ = ["Relabelled", "RobustGroups", "assign_robust", "calibrate_merge", "group_nodes", "relabel"]

MIN_TO_MATCH = 3
"""Faces of a smaller cluster that find no other cluster of their person by themselves."""

MIN_ALONE = 5
"""Faces of a second person that become an identity of their own."""

HUB_DEGREE = 8
MIN_LISTED = 0.45
"""Size-aware similarity from which pairs of clusters are listed."""

DEFAULT_MERGE = 0.85
LOWEST_MERGE, HIGHEST_MERGE = 0.75, 0.92
LOW_GRID, HIGH_GRID, GRID_STEP = 0.5, 1.15, 0.005
BANDWIDTH = 0.025
RELABEL_MARGIN = 0.1
PLAUSIBLE_ARRIVALS = 5
OUTLIER_ROWS = 65536


class RobustGroups(NamedTuple):
    """Identities made of clusters; M nodes, I identities, G groups in the order of their first identity."""

    group: np.ndarray  # (M,) int64 -1: the cluster stays out
    hub: np.ndarray  # (M,) bool
    main: np.ndarray  # (I,) int64 the main node of each identity, -1: none
    leader: np.ndarray  # (G,) int64 the identity that gives the group its identity; -1: a new person
    centres: np.ndarray  # (G, D) float32 unit length
    size: np.ndarray  # (G,) int64 members
    pairs: Pairs  # of nodes, size-aware similarity
    threshold: float


class Relabelled(NamedTuple):
    """What becomes of faces that are outliers of their own identity."""

    group: np.ndarray  # (n,) int64 the identity each belongs to, -1: to none
    hub: np.ndarray  # (n,) bool: would have gone to a hub
    similarity: np.ndarray  # (n,) float32 with the best centre, where there is one
    nearest: np.ndarray  # (n,) int64 the best centre, -1: none is near


def calibrate_merge(similarity: np.ndarray) -> float:
    """Return the valley between look-alikes and duplicates among size-aware similarities, or `DEFAULT_MERGE`.

    Duplicates lie near 1, whatever the sizes: that is what size-aware means. The valley is the lowest kernel density
    below that peak.

    Parameters
    ----------
    similarity : (P,) float64
        Of pairs of clusters.
    """
    if np.count_nonzero((similarity > DEFAULT_MERGE) & (similarity < HIGH_GRID)) < 5:
        return DEFAULT_MERGE
    edges = np.arange(LOW_GRID, HIGH_GRID + GRID_STEP, GRID_STEP)
    grid = (edges[:-1] + edges[1:]) / 2
    kernel = np.exp(-0.5 * ((grid - grid.mean()) / BANDWIDTH) ** 2)
    density = np.convolve(np.histogram(similarity, edges)[0], kernel, mode="same")
    peak = int(np.argmax(np.where(grid >= DEFAULT_MERGE, density, -1)))
    inside = (grid >= LOWEST_MERGE) & (grid <= min(HIGHEST_MERGE, grid[peak]))
    lowest = np.flatnonzero(inside & (density <= density[inside].min() * 1.001 + 1e-9))
    return round(float(grid[lowest[len(lowest) // 2]]), 3)


def assign_robust(faces: Faces, nodes: Nodes, settings: CleanSettings) -> Assignment:
    """Group clusters of one person, drop what is too far from its centre, and move outliers to where they belong."""
    grouped = group_nodes(nodes, faces.identities.identity_count, settings, faces.engine)
    identity = faces.identities.of_row
    home, clustered = _at(grouped.group, grouped.main), _at(grouped.group, nodes.of_row)
    group = np.where(clustered >= 0, clustered, home[identity])
    del clustered
    scores = score_faces(faces.vectors, grouped.centres, group, norms=nodes.norms, threads=settings.workers)
    threshold, null = intra_threshold(faces, settings, grouped.centres, group, scores)
    second = group != home[identity]
    moved = ~second & (_at(grouped.leader, group) != identity)
    action, reason = _outcomes(scores >= threshold, second, moved)
    in_hub = np.append(grouped.hub & (grouped.group < 0), False)[nodes.of_row]
    action[in_hub], reason[in_hub] = Action.REVIEW, Reason.HUB
    out = np.where((action == Action.KEEP) | (action == Action.MOVE), group, np.int32(-1))
    outliers = np.flatnonzero((action == Action.DROP) & (nodes.norms > 0) & faces.usable & (group >= 0))
    if null is not None and len(grouped.centres) > 1:
        relabelled = relabel(
            faces.vectors, outliers, grouped, null, threshold, engine=faces.engine, threads=settings.workers
        )
        for chosen, what, why in (
            (relabelled.group >= 0, Action.MOVE, Reason.RELABEL),
            (relabelled.hub, Action.REVIEW, Reason.HUB),
        ):
            rows = outliers[chosen]
            action[rows], reason[rows] = what, why
            scores[rows], group[rows] = relabelled.similarity[chosen], relabelled.nearest[chosen]
        out[outliers] = relabelled.group
    pairs = Pairs(nodes.identity[grouped.pairs.left], nodes.identity[grouped.pairs.right], grouped.pairs.similarity)
    found = settings_in_force(settings, threshold, grouped.threshold, null, grouped.pairs.recall)
    return Assignment(out, action, reason, scores, group, grouped.leader, home, pairs, threshold, found)


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The values, numbers of groups or identities, at some places, -1 at place -1: int32."""
    return np.append(values, -1).astype(np.int32)[places]


def _outcomes(inside: np.ndarray, second: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Action and reason of each face, (N,) int8, from what is true of it, (N,) bool."""
    action = np.where(second | moved, np.int8(Action.MOVE), np.int8(Action.KEEP))
    action[~inside] = Action.DROP
    reason = np.full(len(action), Reason.INTRA, np.int8)
    for chosen, why in (
        (inside, Reason.INLIER),
        (inside & moved, Reason.INTER),
        (inside & second, Reason.SECOND_PERSON),
    ):
        reason[chosen] = why
    return action, reason


def group_nodes(nodes: Nodes, count: int, settings: CleanSettings, engine: BlockEngine | None = None) -> RobustGroups:
    """Join clusters of one person within and across identities.

    Parameters
    ----------
    nodes : Nodes
    count : int
        Number of identities.
    settings : CleanSettings
        `guard` and `workers` are read.
    engine : BlockEngine, optional
    """
    main = choose_main(nodes, count)
    is_main = np.zeros(len(nodes.size), bool)
    is_main[main[main >= 0]] = True
    used = np.flatnonzero(is_main | (nodes.size >= MIN_TO_MATCH))
    sums, size = rows_at(nodes.sums, used), nodes.size[used]
    pairs = find_pairs(size_aware_rows(sums, size), MIN_LISTED, engine=engine, threads=settings.workers)
    hub = _find_hubs(len(used), pairs)
    clear = ~hub[pairs.left] & ~hub[pairs.right]
    threshold = calibrate_merge(pairs.similarity[clear])
    joined = clear & (pairs.similarity >= threshold)
    near = Pairs(*(column[joined] for column in pairs[:3]))
    named = merge_groups(len(used), near, guard=settings.guard, sums=sums, threshold=threshold)
    del sums
    alone = np.bincount(named, minlength=len(used))[named] == 1
    stay = is_main[used] | (~hub & (~alone | (size >= MIN_ALONE)))
    group = np.full(len(nodes.size), -1, np.int64)
    names, group[used[stay]] = np.unique(named[stay], return_inverse=True)
    all_hubs = np.zeros(len(nodes.size), bool)
    all_hubs[used] = hub
    found = Pairs(used[pairs.left], used[pairs.right], pairs.similarity, pairs.recall)
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
    centres = gather_rows(map(unit, sums_of_groups(nodes.sums, group, count)), nodes.sums.shape[1])
    size = np.bincount(group[group >= 0], weights=nodes.size[group >= 0], minlength=count).astype(np.int64)
    order = np.lexsort((nodes.identity, -nodes.size))
    order = order[(group[order] >= 0) & is_main[order]][::-1]
    leader = np.full(count, -1, np.int64)
    leader[group[order]] = nodes.identity[order]
    return RobustGroups(group, hub, main, leader, centres, size, pairs, threshold)


def relabel(
    vectors: Vectors,
    rows: np.ndarray,
    groups: RobustGroups,
    null: Calibrated,
    floor: float,
    *,
    engine: BlockEngine | None = None,
    threads: int = 1,
) -> Relabelled:
    """Decide where outliers belong.

    Parameters
    ----------
    vectors : (N, D) float32
    rows : (n,) int64
        The outliers among them; they are read a part at a time.
    groups : RobustGroups
    null : Calibrated
        Similarities between a face and a stranger's centre. A face is relabelled only beyond what the best of G
        strangers reaches by chance once in a hundred, at `floor` or above, and `RELABEL_MARGIN` ahead of the next
        identity.
    floor : float
        The threshold of Intra-ID.
    """
    chance = NormalDist().inv_cdf(1 - 0.01 / max(len(groups.size), 2))
    least = max(floor, null.null_median + chance * null.null_deviation)
    nearest = np.full(len(rows), -1, np.int64)
    best = np.full(len(rows), -1, np.float32)
    clear = np.zeros(len(rows), bool)
    for first in range(0, len(rows), OUTLIER_ROWS):
        part = slice(first, first + OUTLIER_ROWS)
        some = gathered_unit_rows(vectors, rows[part])
        pairs = pairs_between(some, groups.centres, least - RELABEL_MARGIN, engine=engine, threads=threads)
        nearest[part], best[part], clear[part] = _best_of(pairs, len(some))
    belongs = clear & (best >= least)
    arrived = np.bincount(nearest[belongs], minlength=len(groups.size))
    hub = belongs & np.append(arrived > np.maximum(PLAUSIBLE_ARRIVALS, groups.size), False)[nearest]
    return Relabelled(np.where(belongs & ~hub, nearest, -1), hub, best, nearest)


def _best_of(pairs: Pairs, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best centre of each row, its similarity, and whether the next one is clearly behind."""
    nearest, best = np.full(count, -1, np.int64), np.full(count, -1.0)
    order = np.lexsort((pairs.right, -pairs.similarity, pairs.left))
    left, right, similarity = pairs.left[order], pairs.right[order], pairs.similarity[order]
    first = np.flatnonzero(np.concatenate([np.ones(min(len(left), 1), bool), left[1:] != left[:-1]]))
    nearest[left[first]], best[left[first]] = right[first], similarity[first]
    next_best = np.full(count, -np.inf)
    second = first + 1
    second = second[(second < len(left))]
    second = second[left[second] == left[second - 1]]
    next_best[left[second]] = similarity[second]
    return nearest, best.astype(np.float32), best - next_best >= RELABEL_MARGIN
