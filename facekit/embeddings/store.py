"""A folder of vectors: shards that map into memory, an index of what they are, and which model made them.

FEATURES/
    features.json      format, dimensions, count, the model's hash, how it was used, the source's hash
    index.parquet      one row a vector: key, label, norm, uncertainty, masked, source_key
    failures.parquet   one row a picture that has no vector: key, label, error
    vectors/           00000000.npy, ...: (n, D) float32 of unit norm; together, in order, the rows of the index
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, FacekitError
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import describe_path, require_there
from facekit.run.parquet import count_rows, parquet_batches, parquet_schema, read_parquet
from facekit.run.user_files import read_json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DESCRIPTION", "Embeddings", "Features", "index_schema", "is_features", "open_features"]

FORMAT = 1
DESCRIPTION, INDEX, FAILURES, VECTORS = "features.json", "index.parquet", "failures.parquet", "vectors"


@dataclass(frozen=True)
class Embeddings:
    """Vectors in memory.

    Parameters
    ----------
    vectors : (N, D) float32
        Unit norm.
    labels, keys : (N,) int64

    Raises
    ------
    ConfigError
        The shapes or dtypes are others.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    keys: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float32:
            raise ConfigError(f"vectors must be (N, D) float32, not {self.vectors.shape} {self.vectors.dtype}")
        for name, array in (("labels", self.labels), ("keys", self.keys)):
            if array.shape != self.vectors.shape[:1] or array.dtype != np.int64:
                wanted = f"({len(self.vectors)},) int64"
                raise ConfigError(f"{name} must be {wanted}, not {array.shape} {array.dtype}")

    def __len__(self) -> int:
        return len(self.vectors)


class Features:
    """An opened folder of vectors; vectors are read when they are asked for.

    Attributes
    ----------
    path : Path
    description : dict
        ``features.json``.
    keys, labels : (N,) int64
    norms : (N,) float32
        Norm before normalisation, a quality.
    uncertainty : (N,) float32 or None
        Norm of sigma.
    masked : (N,) bool
        Whether the ledger says that the picture wears a drawn mask.
    sources : (N,) int64
        Key of the photograph that each picture was made from: its own without a ledger.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = _read_description(path)
        self.dimensions, self.count = int(self.description["dimensions"]), int(self.description["count"])
        self._shards = sorted((path / VECTORS).glob("*.npy"))
        lengths = [len(self._map(shard)) for shard in self._shards]
        vectors, self._starts = sum(lengths), np.cumsum([0, *lengths])[:-1]
        if not _count_rows(path / INDEX) == vectors == self.count:
            raise FacekitError(f"{path} is not whole: index, vectors and {DESCRIPTION} differ in count; embed again")

    @property
    def model_hash(self) -> str:
        """Hash of the model that made the vectors."""
        return str(self.description["model"])

    def column(self, name: str) -> NDArray[Any]:
        """One column of the index, (N,), read anew each time."""
        found = _read_filled(self.path / INDEX, name, self.count)
        return np.asarray(_read_table(self.path / INDEX, [name])[name].to_numpy()) if found is None else found

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        return self.column("key")

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        return self.column("label")

    @cached_property
    def norms(self) -> NDArray[np.float32]:
        return self.column("norm")

    @cached_property
    def uncertainty(self) -> NDArray[np.float32] | None:
        return _read_filled(self.path / INDEX, "uncertainty", self.count)

    @cached_property
    def masked(self) -> NDArray[np.bool_]:
        return self.column("masked")

    @cached_property
    def sources(self) -> NDArray[np.int64]:
        return self.column("source_key")

    def failed_keys(self) -> NDArray[np.int64]:
        """Keys of the pictures that have no vector, (F,) int64."""
        return np.asarray(_read_table(self.path / FAILURES, ["key"])["key"].to_numpy())

    def reasons(self) -> Counter[str]:
        """How many pictures have no vector, by the reason."""
        counted = _read_table(self.path / FAILURES, ["error"])["error"].value_counts()
        return Counter({str(row["values"]): row["counts"] for row in counted.to_pylist()})

    def failures(self) -> list[dict[str, Any]]:
        """Key, label and error of the pictures that have no vector."""
        rows: list[dict[str, Any]] = _read_table(self.path / FAILURES).to_pylist()
        return rows

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """The vectors shard by shard, mapped into memory.

        Yields
        ------
        (slice, (n, D) float32)
            Which rows of the index, and their vectors, of unit norm.

        Raises
        ------
        FacekitError
            A shard cannot be read.
        """
        row = 0
        for shard in self._shards:
            vectors = self._map(shard)
            yield slice(row, row + len(vectors)), vectors
            row += len(vectors)

    def load(self) -> Embeddings:
        """All vectors in memory.

        Returns
        -------
        Embeddings

        Raises
        ------
        FacekitError
            A shard cannot be read.
        """
        vectors = np.empty((self.count, self.dimensions), np.float32)
        for rows, block in self.blocks():
            vectors[rows] = block
        return Embeddings(vectors, self.labels, self.keys)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some rows, (n, D) float32; no others are read.

        Raises
        ------
        FacekitError
            A shard cannot be read.
        """
        found = np.empty((len(rows), self.dimensions), np.float32)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(shards, kind="stable")
        numbers, first = np.unique(shards[order], return_index=True)
        for number, places in zip(numbers.tolist(), np.split(order, first[1:]), strict=False):
            found[places] = self._map(self._shards[number])[rows[places] - self._starts[number]]
        return found

    def rows_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each key, (K,) int64; -1: there is no vector of that key."""
        return rows_of(self.keys, keys)

    def _map(self, shard: Path) -> NDArray[np.float32]:
        try:
            vectors: NDArray[np.float32] = np.load(shard, mmap_mode="r", allow_pickle=False)
        except (EOFError, OSError, ValueError) as error:
            raise FacekitError(f"{shard} cannot be read as vectors: {error}; embed again") from error
        if vectors.ndim != 2 or vectors.shape[1] != self.dimensions or vectors.dtype != np.float32:
            raise FacekitError(f"{shard} holds {vectors.shape} {vectors.dtype}, not (n, {self.dimensions}) float32")
        return vectors


def index_schema() -> pa.Schema:
    """Columns of ``index.parquet``, and what a failure has besides key and label.

    Returns
    -------
    pyarrow.Schema
    """
    import pyarrow as pa

    columns = [("key", pa.int64()), ("label", pa.int64()), ("norm", pa.float32()), ("uncertainty", pa.float32()),
               ("masked", pa.bool_()), ("source_key", pa.int64()), ("error", pa.string())]  # fmt: skip
    return pa.schema(columns)


def is_features(path: Path) -> bool:
    """Whether a path is a folder of vectors.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    return (path / DESCRIPTION).is_file()


