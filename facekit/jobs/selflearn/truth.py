"""Who is really in the pictures, and how pure labels are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError
from facekit.records.distinct import count_pairs
from facekit.records.key_rows import rows_of
from facekit.run.parquet import parquet_schema, read_csv, read_parquet

__all__ = ["purity_of", "read_truth"]


def purity_of(person: npt.NDArray[np.int64], label: npt.NDArray[np.int64]) -> float:
    """Share of the images that show the person whom most images of their label show.

    Parameters
    ----------
    person, label : (N,) int64
    """
    labels, _, counts = count_pairs(label, person, np.ones(len(label), np.bool_))
    firsts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    return float(np.maximum.reduceat(counts, firsts).sum() / len(label))


def read_truth(path: str, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The person of each key, (N,) int64; each name is a number.

    Raises
    ------
    ConfigError
        The file cannot be read, lacks a column, or does not know a key.
    """
    import pyarrow as pa

    try:
        columns = _truth_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"truth {path} cannot be read: {error}") from error
    name = next((name for name in ("identity", "true_person") if name in columns.column_names), None)
    if name is None or "key" not in columns.column_names:
        raise ConfigError(f"truth {path} must have the columns key and identity or true_person")
    known, encoded = columns["key"].to_numpy(), columns[name].combine_chunks().dictionary_encode("encode")
    rows = rows_of(known, keys)
    if (rows < 0).any():
        raise ConfigError(f"truth {path} does not know every key of the pack: it belongs to another")
    numbers = np.unique(np.asarray(encoded.dictionary.to_pylist(), dtype=str), return_inverse=True)[1].reshape(-1)
    return numbers[encoded.indices.to_numpy()][rows]


def _truth_table(path: str) -> Any:
    if path.endswith(".csv"):
        return read_csv(path)
    known = parquet_schema(path).names
    return read_parquet(path, [name for name in ("key", "identity", "true_person") if name in known])
