"""Vectors and pairs -> scores: verification, identification, the masked protocol. Arrays in, numbers out."""

from facekit.evaluate.all_pairs import AllPairs, verify_all
from facekit.evaluate.faces import FaceSet
from facekit.evaluate.identification import Identification, identify
from facekit.evaluate.operating_points import OperatingPoint, Roc, operating_points
from facekit.evaluate.pairs import FoldAccuracy, PairScores, fold_accuracy, verify_pairs
from facekit.evaluate.protocols import (
    BARE_FAR,
    MASKED_FAR,
    MaskedScores,
    by_group,
    combined_score,
    group_far,
    masked_protocol,
)

__all__ = [
    "BARE_FAR",
    "MASKED_FAR",
    "AllPairs",
    "FaceSet",
    "FoldAccuracy",
    "Identification",
    "MaskedScores",
    "OperatingPoint",
    "PairScores",
    "Roc",
    "by_group",
    "combined_score",
    "fold_accuracy",
    "group_far",
    "identify",
    "masked_protocol",
    "operating_points",
    "verify_all",
    "verify_pairs",
]
