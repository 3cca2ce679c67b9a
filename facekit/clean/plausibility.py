"""Whether there is anything to clean by: do the vectors tell labels apart, and is the result a cleaned pack or a ruin?

Vectors of a wrong model, of wrong preprocessing or in another order than the labels say nothing, and cleaning by them
takes a pack apart without a word. Both checks are pure: they say what was measured, and refuse.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from facekit.clean.decisions import Action
from facekit.clean.identity_groups import group_by_identity
from facekit.clean.settings import CleanSettings
from facekit.clean.vectors import Vectors, read_unit_rows
from facekit.errors import FacekitError
from facekit.records.distinct import blocks, distinct_of

__all__ = [
    "ALLOWED_LOSS",
    "Loss",
    "Separation",
    "check_loss",
    "check_separation",
    "low_threshold",
    "measure_loss",
    "measure_separation",
]

MIN_AUC = 0.55
"""Vectors in another order come to .50 +- .01; planted noise of 30% leaves .73, with half of all faces wrong .63."""

MIN_IDENTITIES = 10
"""Fewer identities with two faces can come to anything by chance."""

PAIRS = 2000

ALLOWED_LOSS = 0.5
"""Share of images, or of identities, that cleaning may take without being asked: with 30% planted noise it is 32%."""


class Separation(NamedTuple):
    """How well vectors tell labels apart, on a sample of pairs."""

    within: float  # median cosine of two faces under one label
    across: float  # median cosine of two faces under two labels
    auc: float  # chance that a pair under one label is more similar than a pair under two
    pairs: int  # of the smaller kind


class Loss(NamedTuple):
    """What cleaning takes away, as shares from 0 to 1."""

    images: float  # dropped, or left out until a person reviews them
    identities: float  # merged into others, or without an image that is left


def measure_separation(
    vectors: Vectors, labels: np.ndarray, usable: np.ndarray | None = None, seed: int = 0
) -> Separation | None:
    """Compare the similarity of faces within and across labels.

    The AUC is the Mann-Whitney statistic of both samples (Hanley and McNeil, The meaning and use of the area under a
    receiver operating characteristic curve, Radiology, 1982).

    Parameters
    ----------
    vectors : (N, D) float32
        Of any length; rows of zeros do not count.
    labels : (N,) int64
    usable : (N,) bool, optional
        Faces that count; all by default.
    seed : int
        Of the sample.

    Returns
    -------
    Separation or None
        None with fewer than `MIN_IDENTITIES` identities of two faces: nothing can be said.
    """
    rows = np.arange(len(labels)) if usable is None else np.flatnonzero(usable)
    identities = group_by_identity(labels[rows])
    several = np.flatnonzero(identities.sizes > 1)
    if len(several) < MIN_IDENTITIES:
        return None
    rng = np.random.default_rng([seed, len(rows)])
    chosen = rng.choice(several, PAIRS)
    first = rng.integers(identities.sizes[chosen])
    second = (first + rng.integers(1, identities.sizes[chosen])) % identities.sizes[chosen]
    order = np.arange(len(rows)) if identities.order is None else identities.order
    left, right = (rows[order[identities.starts[chosen] + place]] for place in (first, second))
    a, b = read_unit_rows(vectors, left), read_unit_rows(vectors, right)
    within = _cosines(a, b)
    across = _cosines(a, np.roll(b, 1, axis=0))[labels[left] != labels[np.roll(right, 1)]]
    within, across = within[np.isfinite(within)], across[np.isfinite(across)]
    if not len(within) or not len(across):
        return None
    medians = float(np.median(within)), float(np.median(across))
    return Separation(*medians, _auc(within, across), min(len(within), len(across)))


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) float64 of unit rows, nan where one of them is zero."""
    there = np.any(a != 0, axis=1) & np.any(b != 0, axis=1)
    return np.where(there, np.einsum("ij,ij->i", a, b, dtype=np.float64), np.nan)


def _auc(high: np.ndarray, low: np.ndarray) -> float:
    ranked = np.sort(low)
    below, not_above = (np.searchsorted(ranked, high, side=side).sum() for side in ("left", "right"))
    return float((below + not_above) / 2 / (len(high) * len(low)))


def check_separation(found: Separation | None, settings: CleanSettings) -> None:
    """Refuse vectors by which nothing can be cleaned.

    Parameters
    ----------
    found : Separation, optional
        None, where nothing can be said, is not refused.
    settings : CleanSettings
        `inter` is read: what two strangers usually exceed merges everybody.

    Raises
    ------
    FacekitError
        The vectors do not tell labels apart, or all are alike.
    """
    if found is None:
        return
    figures = (
        f"two faces under one label are {found.within:.2f} alike, two under different labels {found.across:.2f} "
        f"(medians; a pair under one label is the more similar one in {found.auc:.0%} of cases)"
    )
    if found.auc < MIN_AUC:
        raise FacekitError(
            f"the vectors do not tell the labels apart: {figures}. Wrong model, preprocessing or order? "
            "Embed this pack again with a model for aligned faces, and check the order of an .npy"
        )
    if found.across >= settings.inter:
        raise FacekitError(
            f"the vectors are all alike: {figures}, and identities that are {settings.inter:g} alike are merged. "
            "Wrong model or preprocessing? Embed this pack again, or give a higher --inter"
        )


def low_threshold(found: Separation | None, settings: CleanSettings) -> str | None:
    """What to choose instead of a fixed `intra` that strangers pass; None where they do not.

    Parameters
    ----------
    found : Separation, optional
    settings : CleanSettings

    Returns
    -------
    str or None
        A sentence.
    """
    if found is None or isinstance(settings.intra, str) or found.across < settings.intra:
        return None
    return (
        f"two faces under different labels are {found.across:.2f} alike (median), so an intra of {settings.intra:g} "
        "drops few faces of somebody else: choose --intra auto, which takes the threshold from the data"
    )


class Outcome(Protocol):
    """What became of N faces: decisions, or the table that they were written to."""

    @property
    def action_code(self) -> np.ndarray: ...

    @property
    def old_label(self) -> np.ndarray: ...

    @property
    def new_label(self) -> np.ndarray: ...


def measure_loss(decisions: Outcome) -> Loss:
    """Say what share of images and identities decisions take away; images without a vector count as taken."""
    images = float(np.isin(decisions.action_code, (Action.DROP, Action.REVIEW)).mean())
    before, after = (
        len(distinct_of(labels[part][labels[part] >= 0] for part in blocks(len(labels))))
        for labels in (decisions.old_label, decisions.new_label)
    )
    return Loss(images, max(0.0, 1 - after / before))


def check_loss(found: Loss, allowed: float = ALLOWED_LOSS) -> None:
    """Refuse a result that takes more than was allowed.

    Parameters
    ----------
    found : Loss
    allowed : float
        Share of images, and of identities, from 0 to 1.

    Raises
    ------
    FacekitError
        It takes more.
    """
    if max(found) > allowed:
        raise FacekitError(
            f"cleaning takes {found.images:.0%} of the images and {found.identities:.0%} of the identities, more "
            f"than {allowed:.0%}: look at the thresholds (--intra, --inter, facekit sweep) and at the model, or allow "
            f"it with --allow-loss {min(1.0, max(found) + 0.05):.2f}"
        )
