"""``facekit sweep``: what every threshold of Intra-ID would keep, from one pass over the vectors."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.clean.settings import CleanSettings
from facekit.clean.sweep import THRESHOLDS, Sweep, sweep_thresholds
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.features import open_vectors
from facekit.jobs.clean.job import decide
from facekit.jobs.inputs.source import open_source

__all__ = ["SweepConfig", "sweep"]


@dataclass(frozen=True)
class SweepConfig:
    """Settings of ``facekit sweep``.

    Attributes
    ----------
    source, features : str
    settings : CleanSettings
        Its mode is taken as published: only there the threshold decides alone.
    truth : str, optional
        A CSV with the columns ``key`` and ``wrong`` (0 or 1); an empty ``wrong`` does not count.
    thresholds : tuple of float
    """

    source: str
    features: str
    settings: CleanSettings = dataclasses.field(default_factory=CleanSettings)
    truth: str | None = None
    thresholds: tuple[float, ...] = tuple(THRESHOLDS.tolist())


def sweep(config: SweepConfig) -> Sweep:
    """Sweep the threshold of Intra-ID.

    Raises
    ------
    ConfigError
        Robust mode, thresholds outside [-1, 1], or a truth table that is none.
    FacekitError
        Vectors or truth of another pack.
    """
    if config.settings.mode != "published":
        raise ConfigError("sweep knows the published mode only: in robust mode other rules decide with the threshold")
    source, _ = open_source(config.source, layout="flat")
    wrong, scored = (None, None) if config.truth is None else read_truth(config.truth, source.keys)
    faces = open_vectors(config.features, source)
    decisions = decide(config.settings, faces, source)
    group = np.unique(decisions.nearest, return_inverse=True)[1].reshape(-1)
    return sweep_thresholds(
        decisions.similarity, group, thresholds=np.array(config.thresholds), wrong=wrong, scored=scored
    )


def read_truth(path: str, keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return (N,) bool which faces are wrong and which count."""
    try:
        rows = list(csv.DictReader(Path(path).read_text("utf-8").splitlines()))
        known = {int(row["key"]): row["wrong"].strip() for row in rows}
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} is no truth table with the columns key and wrong: {error!r}") from error
    if set(known.values()) - {"", "0", "1"}:
        raise ConfigError(f"{path}: wrong is 0, 1 or empty, not {sorted(set(known.values()) - {'', '0', '1'})[0]!r}")
    missing = [int(key) for key in keys if int(key) not in known]
    if missing:
        raise FacekitError(f"{path} says nothing about key {missing[0]} and {len(missing) - 1} others: another pack")
    said = np.array([known[int(key)] for key in keys])
    return said == "1", said != ""
