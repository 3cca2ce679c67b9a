"""Records -> a whole pack: ``train.rec``, ``train.idx`` and ``property``, in either layout; a long one's labels too."""

from __future__ import annotations

import os
import shutil
import struct
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import ConfigError, DestinationExists, PictureError, RecordError, none_of
from facekit.output.aside import new_aside
from facekit.records.framing import unframe
from facekit.records.header import HEADER_BYTES, Header, Record, pack_record, unpack_record
from facekit.records.identity_runs import IdentityRuns
from facekit.records.index import sidecar_path
from facekit.records.label_sidecar import LabelWriter, labels_path
from facekit.records.layout import LAYOUTS
from facekit.records.patch import patch_headers
from facekit.records.writer import RecordWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PackWriter"]

_SIZE_OF_NO_PICTURE = (112, 112)


class PackWriter:
    """Writes a pack, which appears whole, by rename, when :meth:`close` succeeds; an exception leaves nothing.

    In the layout ``insightface`` images get keys 1, 2, ... and the images of an identity must follow one another;
    closing writes record 0 (flag 2, label [N + 1, N + 1 + M]) and after it one record an identity (flag 2, label [first
    key, last key + 1)), as InsightFace's face2rec2 does. Beyond 2**24 images these numbers are rounded, being float32:
    that is the format. In the layout ``flat`` images get keys 0, 1, ... (or those given) and there is nothing else,
    which DALI and shuffled packs need. Beside a pack of 50,000 images or more lie its labels (``train.labels.bin``), so
    that `Pack.labels` need not touch every record; other tools pass that file by, and it may be deleted.

    Parameters
    ----------
    path : path
        The folder to make, or a name ending in ``.rec`` (then only ``.rec`` and ``.idx`` are written). Missing parents
        are made.
    layout : str
        ``"insightface"`` or ``"flat"``.
    overwrite : bool
        Replace the pack in an existing folder; other files in it are left alone.
    image_size : (int, int), optional
        Height and width for ``property``; by default those of the first picture, 112 and 112 where the first payload is
        none.

    Raises
    ------
    ConfigError
        The layout is none of the two.
    DestinationExists
        The folder exists and is not empty, or the file exists, and ``overwrite`` is not set.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layout: str = "insightface",
        overwrite: bool = False,
        *,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        self._writer: RecordWriter | None = None
        if layout not in LAYOUTS:
            raise none_of("layout", layout, LAYOUTS)
        self.path, self.layout = Path(path), layout
        self._overwrite, self._size, self._is_file = overwrite, image_size, self.path.suffix == ".rec"
        self._refuse_existing()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._partial = new_aside(self.path)
        except OSError as error:
            raise RecordError(f"the folder cannot be made: {error.strerror}", self.path) from error
        name = self.path.name if self._is_file else "train.rec"
        self._writer = RecordWriter(self._partial / name)
        self._labels = LabelWriter(self._writer.path)
        self._next = 1 if layout == "insightface" else 0
        self._identities = IdentityRuns() if layout == "insightface" else None
        self._largest_label = -1

    def _refuse_existing(self) -> None:
        idx = self.path.with_suffix(".idx") if self._is_file else self.path
        taken = [p for p in (self.path, idx) if p.exists() and (self._is_file or not p.is_dir() or any(p.iterdir()))]
        if taken and not self._overwrite:
            raise DestinationExists(f"{taken[0]} exists: choose another name or ask to overwrite it")
        if not self._is_file and self.path.exists() and not self.path.is_dir():
            raise DestinationExists(f"{self.path} is a file: choose another name or remove it")

    @property
    def next_key(self) -> int:
        """The key that the next image will get."""
        return self._next

    def write(
        self,
        record: Record | Header | tuple[int, object, int, int],
        payload: bytes | bytearray | memoryview | None = None,
        *,
        key: int | None = None,
        renumber: bool = False,
    ) -> int:
        """Append an image record.

        Parameters
        ----------
        record : Record or Header
            A record, whose own key is not used; or a header, with the payload as second argument.
        payload : bytes-like, optional
        key : int, optional
            Layout ``flat`` only: the key; by default the next one.
        renumber : bool
            Set ``header.id`` to the key; by default the header is kept verbatim.

        Returns
        -------
        int
            The key it got.

        Raises
        ------
        ConfigError
            A header that cannot be packed, a key in the layout ``insightface``, or (there) an identity whose images do
            not follow one another.
        """
        writer, (header, payload) = self._opened, _header_and_payload(record, payload)
        number = self._next_or(key)
        if renumber:
            header = header._replace(id=number)
        buffer = pack_record(header, payload)
        labels = np.array([_class_of(buffer)])
        starting = self._starting(labels)
        writer.write_bytes(number, buffer)
        self._note(labels, starting, number)
        self._labels.add_one(number, float(labels[0]))
        self._size = self._size or _picture_size(payload)
        self._next = number + 1
        return number

    def append_block(
        self,
        block: bytes | bytearray | memoryview,
        offsets: NDArray[np.integer],
        labels: NDArray[np.number],
        keys: NDArray[np.integer] | None = None,
        new_ids: NDArray[np.integer] | bool | None = None,
        relabel: bool = False,
        in_place: bool = False,
    ) -> NDArray[np.int64]:
        """Append image records that are framed already (a finished shard) in one write.

        Parameters
        ----------
        block : bytes-like
            Framed records, one after another.
        offsets : (n,) integer
            Where each starts in the block, ascending.
        labels : (n,) number
            Label of each.
        keys : (n,) integer, optional
            Layout ``flat`` only: the keys; by default the next ones.
        new_ids : (n,) integer or bool, optional
            New ``header.id`` of each; True for the keys. By default headers are kept verbatim.
        relabel : bool
            Write ``labels`` into the records; by default they only say what is there.
        in_place : bool
            The block may be changed, which saves a copy of it.

        Returns
        -------
        (n,) int64
            The keys they got.

        Raises
        ------
        ConfigError
            No record starts at one of the offsets, lengths do not match, keys in the layout ``insightface``, or (there)
            an identity whose images do not follow one another.
        """
        writer, offsets, labels = self._opened, np.asarray(offsets, np.int64), np.asarray(labels)
        if labels.shape != offsets.shape or offsets.ndim != 1:
            raise ConfigError(f"{offsets.shape} offsets want as many labels, {labels.shape} were given")
        if keys is not None and self._identities is not None:
            raise ConfigError("keys are numbered by the layout insightface itself: leave them out or write layout flat")
        new_keys = np.arange(self._next, self._next + len(offsets)) if keys is None else np.asarray(keys, np.int64)
        if not len(offsets):
            return new_keys
        ids = new_keys if new_ids is True else None if new_ids is None or new_ids is False else np.asarray(new_ids)
        block, offsets = patch_headers(block, offsets, ids, labels if relabel else None, in_place)
        starting = self._starting(labels)
        writer.append_framed(block, new_keys, offsets)
        self._note(labels, starting, int(new_keys[0]))
        self._labels.add(new_keys, labels)
        self._size = self._size or _picture_size(unpack_record(unframe(block, int(offsets[0]))[0])[1])
        self._next = int(new_keys[-1]) + 1
        return new_keys

    def close(self) -> None:
        """Write what the layout has after the images, and ``property``; then the pack appears. Harmless when closed.

        Raises
        ------
        ConfigError
            There is no image in a pack of the layout ``insightface``.
        RecordError
            The disk refuses; then nothing appears.
        """
        if self._writer is None:
            return
        try:
            if self._identities is not None:
                self._write_identities(self._identities)
            self._writer.close()
            self._labels.close(self._writer.idx_path)
            if not self._is_file:
                height, width = self._size or _SIZE_OF_NO_PICTURE
                (self._partial / "property").write_text(f"{self._largest_label + 1},{height},{width}\n", "ascii")
            self._publish()
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError):
                raise RecordError(f"writing failed: {error.strerror}", self.path) from error
            raise
        self._writer = None

    def abort(self) -> None:
        """Give up: remove what was written; harmless when closed already."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abort()
            self._labels.abort()
            shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @property
    def _opened(self) -> RecordWriter:
        if self._writer is None:
            raise ConfigError(f"the writer of {self.path} is closed")
        return self._writer

    def _next_or(self, key: int | None) -> int:
        if key is not None and self._identities is not None:
            raise ConfigError("keys are numbered by the layout insightface itself: leave them out or write layout flat")
        return self._next if key is None else int(key)

    def _starting(self, labels: NDArray[np.number]) -> NDArray[np.integer]:
        """Which of the labels start an identity; checked before anything is written."""
        whole = np.isfinite(labels) & (np.rint(labels) == labels)
        if not whole.all():
            raise ConfigError(f"a label must be a whole number, {labels[~whole][0]} was given")
        return np.empty(0, np.int64) if self._identities is None else self._identities.starting(labels)

    def _note(self, labels: NDArray[np.number], starting: NDArray[np.integer], first_key: int) -> None:
        """Remember what record 0, the identity records and ``property`` will say."""
        if self._identities is not None:
            self._identities.add(labels, starting, first_key)
        self._largest_label = max(self._largest_label, int(labels.max()))

    def _write_identities(self, identities: IdentityRuns) -> None:
        first, count = self._next, len(identities.starts)
        if not count:
            raise ConfigError(f"{self.path} has no image, which the layout insightface cannot say: write layout flat")
        header = Header(2, np.array([first, first + count], np.float32), 0, 0)
        self._opened.write_bytes(0, pack_record(header, b""))
        stops = chain(identities.starts[1:], [first])
        for key, start, stop in zip(range(first, first + count), identities.starts, stops, strict=True):
            header = Header(2, np.array([start, stop], np.float32), key, 0)
            self._opened.write_bytes(key, pack_record(header, b""))

    def _publish(self) -> None:
        if not self._is_file and not any(self.path.iterdir() if self.path.exists() else ()):
            os.replace(self._partial, self.path)
            return
        folder = self.path.parent if self._is_file else self.path
        idx = folder / ((self.path.stem if self._is_file else "train") + ".idx")
        # Without an index a pack can be read, with another pack's index it cannot: the old one goes first, the new one
        # comes last.
        for old in (sidecar_path(idx), labels_path(idx), idx):
            old.unlink(missing_ok=True)
        for name in sorted(os.listdir(self._partial), key=lambda name: (name.endswith(".idx"), name)):
            os.replace(self._partial / name, folder / name)
        self._partial.rmdir()


def _header_and_payload(
    record: Record | Header | tuple[int, object, int, int], payload: bytes | bytearray | memoryview | None
) -> tuple[Header, bytes | bytearray | memoryview]:
    if isinstance(record, Record):
        if payload is not None:
            raise ConfigError("a record already has a payload: pass a Header to write another payload")
        return record.header, record.payload
    if payload is None:
        raise ConfigError("a header needs a payload as second argument")
    return Header(*record), payload


def _class_of(buffer: bytes) -> float:
    """The class label of a packed record, as float32 stores it."""
    flag, label = struct.unpack_from("<If", buffer)
    return float(struct.unpack_from("<f", buffer, HEADER_BYTES)[0] if flag else label)


def _picture_size(payload: bytes | bytearray | memoryview) -> tuple[int, int]:
    from facekit.images import picture_size

    try:
        return picture_size(payload)
    except PictureError:
        return _SIZE_OF_NO_PICTURE
