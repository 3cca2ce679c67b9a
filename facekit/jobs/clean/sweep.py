"""``facekit sweep``: what every threshold of Intra-ID would keep, from one pass over the vectors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facekit.clean.settings import CleanSettings
from facekit.clean.sweep import THRESHOLDS, Sweep, sweep_thresholds
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.features import open_vectors
from facekit.jobs.clean.job import decide
from facekit.jobs.inputs.source import open_source
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import require_text
from facekit.run.parquet import read_csv

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

    Parameters
    ----------
    config : SweepConfig

    Returns
    -------
    Sweep

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
    decisions = decide(faces, config.settings)
    return sweep_thresholds(
        decisions.similarity, decisions.nearest, thresholds=np.array(config.thresholds), wrong=wrong, scored=scored
    )


def read_truth(path: str, keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Read which faces are wrong.

    Parameters
    ----------
    path : str
        A CSV with the columns ``key`` and ``wrong``: 0, 1 or empty.
    keys : (N,) int64

    Returns
    -------
    wrong, scored : (N,) bool
        Which faces are wrong, and which count.

    Raises
    ------
    ConfigError
        It is no such table.
    FacekitError
        It does not know every key.
    """
    known, wrong = _read_columns(path)
    rows = rows_of(known, keys)
    if (rows < 0).any():
        missing = keys[rows < 0]
        raise FacekitError(f"{path} says nothing about key {missing[0]} and {len(missing) - 1} others: another pack")
    return wrong[rows] == 1, wrong[rows] >= 0


def _read_columns(path: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Keys, and what is said of each: 1 wrong, 0 right, -1 nothing."""
    import pyarrow as pa
    from pyarrow import csv

    kinds = {"key": pa.int64(), "wrong": pa.int8()}
    options = csv.ConvertOptions(include_columns=list(kinds), column_types=kinds, strings_can_be_null=True)
    require_text(path, "a truth table", "name a CSV with the columns key and wrong")
    try:
        table = read_csv(path, options)
        keys, wrong = table["key"].to_numpy(), table["wrong"].fill_null(-1).to_numpy()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ConfigError(
            f"{path} is no truth table: a CSV whose first line is key,wrong, and each other one a whole number and "
            "0, 1 or nothing"
        ) from error
    if not np.isin(wrong, (-1, 0, 1)).all() or table["key"].null_count:
        raise ConfigError(f"{path}: every row needs a key, and wrong is 0, 1 or empty")
    return np.asarray(keys, np.int64), np.asarray(wrong, np.int8)
