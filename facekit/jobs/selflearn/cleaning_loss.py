"""What a cleaning took away, in figures that need no truth; selflearn stops where it is more than was allowed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError

__all__ = ["CleaningLoss", "check_allowed_loss", "loss_problem", "measure_loss"]

PAIRS = 4096
"""Drawn pairs of each kind: the separation is then good to .01."""
MIN_SEPARATION = 0.55
"""Pictures of one label are the more similar ones hardly more often than by a coin: .5 is no signal at all."""


class CleaningLoss(NamedTuple):
    """What a cleaning took away.

    Attributes
    ----------
    images, dropped : int
        Images, and those that have no label any more.
    identities, merged : int
        Old labels that keep an image, and those of them that go under a label with others, but for one of each group.
    within, across : float
        Mean cosine of two images of one old label, of two old labels; nan where no label has two images, or there is
        one label.
    separation : float
        Chance that the former of such two cosines is the larger, from 0 to 1; nan as above.
    """

    images: int
    dropped: int
    identities: int
    merged: int
    within: float
    across: float
    separation: float


def measure_loss(
    vectors: npt.NDArray[np.float32], old_label: npt.NDArray[np.int64], new_label: npt.NDArray[np.int64]
) -> CleaningLoss:
    """Measure what a cleaning took away.

    Parameters
    ----------
    vectors : (N, D) float32
        Of unit length, or of length 0 where there is none.
    old_label : (N,) int64
    new_label : (N,) int64
        -1: the image was dropped.
    """
    kept = new_label >= 0
    labels, home = _homes(old_label[kept], new_label[kept])
    valid = vectors.any(axis=1)
    within, across = _sampled_cosines(vectors[valid], old_label[valid])
    some = len(within) and len(across)
    means = (float(within.mean()), float(across.mean())) if some else (np.nan, np.nan)
    separation = _share_above(within, across) if some else np.nan
    return CleaningLoss(
        len(old_label), int((~kept).sum()), len(labels), len(labels) - len(np.unique(home)), *means, separation
    )


def loss_problem(loss: CleaningLoss, allowed: float) -> str | None:
    """What is wrong with a cleaning, with its figures and the cure; None: nothing.

    Parameters
    ----------
    loss : CleaningLoss
    allowed : float
        Largest share of images dropped, and of identities merged; 1: anything.
    """
    if allowed >= 1:
        return None
    similarity = (
        f"two pictures of one label have cosine {loss.within:.2f}, of two labels {loss.across:.2f}, and the former is "
        f"the larger one in {loss.separation:.0%} of comparisons"
    )
    if loss.separation < MIN_SEPARATION:
        return (
            f"the vectors do not tell the labels apart: {similarity}. Give the right model with its preprocessing, or "
            "train the first one longer (--init, --init-pack, --set epochs=N)"
        )
    found, cures = [], []
    if loss.merged > allowed * loss.identities:
        found.append(f"merged {loss.merged:,} of {loss.identities:,} identities into others")
        cures.append("raise --inter and --union")
    if loss.dropped > allowed * loss.images:
        found.append(f"dropped {loss.dropped:,} of {loss.images:,} images")
        cures.append("lower --intra, or raise --eps")
    if not found:
        return None
    return (
        f"cleaning {' and '.join(found)}, above --allow-loss {allowed:g}; {similarity}. For this model "
        f"{', and '.join(cures)} (facekit sweep shows what thresholds do)"
    )


def check_allowed_loss(allowed: float) -> None:
    """Refuse what is no share.

    Raises
    ------
    ConfigError
    """
    if not 0 <= allowed <= 1:
        raise ConfigError(f"allow_loss is {allowed}; it must be a share from 0 to 1")


def _homes(
    old_label: npt.NDArray[np.int64], new_label: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Old labels, ascending, and the new label that most images of each have (of equals the smaller)."""
    pairs, counts = np.unique(np.stack([old_label, new_label]), axis=1, return_counts=True)
    order = np.lexsort((-counts, pairs[0]))
    labels, first = np.unique(pairs[0][order], return_index=True)
    return labels, pairs[1][order][first]


def _sampled_cosines(
    vectors: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cosines of pairs of one label and of pairs of two, up to `PAIRS` each: identities count alike."""
    rng = np.random.default_rng(0)
    order = np.argsort(labels, kind="stable")
    _, first, count = np.unique(labels[order], return_index=True, return_counts=True)
    several = np.flatnonzero(count > 1)
    if not len(several) or len(count) < 2:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    one = several[rng.integers(0, len(several), PAIRS)]
    a = rng.integers(0, count[one])
    b = (a + rng.integers(1, count[one])) % count[one]
    other = (one + rng.integers(1, len(count), PAIRS)) % len(count)
    c = rng.integers(0, count[other])
    left, same, different = order[first[one] + a], order[first[one] + b], order[first[other] + c]
    return _cosines(vectors, left, same), _cosines(vectors, left, different)


def _cosines(
    vectors: npt.NDArray[np.float32], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = np.einsum("nd,nd->n", vectors[left], vectors[right])
    return found


def _share_above(above: npt.NDArray[np.float32], below: npt.NDArray[np.float32]) -> float:
    """Chance that one of ``above`` exceeds one of ``below``; equals count half (Mann and Whitney's U)."""
    ordered = np.sort(below)
    lower, upper = np.searchsorted(ordered, above, "left"), np.searchsorted(ordered, above, "right")
    return float((lower + upper).mean() / (2 * len(below)))
