"""The tables that an evaluation reads: pairs of keys, and groups of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError, did_you_mean
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import require_file, unreadable
from facekit.run.parquet import read_csv, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KeyPairs", "read_groups", "read_pairs"]


class KeyPairs(NamedTuple):
    """Pairs by key: (P, 2) int64, and whether each shows one person, (P,) bool."""

    keys: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]


def read_pairs(path: str) -> KeyPairs:
    """A ``.csv`` with the columns key_a, key_b and same (0 or 1).

    Raises
    ------
    ConfigError
        There is no such file, or it lacks a column.
    FacekitError
        There is no pair in it, a value is not a whole number, or ``same`` is neither 0 nor 1.
    """
    rows = _table(path)
    for name in ("key_a", "key_b", "same"):
        _require_column(rows, name, path)
    if not rows.num_rows:  # columns without a value have no type
        raise FacekitError(f"{path} lists no pair: give it a line for each")
    columns = [_integers(rows, name, path) for name in ("key_a", "key_b", "same")]
    if not np.isin(columns[2], (0, 1)).all():
        raise FacekitError(f"{path}: column same holds other numbers than 0 and 1")
    return KeyPairs(np.stack(columns[:2], 1), columns[2] == 1)


def read_groups(path: str, keys: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.str_]]:
    """The groups of keys, for every column but ``key``: by column, (N,) str, empty for a key in no group.

    Raises
    ------
    ConfigError
        There is no such file, it has no column ``key``, or no other column.
    FacekitError
        A key stands in it twice.
    """
    rows = _table(path)
    known = _integers(rows, "key", path)
    if len(np.unique(known)) < len(known):
        raise FacekitError(f"{path}: a key stands in it twice")
    names = [name for name in rows.column_names if name != "key"]
    if not names:
        raise ConfigError(f"{path} has the column key and no other: there are no groups in it")
    places = rows_of(known, keys)
    return {name: _texts(rows[name].to_pylist(), places) for name in names}


def _texts(values: list[Any], places: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    """(N,) str: the value at each place, empty where there is none (-1) or it is null."""
    texts = np.array(["" if value is None else str(value) for value in [*values, None]], np.str_)
    chosen: npt.NDArray[np.str_] = texts[places]
    return chosen


def _table(path: str) -> pa.Table:
    import pyarrow as pa

    require_file(path, "a table", "name a .csv or .parquet file")
    try:
        return read_parquet(path) if path.endswith(".parquet") else read_csv(path)
    except pa.ArrowInvalid as error:
        raise unreadable(path, "a table", (".csv", ".parquet"), error, "name a .csv or .parquet file") from error


def _require_column(rows: pa.Table, name: str, path: str) -> None:
    if name not in rows.column_names:
        near = did_you_mean(name, rows.column_names)
        raise ConfigError(f"{path} has no column {name}; it has {', '.join(rows.column_names)}{near}")


def _integers(rows: pa.Table, name: str, path: str) -> npt.NDArray[Any]:
    _require_column(rows, name, path)
    column = rows[name].to_numpy()
    if column.dtype.kind not in "iu":
        raise FacekitError(f"{path}: column {name} does not hold whole numbers only")
    return column.astype(np.int64)
