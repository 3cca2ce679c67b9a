"""A reader -> Pack: records with the meaning that their layout gives them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import PictureError, RecordError
from facekit.records.columns import HeaderColumns, header_columns
from facekit.records.distinct import distinct
from facekit.records.header import Header, Record
from facekit.records.index import save_sidecar, write_index
from facekit.records.label_sidecar import load_labels, save_labels
from facekit.records.layout import EXACT_FLOAT32, first_identity_key, is_dataset_header, whole_labels
from facekit.records.pack_files import PackPaths
from facekit.records.reader import RecordReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pack", "PartialIndex"]

_AT_ONCE = 1 << 18
"""Keys whose offsets are looked up in one go."""
_NO_KEY = 2.0**62
"""Numbers as large are no keys; beyond twice that they fit in no int64."""


class PartialIndex(RecordError):
    """The index of a pack does not reach to the end of its file: records would be left out in silence."""


class Pack:
    """A RecordIO pack of face pictures; made by :func:`facekit.records.opening.open_pack`.

    Cheap to open (headers are read when they are first asked for), safe to share between threads and across forks,
    picklable (reopened where it is unpickled), and a context manager.

    Attributes
    ----------
    reader : RecordReader
    paths : PackPaths
    layout : str
        ``"insightface"`` (record 0 is the dataset header, identity records follow the images) or ``"flat"`` (images
        only).
    dataset_header : Header or None
        Header of record 0 where the layout is ``insightface``.
    """

    def __init__(self, reader: RecordReader) -> None:
        self.reader = reader
        self.read = reader.read  # type: ignore[method-assign]  # a call less is a tenth of the time
        rec = reader.path
        self.paths = PackPaths(rec.parent, rec, reader.idx_path or rec.with_suffix(".idx"), rec.parent / "property")
        self.dataset_header = self._dataset_header()
        self.layout = "flat" if self.dataset_header is None else "insightface"

    def _dataset_header(self) -> Header | None:
        if 0 not in self.reader:
            return None
        _, header, payload = self.read(0)
        return header if is_dataset_header(header, payload) else None

    def index_reaches_end(self) -> bool:
        """Whether the record that the index has furthest back in the file ends where the file ends.

        Takes one or two reads of eight bytes, whatever the size of the pack; see `facekit.records.index_end`
        for what it can and cannot notice.

        Returns
        -------
        bool
        """
        return self.reader.index_problem() is None

    def require_whole_index(self) -> None:
        """Refuse a pack whose index does not reach to the end of its file.

        Raises
        ------
        PartialIndex
            Names the file, what is wrong, and the cure.
        """
        problem = self.reader.index_problem()
        if problem is not None:
            self.reader.require_record_file()
            rec = self.paths.rec
            cure = f"facekit check {rec} says what is missing, facekit reindex {rec} --overwrite rebuilds the index"
            raise PartialIndex(f"{problem}: {cure}", self.paths.idx)

    # --- what is in it ------------------------------------------------------------------------------------------------

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """(N,) int64, keys of the image records, in physical order."""
        keys = self.physical_keys
        if self.dataset_header is None:
            return keys
        images = (keys > 0) & (keys < self._first_identity)
        first, stop = int(images.argmax()), len(keys) - int(images[::-1].argmax()) if len(keys) else 0
        # All in one run, as in every pack that was written in one go: no copy.
        return keys[first:stop] if np.count_nonzero(images) == stop - first else keys[images]

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) int64, label of each image record, in the order of ``keys``; the first element of a vector label.

        From the labels that :meth:`save_labels` or the pack's writer left, where the pack is still what it was, else
        from the headers.

        Raises
        ------
        RecordError
            A record is truncated or corrupt, or its label is not a whole number.
        """
        stored = load_labels(self.paths.rec, self.paths.idx)
        labels = stored if stored is not None and len(stored) == len(self.keys) else self._read_labels()
        labels.flags.writeable = False
        return labels

    def _read_labels(self) -> NDArray[np.int64]:
        labels = np.empty(len(self.keys), np.int64)
        for chosen, columns in self.header_columns(self.keys):
            whole = whole_labels(columns.label)
            if not whole.all():
                key = int(self.keys[chosen][int((~whole).argmax())])
                problem = f"the label {columns.label[~whole][0]} is not a whole number"
                raise RecordError(problem, self.paths.rec, key, self.reader.offset(key))
            labels[chosen] = columns.label
        return labels

    @cached_property
    def _distinct(self) -> NDArray[np.int64]:
        return distinct(self.labels)

    @property
    def num_images(self) -> int:
        """Image records."""
        return len(self.keys)

    @property
    def num_identities(self) -> int:
        """Distinct labels."""
        return len(self._distinct)

    @property
    def num_classes(self) -> int:
        """Largest label + 1, what a classifier needs: above ``num_identities`` where labels have gaps; 0 if empty."""
        return int(self._distinct[-1]) + 1 if len(self._distinct) else 0

    @property
    def physical_keys(self) -> NDArray[np.int64]:
        """Keys of all records, the dataset header and identity records included, in the order of the file."""
        return self.reader.index.physical_keys

    @cached_property
    def identity_ranges(self) -> NDArray[np.int64]:
        """(M, 2) int64, first key and last key + 1 of each identity's images, in the order of the identity records.

        From the identity records while those are exact; runs of one label in key order in a pack beyond 2**24 records,
        whose float32 numbers are rounded. (0, 2) in the layout ``flat``.
        """
        if self.dataset_header is None:
            return np.empty((0, 2), np.int64)
        keys = np.sort(self.physical_keys[self.physical_keys >= self._first_identity])
        if self._first_identity > EXACT_FLOAT32:
            return self._label_runs()
        ranges = np.empty((len(keys), 2), np.int64)
        for chosen, columns in self.header_columns(keys):
            both = np.stack([columns.label, columns.second], axis=1)
            wrong = ~(np.abs(both) < _NO_KEY)  # true of what is no number, too
            if wrong.any():
                key = int(keys[chosen][int(wrong.any(axis=1).argmax())])
                raise RecordError(
                    "an identity record without two numbers", self.paths.rec, key, self.reader.offset(key)
                )
            ranges[chosen] = both
        return ranges

    def _label_runs(self) -> NDArray[np.int64]:
        order = np.argsort(self.keys, kind="stable")
        keys, labels = self.keys[order], self.labels[order]
        starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
        stops = np.append(starts[1:], len(keys)) - 1
        return np.stack([keys[starts], keys[stops] + 1], axis=1)

    @cached_property
    def _first_identity(self) -> int:
        """Key of the first identity record: the dataset header's first number, looked up where float32 rounds it."""
        if self.dataset_header is None:
            return int(self.physical_keys.max(initial=-1)) + 1
        claimed = int(self.dataset_header.label[0])
        return first_identity_key(claimed, self.physical_keys, self._are_identities)

    def _are_identities(self, keys: NDArray[np.int64]) -> Iterator[bool]:
        for _, columns in self.header_columns(keys):
            yield from ((columns.flag == 2) & columns.empty).tolist()

    def header_columns(self, keys: NDArray[np.int64]) -> Iterator[tuple[slice, HeaderColumns]]:
        """Headers of the records of some keys as arrays, a batch at a time, without touching payloads.

        Parameters
        ----------
        keys : (k,) int64
            Fastest in physical order.

        Yields
        ------
        (slice, HeaderColumns)
            Which of ``keys``, and their headers.

        Raises
        ------
        RecordError
            There is no such key, or its record is truncated or corrupt.
        """
        keys, index = np.asarray(keys, np.int64), self.reader.index
        for first in range(0, len(keys), _AT_ONCE):
            some = keys[first : first + _AT_ONCE]
            positions = index.positions(some)
            if positions.min() < 0:
                raise RecordError("the index has no such key", self.paths.idx, int(some[int(positions.argmin())]))
            for chosen, columns in header_columns(self.paths.rec, index.offsets[positions], some):
                yield slice(first + chosen.start, first + chosen.stop), columns

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, key: int) -> Record:
        """The record of a key: of an image, of the dataset header (0) or of an identity.

        Parameters
        ----------
        key : int

        Returns
        -------
        Record

        Raises
        ------
        RecordError
            There is no such key, or its record is truncated or corrupt.
        """
        return self.reader.read(key)

    def read_framed(self, key: int) -> bytes:
        """The framed bytes of a key's record: what to append to another file to copy it byte for byte.

        Parameters
        ----------
        key : int

        Returns
        -------
        bytes

        Raises
        ------
        RecordError
            There is no such key, or its record is truncated or corrupt.
        """
        return self.reader.read_framed(key)

    def image(self, key: int) -> NDArray[np.uint8]:
        """The picture of a key.

        Parameters
        ----------
        key : int

        Returns
        -------
        (H, W, 3) uint8
            RGB.

        Raises
        ------
        RecordError
            There is no such key, or its record is truncated or corrupt.
        PictureError
            The payload does not decode; names file and key.
        """
        from facekit.images import decode

        payload = self.read(key).payload
        try:
            return decode(payload)
        except PictureError as error:
            raise PictureError(f"{self.paths.rec}, key {int(key)}: {error}") from error

    def __iter__(self) -> Iterator[Record]:
        """Image records in physical order."""
        for key in self.keys.tolist():
            yield self.read(key)

    def __len__(self) -> int:
        return self.num_images

    # --- housekeeping -------------------------------------------------------------------------------------------------

    def save_index(self) -> Path:
        """Write the index as ``.idx`` text beside the ``.rec``, in physical order; replaces what is there.

        Returns
        -------
        Path
            The ``.idx``.

        Raises
        ------
        RecordError
            The disk refuses.
        """
        write_index(self.paths.idx, self.reader.index)
        return self.paths.idx

    def save_sidecar(self) -> Path:
        """Write the binary form of the ``.idx`` beside it: every later opening takes under 5 ms, whatever the size.

        Returns
        -------
        Path
            The sidecar.

        Raises
        ------
        RecordError, OSError
            The disk refuses.
        """
        if not self.paths.idx.exists():
            self.save_index()
        return save_sidecar(self.paths.idx, self.reader.index)

    def save_labels(self) -> Path:
        """Write all labels beside the pack: later they are there at once, whatever its size.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OSError
            The disk refuses.
        """
        return save_labels(self.paths.rec, self.paths.idx, self.labels)

    def close(self) -> None:
        """Close the file; harmless when closed already."""
        self.__dict__.pop("read", None)
        self.reader.close()

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type, tuple[RecordReader]]:
        return type(self), (self.reader,)

    def __repr__(self) -> str:
        return f"Pack({str(self.paths.rec)!r}, layout={self.layout!r}, {len(self.reader)} records)"
