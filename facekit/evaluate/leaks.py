"""What a masked pack gives away beside its masks: by the coding of its pictures, and by who wears which mask.

A network that is trained on a pack takes every hint that is there. Where masked pictures are coded otherwise than bare
ones, it can tell them by that; where the type of a mask follows the identity, it can tell people by their masks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import FacekitError

__all__ = ["CODEC_FEATURES", "Leak", "codec_features", "codec_leak", "type_leak"]

UPPER, CELL, FOLDS, RIDGE = 0.4, 8, 5, 1.0
CODEC_FEATURES = 3 * CELL * CELL
REPLICATES = 500


class Leak(NamedTuple):
    """How much is given away.

    Attributes
    ----------
    value : float
        Codec: area under the ROC of masked against bare, .5 is nothing. Types: bits that the identity tells of the
        type beyond what chance does.
    low, high : float
        Codec: 95% interval over identities. Types: what 95% of shuffled types reach, from 0.
    p : float
        Types: share of shuffles that reach as much; codec: NaN.
    pictures : int
        That were looked at.
    """

    value: float
    low: float
    high: float
    p: float
    pictures: int


def codec_features(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the coding of the upper part of a face looks like: its cosine coefficients, on the grid of JPEG.

    Parameters
    ----------
    luma : (H, W) uint8
        H and W at least 24.

    Returns
    -------
    (192,) float32
        Of each of 64 frequencies over the blocks of 8 x 8: mean size (logarithm), share near zero, and share near one
        step off it.

    Raises
    ------
    FacekitError
        The picture is too small.
    """
    height, width = (int(UPPER * luma.shape[0]) // CELL * CELL, luma.shape[1] // CELL * CELL)
    if height < CELL or width < CELL:
        raise FacekitError(f"a picture of {luma.shape[1]} x {luma.shape[0]} is too small to tell how it was coded")
    cells = luma[:height, :width].reshape(height // CELL, CELL, width // CELL, CELL).transpose(0, 2, 1, 3)
    basis = _cosines()
    size = np.abs(basis @ (cells.reshape(-1, CELL, CELL) - np.float32(128)) @ basis.T).reshape(-1, CELL * CELL)
    parts = np.log1p(size.mean(0)), (size < 0.5).mean(0), ((size >= 0.5) & (size < 1.5)).mean(0)
    return np.concatenate(parts).astype(np.float32)


def _cosines() -> NDArray[np.float32]:
    """The orthonormal cosines of ITU-T T.81, A.3.3."""
    place = np.arange(CELL)
    basis = np.sqrt(2 / CELL) * np.cos((2 * place[None] + 1) * place[:, None] * np.pi / (2 * CELL))
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def codec_leak(features: NDArray[np.float32], masked: NDArray[np.bool_], people: NDArray[np.int64], seed: int) -> Leak:
    """How well a linear rule on the coding of upper faces tells masked from bare, for people that it was not fit on.

    Parameters
    ----------
    features : (N, F) float32
    masked : (N,) bool
    people : (N,) int64
        Five folds share nobody.
    seed : int

    Raises
    ------
    FacekitError
        There are fewer than ten people, or a kind is missing.
    """
    names, person = np.unique(people, return_inverse=True)
    if len(names) < 2 * FOLDS or masked.all() or not masked.any():
        raise FacekitError(f"{len(names)} people, {int(masked.sum())} masked and {int((~masked).sum())} bare pictures: "
                           f"at least {2 * FOLDS} people, and both kinds, are needed")  # fmt: skip
    rng = np.random.default_rng([seed, len(names)])
    fold = rng.permutation(len(names))[person.reshape(-1)] % FOLDS
    scores = np.empty(len(features))
    for number in range(FOLDS):
        inside = fold != number
        scores[~inside] = _fit(features[inside], masked[inside])(features[~inside])
    # Scores of one fold are compared with one another: each rule has a scale of its own.
    drawn = [_auc(scores, masked, fold, np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
                  [person.reshape(-1)]) for _ in range(REPLICATES)]  # fmt: skip
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    value = _auc(scores, masked, fold, np.ones(len(features), np.int64))
    return Leak(float(value), float(low), float(high), float("nan"), len(features))


def _fit(
    features: NDArray[np.float32], masked: NDArray[np.bool_]
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """A ridge of the class on standardised features."""
    rows = features.astype(np.float64)
    middle, width = rows.mean(0), rows.std(0) + 1e-9
    rows = (rows - middle) / width
    wanted = masked - masked.mean()
    weights = np.linalg.solve(rows.T @ rows + RIDGE * len(rows) / 10 * np.eye(rows.shape[1]), rows.T @ wanted)

    def score(some: NDArray[np.float32]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = (some - middle) / width @ weights
        return found

    return score


def _auc(
    scores: NDArray[np.float64], masked: NDArray[np.bool_], fold: NDArray[np.int64], times: NDArray[np.int64]
) -> float:
    """Share of pairs of a masked and a bare picture of one fold in which the masked one has the higher score."""
    won = pairs = 0.0
    for number in range(FOLDS):
        rows = np.flatnonzero((fold == number) & (times > 0))
        order = rows[np.argsort(scores[rows], kind="stable")]
        weight = times[order].astype(np.float64)
        bare, worn = weight * ~masked[order], weight * masked[order]
        _, group = np.unique(scores[order], return_inverse=True)
        ties_bare, ties_worn = (np.bincount(group.reshape(-1), some) for some in (bare, worn))
        below = np.cumsum(ties_bare) - ties_bare
        won += float((ties_worn * (below + ties_bare / 2)).sum())
        pairs += float(bare.sum() * worn.sum())
    return won / pairs if pairs else float("nan")


def type_leak(people: NDArray[np.int64], types: NDArray[np.int64], seed: int) -> Leak:
    """Bits that the identity tells of the type of a mask, beyond what it tells where types are shuffled.

    Parameters
    ----------
    people, types : (N,) int64
        Of masked pictures.
    seed : int

    Raises
    ------
    FacekitError
        No picture is masked.
    """
    if not len(people):
        raise FacekitError("no picture is masked: there is no type to follow an identity")
    rng = np.random.default_rng([seed, len(people)])
    person, kind = np.unique(people, return_inverse=True)[1].reshape(-1), np.unique(types, return_inverse=True)[1]
    kind = kind.reshape(-1)
    value = _information(person, kind)
    shuffled = np.array([_information(person, rng.permutation(kind)) for _ in range(REPLICATES)])
    p = (1 + np.count_nonzero(shuffled >= value - 1e-12)) / (1 + REPLICATES)
    excess = np.quantile(shuffled, 0.95) - shuffled.mean()
    return Leak(float(value - shuffled.mean()), 0.0, float(excess), float(p), len(people))


def _information(person: NDArray[np.int64], kind: NDArray[np.int64]) -> float:
    """Mutual information, bits."""
    kinds, count = int(kind.max()) + 1, len(kind)
    joint = np.bincount(person * kinds + kind, minlength=(int(person.max()) + 1) * kinds).reshape(-1, kinds) / count
    known = joint > 0
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    return float((joint[known] * np.log2(joint[known] / expected[known])).sum())
