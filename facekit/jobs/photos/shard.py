"""What a worker does with one shard of photographs: files in; files and a ledger row for every face out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from facekit.errors import FacekitError, RecordError
from facekit.faces.detector import Detection
from facekit.faces.finder import FaceFinder
from facekit.images import open_picture_file
from facekit.jobs.mask.shard import draw_type, limit_threads
from facekit.jobs.photos.config import PhotosConfig
from facekit.masks import MaskParams, WornFace, add_masks, sample_params
from facekit.masks.photograph import worn_on
from facekit.run.ledger import payload_hash
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FaceRow", "PhotosTask", "face_table", "start_worker"]

logger = logging.getLogger(__name__)


class PhotosTask(NamedTuple):
    """One shard: its photographs, and where the result goes."""

    shard: Shard
    path: Path
    root: str
    files: Sequence[str]
    chosen: tuple[bool, ...]

    def __repr__(self) -> str:
        return f"shard {self.shard.number} ({len(self.files)} photographs, {self.files[0]} to {self.files[-1]})"


class FaceRow(NamedTuple):
    """A line of the ledger: a face, or a picture without one."""

    key: int
    """Number of the picture, from 1 on."""
    path: str
    face: int | None
    """Number of the face in its picture, from 0 on, the largest first; none where none was found."""
    action: str
    """``mask``, ``bare`` (not chosen), ``refused``, ``none`` (no face) or ``error``."""
    reason: str | None = None
    type: str | None = None
    params: str | None = None
    score: float | None = None
    """Presence of a face, the logit of the mesh model."""
    box: list[float] | None = None
    points: list[float] | None = None
    """x and y of each of the five points."""
    payload_hash: bytes = b""
    """BLAKE2b, 16 bytes, of the file that was written."""


class Masked(NamedTuple):
    """A photograph's file as it is to be written, and its rows."""

    content: bytes
    rows: list[FaceRow]


def start_worker(config: PhotosConfig) -> Callable[[PhotosTask], Shard]:
    """Open what a worker keeps open, and return what it does with a task."""
    limit_threads()
    if config.textures is not None:
        add_masks(config.textures)
    finder = FaceFinder(config.smallest, quarters=(0,) if config.upright else (0, 1, 2, 3))

    def work(task: PhotosTask) -> Shard:
        run_shard(task, config, finder)
        return task.shard

    return work


def run_shard(task: PhotosTask, config: PhotosConfig, finder: FaceFinder) -> None:
    """Work through a shard and leave its file."""
    rows, offsets = list[FaceRow](), list[int]()
    with ShardWriter(task.path) as out:
        for place, name in enumerate(task.files):
            key = task.shard.first + place + 1
            content, found = masked_file(task, key, name, task.chosen[place], config, finder)
            offset, hash = out.write(content), payload_hash(content)
            rows += [row._replace(payload_hash=hash) for row in found]
            offsets += [offset] * len(found)
        out.finish(face_table(rows).append_column("offset", _int64(offsets)))


def masked_file(
    task: PhotosTask, key: int, name: str, chosen: bool, config: PhotosConfig, finder: FaceFinder
) -> Masked:
    """The file with masks on; byte for byte as it is where none is worn.

    Raises
    ------
    RecordError
        The file cannot be read.
    """
    path = Path(task.root, name)
    try:
        content = path.read_bytes()
    except OSError as error:
        cure = f"the picture cannot be read: {error.strerror}; mend it, or take it out of the folder"
        raise RecordError(cure, path, key) from error
    try:
        return mask_photo(content, key, name, chosen, config, finder)
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        # One odd picture must not end a run of days: its row says what went wrong, and the summary counts it.
        known = isinstance(error, FacekitError)
        logger.info("%s was not masked: %s", name, error, exc_info=not known)
        return Masked(content, [FaceRow(key, name, None, "error", str(error) if known else repr(error))])


def mask_photo(content: bytes, key: int, name: str, chosen: bool, config: PhotosConfig, finder: FaceFinder) -> Masked:
    """Find the faces, draw what each wears, and put it on.

    Raises
    ------
    PictureError
        The file does not decode.
    """
    photo = open_picture_file(content)
    found = finder(photo.image)
    params = [drawn(config, key, face) if chosen else None for face in range(len(found))]
    if config.faces == "largest":
        params[1:] = [None] * len(params[1:])
    worn = worn_on(photo.image, found, params)
    faces = zip(worn.faces, found, params, strict=True)
    rows = [row_of(key, name, place, *each) for place, each in enumerate(faces)]
    if any(row.action == "mask" for row in rows):
        content = photo.with_image(worn.image)
    return Masked(content, rows or [FaceRow(key, name, None, "none")])


def drawn(config: PhotosConfig, key: int, face: int) -> MaskParams | None:
    """What the face wears; None where it stays bare. It depends on nothing but the seed and the two numbers."""
    rng = np.random.default_rng([config.seed, key, face])
    bare = rng.random() >= config.ratio and config.ratio_of == "face"
    type = draw_type(rng, config.types)
    return None if bare else sample_params(rng, type, config.options)


def row_of(key: int, name: str, place: int, face: WornFace, found: Detection, wanted: MaskParams | None) -> FaceRow:
    """The ledger's line about one face."""
    action = "bare" if wanted is None else "mask" if face.params else "refused"
    known: dict[str, Any] = {"box": np.round(face.box, 2).tolist(), "points": np.round(face.points, 2).ravel().tolist()}
    if face.params:
        known |= {"type": face.params.type, "params": face.params.to_json()}
    score = None if found.mesh is None else found.mesh.presence
    reason = face.reason if action == "refused" else None
    return FaceRow(key, name, place, action, reason, score=score, **known)


def face_table(rows: list[FaceRow]) -> pa.Table:
    """Rows as an Arrow table; bytes of a path that are not UTF-8 are written out."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("key", pa.int64()), ("path", pa.string()), ("face", pa.int64()), ("action", pa.string()),
            ("reason", pa.string()), ("type", pa.string()), ("params", pa.string()), ("score", pa.float32()),
            ("box", pa.list_(pa.float32())), ("points", pa.list_(pa.float32())), ("payload_hash", pa.binary(16)),
        ]
    )  # fmt: skip
    printable = [row._replace(path=row.path.encode("utf-8", "backslashreplace").decode()) for row in rows]
    columns = list(zip(*printable, strict=True)) or [()] * len(FaceRow._fields)
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)], schema)


def _int64(values: list[int]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.int64())