def open_features(path: str | Path) -> Features:
    """Open a folder of vectors.

    Parameters
    ----------
    path : path

    Returns
    -------
    Features

    Raises
    ------
    ConfigError
        It is not one, or of a later format.
    FacekitError
        It is not whole.
    """
    return Features(Path(path))


def _count_rows(path: Path) -> int:
    import pyarrow as pa

    try:
        return count_rows(path)
    except (pa.ArrowException, OSError) as error:
        raise FacekitError(f"{path} cannot be read: {error}; embed again") from error


def _read_filled(path: Path, name: str, count: int) -> NDArray[Any] | None:
    """A column, some rows at a time: Arrow would hold it twice besides; None where a value is missing."""
    import pyarrow as pa

    try:
        found = np.empty(count, parquet_schema(path).field(name).type.to_pandas_dtype())
        row = 0
        for batch in parquet_batches(path, [name]):
            if batch.column(0).null_count:
                return None
            found[row : row + len(batch)] = batch.column(0).to_numpy(zero_copy_only=False)
            row += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise FacekitError(f"{path} cannot be read: {error}; embed again") from error
    return found


def _read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    import pyarrow as pa

    try:
        return read_parquet(path, columns)
    except (pa.ArrowException, OSError) as error:
        raise FacekitError(f"{path} cannot be read: {error}; embed again") from error


def _read_description(path: Path) -> dict[str, Any]:
    require_there(path, "folder of vectors")
    if not is_features(path):
        raise ConfigError(f"{path} holds no {DESCRIPTION}: it is {describe_path(path)}, not what facekit embed writes")
    description = read_json(path / DESCRIPTION, "embed again")
    if not isinstance(description, dict):
        raise FacekitError(f"{path / DESCRIPTION} cannot be read: it holds no object; embed again")
    if description.get("format") != FORMAT:
        raise ConfigError(f"{path} is of format {description.get('format')}; this facekit reads format {FORMAT}")
    return description
