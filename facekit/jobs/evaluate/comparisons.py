"""A comparison as a line of the summary: points, intervals, folds, or why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError
from facekit.evaluate import (
    AllPairs,
    FaceSet,
    FoldChoice,
    Interval,
    OperatingPoint,
    PairScores,
    Resampling,
    Roc,
    all_pairs_intervals,
    verify_pairs,
)
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.mapped_faces import LookedAt
from facekit.output.dry_run import is_dry

__all__ = ["Findings", "Score", "score_all_pairs", "score_of", "score_or_reason", "verify"]


@dataclass(frozen=True)
class Score:
    """One comparison.

    Attributes
    ----------
    name : str
    genuine, impostor : int
        Pairs.
    points : tuple of OperatingPoint
    refused : str or None
        Why there are none.
    accuracy, deviation : float or None
        Of the folds, for lists of pairs.
    intervals : tuple of Interval or None
        95% interval of the TAR of each point; None where it is not known. Empty: none was asked for.
    accuracy_interval : Interval or None
    fold_thresholds, fold_accuracies : tuple of float
        Of each fold.
    """

    name: str
    genuine: int = 0
    impostor: int = 0
    points: tuple[OperatingPoint, ...] = ()
    refused: str | None = None
    accuracy: float | None = None
    deviation: float | None = None
    intervals: tuple[Interval | None, ...] = ()
    accuracy_interval: Interval | None = None
    fold_thresholds: tuple[float, ...] = ()
    fold_accuracies: tuple[float, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What one of the evaluations found: scores, curves, the faces that were looked at, and what else there is."""

    scores: list[Score]
    curves: dict[str, Roc]
    faces: Sequence[LookedAt]
    more: dict[str, Any] = field(default_factory=dict)


def verify(
    config: EvalConfig, similarity: npt.NDArray[Any], same: npt.NDArray[np.bool_], people: npt.NDArray[np.int64]
) -> PairScores:
    """Scores of pairs as the settings want them."""
    folds = FoldChoice(config.folds, people if config.folds_by == "identity" else None)
    if is_dry():
        return verify_pairs(np.zeros(len(same)), same, config.fars or None, folds)
    return verify_pairs(similarity, same, config.fars or None, folds, Resampling(people, config.bootstrap, config.seed))


def score_all_pairs(config: EvalConfig, name: str, scores: AllPairs, probe: FaceSet, gallery: FaceSet | None) -> Score:
    """A line of the scores of all pairs."""
    found = all_pairs_intervals(probe, gallery, scores, config.bootstrap, config.seed) if config.bootstrap else ()
    return Score(name, scores.genuine, scores.impostor, scores.points, intervals=found)


def score_of(name: str, scores: PairScores) -> Score:
    """A line of the scores of pairs."""
    folds, found = scores.accuracy, scores.intervals
    return Score(
        name,
        scores.genuine,
        scores.impostor,
        scores.points,
        None,
        folds.mean,
        folds.deviation,
        () if found is None else found.tars,
        None if found is None else found.accuracy,
        tuple(folds.thresholds.tolist()),
        tuple(folds.accuracies.tolist()),
    )


def score_or_reason(
    name: str,
    similarity: npt.NDArray[Any],
    same: npt.NDArray[np.bool_],
    people: npt.NDArray[np.int64],
    config: EvalConfig,
) -> Score:
    """A line of the scores of some pairs, or why there are none."""
    try:
        return score_of(name, verify(config, similarity, same, people))
    except ConfigError as error:
        return Score(name, refused=str(error))
