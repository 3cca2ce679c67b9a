"""What an embedding job did, counted from the folder that it left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekit.embeddings import open_features

__all__ = ["EmbedSummary", "summarise"]


@dataclass(frozen=True)
class EmbedSummary:
    """The result of ``facekit embed``.

    Attributes
    ----------
    destination : str
    pictures, vectors, failures : int
        Of the source, of the output, and pictures without a vector; the latter two add up to the first.
    dimensions : int
    model : str
        BLAKE2b of the model.
    masked : int
        Pictures that the ledger calls masked.
    norm : (float, float, float)
        5th, 50th and 95th percentile of the vectors' norms before normalisation.
    errors : dict from str to int
        What went wrong, and how often.
    seconds, images_per_second : float
        Of this run; what an earlier one had finished is not counted.
    """

    destination: str
    pictures: int
    vectors: int
    failures: int
    dimensions: int
    model: str
    masked: int
    norm: tuple[float, float, float]
    errors: dict[str, int]
    seconds: float
    images_per_second: float


def summarise(destination: Path, pictures: int, done: int, seconds: float) -> EmbedSummary:
    """Count what a finished job left; ``done`` pictures took ``seconds``."""
    features = open_features(destination)
    errors = Counter(str(row["error"]) for row in features.failures())
    low, middle, high = (float(value) for value in np.percentile(features.norms, [5, 50, 95]))
    return EmbedSummary(
        destination=str(destination),
        pictures=pictures,
        vectors=features.count,
        failures=sum(errors.values()),
        dimensions=features.dimensions,
        model=features.model_hash,
        masked=int(features.masked.sum()),
        norm=(low, middle, high),
        errors=dict(errors),
        seconds=seconds,
        images_per_second=done / seconds,
    )
