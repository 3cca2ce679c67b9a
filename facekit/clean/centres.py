"""Centres: the mean direction of a cluster's members, and how far that mean can be trusted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facekit.clean.cluster import Nodes
from facekit.clean.gathered_rows import divided_rows

__all__ = ["Concentration", "choose_main", "concentration", "size_aware_rows"]

PRIOR_FACES = 8.0
"""An identity's own concentration counts as much as the pooled one when it has this many faces."""


class Concentration(NamedTuple):
    """Expected cosine of one face with the true direction of its identity."""

    of_node: np.ndarray  # (M,) float64
    pooled: float


def choose_main(nodes: Nodes, count: int) -> np.ndarray:
    """Choose the largest cluster of each identity.

    Of equally large clusters the tighter one wins (the longer sum), then the first in the order of content.

    Parameters
    ----------
    nodes : Nodes
    count : int
        Number of identities.

    Returns
    -------
    (I,) int64
        A node, -1 where an identity has none.
    """
    length = np.round(np.einsum("ij,ij->i", nodes.sums, nodes.sums, dtype=np.float64), 6)
    order = np.lexsort((np.arange(len(nodes.size)), -length, -nodes.size, nodes.identity))
    first = np.ones(len(order), bool)
    first[1:] = nodes.identity[order][1:] != nodes.identity[order][:-1]
    main = np.full(count, -1, np.int64)
    main[nodes.identity[order[first]]] = order[first]
    return main


def concentration(sums: np.ndarray, size: np.ndarray) -> Concentration:
    """Estimate the concentration rho of each node from its size and mean resultant length.

    For n independent faces with ``E[cos] = rho`` the mean R of their unit vectors has
    ``E[R^2] = rho^2 + (1 - rho^2) / n`` (Mardia and Jupp, Directional Statistics, 2000, section 9.2), hence
    ``rho^2 = (n R^2 - 1) / (n - 1)``; small nodes are drawn toward the value pooled over all.

    Parameters
    ----------
    sums : (M, D) float32
        Of the unit vectors of each node's members.
    size : (M,) int64
        Members.
    """
    n = size.astype(np.float64)
    square = np.einsum("ij,ij->i", sums, sums, dtype=np.float64)
    many = n > 1
    own = np.clip((square / np.maximum(n, 1) - 1) / np.maximum(n - 1, 1), 0, 1)
    pooled = float(np.average(own[many], weights=n[many] - 1)) if many.any() else 1.0
    weight = np.where(many, n - 1, 0)
    shrunk = (weight * own + PRIOR_FACES * pooled) / (weight + PRIOR_FACES)
    return Concentration(np.sqrt(np.maximum(shrunk, 1e-3)), float(np.sqrt(max(pooled, 1e-3))))


def size_aware_rows(sums: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return rows whose products are size-aware similarities.

    A mean of few faces points away from the true direction by chance. Divided by rho, its expected product with another
    such mean is the cosine of the two true directions, whatever the sizes: the rows are ``sums / (n rho)`` and are not
    of unit length.

    Parameters
    ----------
    sums : (M, D) float32
        Of the unit vectors of each node's members.
    size : (M,) int64
        Members.

    Returns
    -------
    (M, D) float32
    """
    rho = concentration(sums, size).of_node
    return divided_rows(sums, np.maximum(size, 1) * rho)
