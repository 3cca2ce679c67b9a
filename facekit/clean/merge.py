"""From pairs of similar centres to groups of one person each, with chains guarded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facekit.clean.pairs import Pairs
from facekit.clean.settings import GUARDS
from facekit.errors import ConfigError, none_of

__all__ = ["merge_groups"]


def merge_groups(
    count: int, pairs: Pairs, *, guard: str = "complete", sums: np.ndarray | None = None, threshold: float = 0.75
) -> np.ndarray:
    """Join similar centres, the most similar pair first.

    Parameters
    ----------
    count : int
        Number of centres.
    pairs : Pairs
        Those that reach the threshold.
    guard : {"complete", "recheck", "none"}
        What stops a chain a-b-c whose ends are different people: ``"complete"`` joins two groups only if every pair
        across them is in `pairs`; ``"recheck"`` only if their joint centres (from `sums`) still reach `threshold`;
        ``"none"`` joins regardless.
    sums : (count, D) float32, optional
        Sum of the unit vectors of each centre's members; needed by ``"recheck"``.
    threshold : float
        For ``"recheck"``.

    Returns
    -------
    (count,) int64
        The group of each centre, named by its smallest member.

    Raises
    ------
    ConfigError
        An unknown guard, or ``"recheck"`` without the sums.
    """
    if guard not in GUARDS:
        raise none_of("merge guard", guard, GUARDS)
    if guard == "recheck" and sums is None:
        raise ConfigError("merge guard 'recheck' needs the sums of the members")
    group = np.arange(count, dtype=np.int64)
    members: dict[int, list[int]] = {}
    allowed = _allowance(guard, count, pairs, sums, threshold)
    for p in np.lexsort((pairs.right, pairs.left, -pairs.similarity)):
        a, b = int(group[pairs.left[p]]), int(group[pairs.right[p]])
        if a == b:
            continue
        low, high = min(a, b), max(a, b)
        mine, others = members.get(low, [low]), members.get(high, [high])
        if allowed(mine, others):
            members[low] = mine + others
            members.pop(high, None)
            group[others] = low
    return group


def _allowance(
    guard: str, count: int, pairs: Pairs, sums: np.ndarray | None, threshold: float
) -> Callable[[list[int], list[int]], bool]:
    if guard == "none":
        return lambda *_: True
    if guard == "complete" or sums is None:
        listed = np.append(np.sort(pairs.left * count + pairs.right), count * count)  # the last one is no pair
        return lambda a, b: _all_listed(listed, count, np.array(a), np.array(b))

    def joint(a: list[int], b: list[int]) -> bool:
        x, y = sums[a].astype(np.float64).sum(0), sums[b].astype(np.float64).sum(0)
        return bool(x @ y >= threshold * np.sqrt((x @ x) * (y @ y)))

    return joint


def _all_listed(listed: np.ndarray, count: int, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether every pair across two groups is among the listed ones, (P,) int64 of ``left * count + right``."""
    codes = (np.minimum.outer(a, b) * count + np.maximum.outer(a, b)).ravel()
    return bool((listed[np.searchsorted(listed, codes)] == codes).all())
