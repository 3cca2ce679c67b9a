"""``facekit benchmark score-cleaning``: what any cleaner says of a planted task, against what is true of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError, did_you_mean
from facekit.evaluate import CleaningScore, CleaningTruth, score_cleaning
from facekit.jobs.benchmark.config import ScoreConfig
from facekit.jobs.benchmark.folder import open_benchmark, task_folder
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import require_file, unreadable
from facekit.run.parquet import read_csv, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CleaningSummary", "read_truth", "score_result"]


@dataclass(frozen=True)
class CleaningSummary:
    """The result of ``facekit benchmark score-cleaning``.

    Attributes
    ----------
    benchmark, task : str
        Their names.
    result : CleaningScore
        Of the cleaner.
    as_given : CleaningScore
        Of one that changes nothing.
    """

    benchmark: str
    task: str
    result: CleaningScore
    as_given: CleaningScore


def score_result(config: ScoreConfig) -> CleaningSummary:
    """Score what a cleaner says.

    Parameters
    ----------
    config : ScoreConfig

    Returns
    -------
    CleaningSummary

    Raises
    ------
    ConfigError
        There is no such benchmark, task or file, or it lacks a column.
    FacekitError
        A key is missing, stands there twice or is none of the task, or a value is not what its column holds.
    """
    benchmark = open_benchmark(config.benchmark)
    keys, truth = read_truth(str(task_folder(benchmark, config.task) / "truth.parquet"))
    keep, label = _said(config.result, keys, truth.label)
    given = score_cleaning(truth, np.ones(len(keys), np.bool_), truth.label)
    return CleaningSummary(benchmark.name, config.task, score_cleaning(truth, keep, label), given)


def read_truth(path: str) -> tuple[npt.NDArray[np.int64], CleaningTruth]:
    """Keys of a task's images, and what is true of them."""
    names = ("key", "label", "person", "wrong", "hard", "scored")
    rows = read_parquet(path, list(names))
    keys, *columns = (np.asarray(rows[name].to_pylist()) for name in names)
    return keys, CleaningTruth(*columns)


def _said(
    path: str, keys: npt.NDArray[np.int64], given: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which images are kept, and their new labels, in the order of the task's."""
    rows = _table(path)
    names = set(rows.column_names)
    labels = next((name for name in ("label", "new_label") if name in names), None)
    if "key" not in names or (labels is None and "keep" not in names):
        near = "" if "key" in names else did_you_mean("key", names)
        said = f"it has {', '.join(rows.column_names)}{near}"
        raise ConfigError(f"{path} must have the column key, and label or keep or both (docs/benchmark.md); {said}")
    known = _integers(rows, "key", path)
    places = rows_of(known, keys)
    if len(np.unique(known)) < len(known) or len(known) != len(keys) or (places < 0).any():
        raise FacekitError(
            f"{path} must name each of the {len(keys):,} images of the task once; it has {len(known):,} rows, and "
            f"{int((places < 0).sum()):,} images are not in it"
        )
    label = given if labels is None else _integers(rows, labels, path)[places]
    keep = label >= 0
    if "keep" in names:
        keep = keep & _flags(rows, path)[places]
    return keep, label


def _table(path: str) -> pa.Table:
    import pyarrow as pa

    require_file(path, "a table", "write a .csv or a .parquet")
    try:
        return read_parquet(path) if path.endswith(".parquet") else read_csv(path)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, "a table", (".csv", ".parquet"), error, "write a .csv or a .parquet") from error


def _integers(rows: pa.Table, name: str, path: str) -> npt.NDArray[np.int64]:
    import pyarrow as pa

    column = rows[name]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise FacekitError(f"{path}: column {name} must hold a whole number in every row")
    return np.asarray(column.to_numpy(), np.int64)


def _flags(rows: pa.Table, path: str) -> npt.NDArray[np.bool_]:
    values: Any = np.asarray(rows["keep"].to_pylist())
    if values.dtype.kind not in "biu" or not np.isin(values, (0, 1)).all():
        raise FacekitError(f"{path}: column keep must hold 0 or 1 in every row")
    return np.asarray(values, np.bool_)
