"""Vectors and pairs -> scores: verification, identification, the masked protocol. Arrays in, numbers out."""

from facekit.evaluate.all_pairs import AllPairs, verify_all
from facekit.evaluate.all_pairs_bootstrap import all_pairs_intervals
from facekit.evaluate.bootstrap import Interval
from facekit.evaluate.classes import GroupAccuracy, accuracy_by_count, closed_set
from facekit.evaluate.cleaning import CleaningScore, CleaningTruth, score_cleaning
from facekit.evaluate.faces import FaceSet
from facekit.evaluate.folds import people_of_pairs
from facekit.evaluate.identification import Identification, identify
from facekit.evaluate.open_set import OpenSet, OpenSetPoint, identify_open_set
from facekit.evaluate.operating_points import OperatingPoint, Roc, operating_points
from facekit.evaluate.pairs import FoldAccuracy, FoldChoice, PairScores, Resampling, fold_accuracy, verify_pairs
from facekit.evaluate.protocols import (
    BARE_FAR,
    MASKED_FAR,
    MaskedScores,
    by_group,
    combined_score,
    group_far,
    masked_protocol,
)
from facekit.evaluate.rejection import misses_after_rejecting
from facekit.evaluate.templates import AGGREGATIONS, Templates, aggregate

__all__ = [
    "AGGREGATIONS",
    "BARE_FAR",
    "MASKED_FAR",
    "AllPairs",
    "CleaningScore",
    "CleaningTruth",
    "FaceSet",
    "FoldAccuracy",
    "FoldChoice",
    "GroupAccuracy",
    "Identification",
    "Interval",
    "MaskedScores",
    "OpenSet",
    "OpenSetPoint",
    "OperatingPoint",
    "PairScores",
    "Resampling",
    "Roc",
    "Templates",
    "accuracy_by_count",
    "aggregate",
    "all_pairs_intervals",
    "by_group",
    "closed_set",
    "combined_score",
    "fold_accuracy",
    "group_far",
    "identify",
    "identify_open_set",
    "masked_protocol",
    "misses_after_rejecting",
    "operating_points",
    "people_of_pairs",
    "score_cleaning",
    "verify_all",
    "verify_pairs",
]
