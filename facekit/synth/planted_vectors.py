"""Vectors of faces that were never drawn, under labels with planted faults: cleaning without a network.

A person is a random direction. A face of theirs lies at a cosine of about .75 to it (most), .55 (some) or .36 (few, the
hard ones); in the weak variant .15 less, in a quarter of the directions. Wrong faces under a label are strangers, faces
of other people of the list, or a second person who fills part of a label; some people stand under two labels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError

__all__ = ["HARD_COSINE", "PlantedVectors", "plant_vectors"]

HARD_COSINE = 0.5
"""A rightly labelled face below it is hard: dropping such faces is the price of a careless rule."""
_LEVELS = ((0.75, 0.06), (0.55, 0.06), (0.36, 0.05))
_SHARES = (0.85, 0.12, 0.03)
_TAG = 9


class PlantedVectors(NamedTuple):
    """Vectors, what is said of them and what is true.

    Attributes
    ----------
    vectors : (N, D) float32
        Unit norm.
    label : (N,) int64
        What the list says, ascending.
    person : (N,) int64
        Who it is; -1: a stranger.
    home : (L,) int64
        The person that each label is meant to hold.
    cosine : (N,) float32
        To the person's direction.
    """

    vectors: NDArray[np.float32]
    label: NDArray[np.int64]
    person: NDArray[np.int64]
    home: NDArray[np.int64]
    cosine: NDArray[np.float32]


def plant_vectors(
    seed: int, people: int, mean: int, noise: float = 0.2, weak: bool = False, dimensions: int = 512
) -> PlantedVectors:
    """Plant faults.

    Parameters
    ----------
    seed : int
    people : int
        At least 2.
    mean : int
        Faces a label on average (log-normal, at least 2).
    noise : float
        Share of wrong faces, on average over labels; from 0 to below 1.
    weak : bool
        Vectors as a weak network makes them.
    dimensions : int

    Returns
    -------
    PlantedVectors

    Raises
    ------
    ConfigError
        Fewer than 2 people, or a share that is not allowed.
    """
    if people < 2 or mean < 2 or not 0 <= noise < 1 or dimensions < 8:
        raise ConfigError(
            f"{people} people, {mean} faces each, noise {noise:g}, {dimensions} dimensions: there must be 2 people, "
            "2 faces and 8 dimensions or more, and a share from 0 to below 1"
        )
    rng = np.random.default_rng([_TAG, seed, people])
    directions = _directions(rng, people, dimensions, weak)
    home = np.concatenate([np.arange(people), rng.permutation(people)[: max(1, people // 20)]])
    sizes = np.maximum(2, np.rint(rng.lognormal(0, 0.7, len(home)) * mean / np.exp(0.245))).astype(np.int64)
    label = np.repeat(np.arange(len(home)), sizes)
    person = _people(rng, home, label, noise)
    cosine = _cosines(rng, len(label), weak)
    towards = np.where(person[:, None] >= 0, directions[person], _directions(rng, len(label), dimensions, weak))
    across = _directions(rng, len(label), dimensions, False)
    across = _unit(across - np.einsum("nd,nd->n", across, towards)[:, None] * towards)
    vectors = cosine[:, None] * towards + np.sqrt(1 - cosine[:, None] ** 2) * across
    return PlantedVectors(_unit(vectors), label, person, home, cosine)


def _unit(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("nd,nd->n", values, values))
    return np.asarray(values / lengths[:, None], np.float32)


def _directions(rng: np.random.Generator, count: int, dimensions: int, weak: bool) -> NDArray[np.float32]:
    values = rng.standard_normal((count, dimensions), dtype=np.float32)
    if weak:
        values[:, dimensions // 4 :] = 0
    return _unit(values)


def _cosines(rng: np.random.Generator, count: int, weak: bool) -> NDArray[np.float32]:
    level = rng.choice(len(_LEVELS), count, p=_SHARES)
    mean, spread = np.array(_LEVELS).T
    drawn = rng.normal(mean[level], spread[level]) - 0.15 * weak
    return np.asarray(drawn.clip(0.12, 0.95), np.float32)


def _people(
    rng: np.random.Generator, home: NDArray[np.int64], label: NDArray[np.int64], noise: float
) -> NDArray[np.int64]:
    """Who is in each picture: the label's person, or a stranger, somebody of the list, or the label's second person."""
    count, people = len(label), int(home.max()) + 1
    share = rng.beta(6 * noise + 1e-9, 6 * (1 - noise), len(home))
    wrong = rng.random(count) < share[label]
    other = (home[label] + rng.integers(1, people, count)) % people
    second = (home + rng.integers(1, people, len(home))) % people
    has_second = rng.random(len(home)) < 0.05
    shown = np.where(rng.random(count) < 0.6, -1, other)
    shown = np.where(has_second[label], second[label], shown)
    return np.where(wrong, shown, home[label])
