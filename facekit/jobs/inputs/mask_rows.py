"""What a ledger says of the masks of a pack: type and score in memory, parameters, which are long, in a mapped file."""

from __future__ import annotations

import mmap
import tempfile
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MaskRows"]

Number = TypeVar("Number", bound=np.generic)


class MaskRows:
    """Gathers rows of a ledger: 16 bytes a mask stay in memory.

    The parameters of a mask are some hundred bytes of JSON. They go into a temporary file without a name, which the
    system removes when the table is gone.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None  # there is none where no picture wears a mask
        self._stops: list[npt.NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._known: list[npt.NDArray[np.bool_]] = []
        self._codes: list[npt.NDArray[np.int32]] = []
        self._scores: list[pa.Array] = []
        self._words: dict[str | None, int] = {}
        self._written = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """Add rows with the columns ``type``, ``params`` and ``score``."""
        import pyarrow.compute as pc

        kinds = rows["type"].dictionary_encode(null_encoding="encode")
        numbers = [self._words.setdefault(word, len(self._words)) for word in kinds.dictionary.to_pylist()]
        self._codes.append(np.array(numbers, np.int32)[kinds.indices.to_numpy()])
        params = rows["params"]
        self._known.append(params.is_valid().to_numpy(zero_copy_only=False))
        sizes = pc.binary_length(params).fill_null(0).to_numpy(zero_copy_only=False)
        stops = self._written + np.cumsum(sizes, dtype=np.int64)
        self._stops.append(stops)
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed when it is mapped
        self._file.write(b"".join(text.encode() for text in params.drop_null().to_pylist()))
        self._written = int(stops[-1]) if len(stops) else self._written
        self._scores.append(rows["score"])

    def table(self) -> pa.Table:
        """All rows, each column in one piece.

        Returns
        -------
        pyarrow.Table
            type (dictionary of string), params (large_string, its bytes mapped) and score (float).
        """
        import pyarrow as pa

        kinds = pa.DictionaryArray.from_arrays(_together(self._codes), pa.array(list(self._words), pa.string()))
        score = pa.concat_arrays(self._scores)
        self._scores.clear()
        columns = {"type": kinds, "params": self._params(), "score": score}
        return pa.table(columns)

    def _params(self) -> pa.Array:
        import pyarrow as pa

        mapped: bytes | mmap.mmap = b""
        if self._file is not None:
            with self._file as file:
                file.flush()
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._written else b""
        stops, known = _together(self._stops), _together(self._known)
        missing = len(known) - int(np.count_nonzero(known))
        valid = pa.py_buffer(np.packbits(known, bitorder="little")) if missing else None
        buffers = [valid, pa.py_buffer(stops), pa.py_buffer(mapped)]
        return pa.Array.from_buffers(pa.large_string(), len(known), buffers, missing)


def _together(parts: list[npt.NDArray[Number]]) -> npt.NDArray[Number]:
    """Arrays one after another, and the list is empty then."""
    joined = np.concatenate(parts)
    parts.clear()
    return joined
