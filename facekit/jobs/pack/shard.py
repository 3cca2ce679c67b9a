"""What a worker does with one shard of a packing job: picture files in; framed records and ledger rows out."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError
from facekit.faces.align import ARCFACE_TEMPLATE, align, similarity_transform
from facekit.faces.detector import Detection, Detector, largest
from facekit.faces.finder import FaceFinder
from facekit.images import as_payload, decode, encode_jpeg, picture_size
from facekit.jobs.pack.config import SHIPPED, UPRIGHT, PackConfig
from facekit.jobs.pack.picture_list import PictureList
from facekit.records import Header, pack_record
from facekit.records.framing import frame
from facekit.run.ledger import LedgerRow, payload_hash, table
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard

__all__ = ["PackTask", "make_detector", "start_worker"]

logger = logging.getLogger(__name__)

CROP = (112, 112)
# Intersection over union from which a face is the one in the box of a list. Detectors draw boxes differently: one with
# a third of the face to spare on every side still reaches 0.36. Neighbours in a photograph hardly overlap.
LEAST_OVERLAP = 0.3
DETECTOR = (
    "MODULE:NAME, called without arguments, must make a callable that takes an (H, W, 3) uint8 RGB picture and gives a "
    "list of facekit.faces.detector.Detection"
)
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"


class PackTask(NamedTuple):
    """One shard: its pictures, and where the result goes."""

    shard: Shard
    path: Path
    pictures: PictureList

    def __repr__(self) -> str:
        files = self.pictures.files
        return f"shard {self.shard.number} ({len(files)} pictures, {files[0]} to {files[-1]})"


class Packed(NamedTuple):
    """What became of a picture: its payload, or why there is none."""

    action: str
    payload: bytes | None
    params: str | None = None
    score: float | None = None
    reason: str | None = None


def make_detector(name: str | None) -> Detector:
    """The detector that a config names; a module may lie in the working directory.

    Raises
    ------
    ConfigError
        There is no such module or name in it, or it makes no detector.
    """
    if name is None or name == SHIPPED:
        return FaceFinder()
    if name == UPRIGHT:
        return FaceFinder(quarters=(0,))
    module, _, maker = name.partition(":")
    _add_working_directory()
    try:
        made: Detector = getattr(import_module(module), maker)()
    except FacekitError:
        raise
    except Exception as error:
        # Foreign code: whatever it raises is about the name that was given. The traceback is for who wrote it.
        logger.info("the detector %s was not made", name, exc_info=True)
        raise ConfigError(f"detector is {name!r}: {type(error).__name__}: {error}; {DETECTOR}") from error
    if not callable(made):
        raise ConfigError(f"detector is {name!r}: it makes an object of type {type(made).__name__}; {DETECTOR}")
    return made


def _add_working_directory() -> None:
    """As ``python -m`` does, but last: a file here must not stand in for an installed library."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())


def start_worker(config: PackConfig) -> Callable[[PackTask], Shard]:
    """Open what a worker keeps open, and return what it does with a task."""
    import cv2

    cv2.setNumThreads(1)
    detector = make_detector(config.detector) if config.align else None

    def work(task: PackTask) -> Shard:
        run_shard(task, config, detector)
        return task.shard

    return work


def run_shard(task: PackTask, config: PackConfig, detector: Detector | None) -> None:
    """Work through a shard and leave its file."""
    import pyarrow as pa

    pictures, rows, offsets = task.pictures, list[LedgerRow](), list[int]()
    with ShardWriter(task.path) as out:
        for place, (key, label) in enumerate(zip(pictures.keys.tolist(), pictures.labels.tolist(), strict=True)):
            packed, stored = packed_file(pictures, place, config, detector)
            rows.append(LedgerRow(None, key, payload_hash(stored), packed.action, None, *packed[2:]))
            if packed.payload is None:
                offsets.append(-1)
            else:
                offsets.append(out.write(frame(pack_record(Header(0, float(label), 0, 0), packed.payload))))
        found = table(rows).append_column("offset", pa.array(offsets, pa.int64()))
        out.finish(found.append_column("label", pa.array(pictures.labels, pa.int64())))


def packed_file(
    pictures: PictureList, place: int, config: PackConfig, detector: Detector | None
) -> tuple[Packed, bytes]:
    """What becomes of one file, and the bytes that the ledger's hash is of: the payload, or else the file."""
    content = b""
    try:
        content = Path(pictures.root, pictures.files[place]).read_bytes()
        points, box = _given(pictures.points, place), _given(pictures.boxes, place)
        packed = pack_picture(content, config, detector, bool(pictures.aligned[place]), points, box)
    except OSError as error:
        packed = Packed("error", None, reason=f"unreadable: {error.strerror}")
    except Exception as error:
        # One odd picture must not end a run of days: its row says what went wrong, and the summary counts it.
        file, known = pictures.files[place], isinstance(error, FacekitError)
        logger.info("%s was not packed: %s", file, error, exc_info=not known)
        packed = Packed("error", None, reason=str(error) if known else f"{type(error).__name__}: {error}")
    return packed, packed.payload if packed.payload is not None else content


def _given(values: npt.NDArray[np.float32], place: int) -> npt.NDArray[np.float32] | None:
    """What the list says of one picture."""
    return values[place] if len(values) and np.isfinite(values[place]).all() else None


def pack_picture(
    content: bytes,
    config: PackConfig,
    detector: Detector | None,
    aligned: bool = False,
    points: npt.NDArray[np.float32] | None = None,
    box: npt.NDArray[np.float32] | None = None,
) -> Packed:
    """The payload of a picture file: itself where it is a crop already, else the face in the box or the largest one.

    Raises
    ------
    PictureError
        It does not decode.
    """
    crop = picture_size(content) == CROP and content.startswith(JPEG)
    if detector is None or aligned or crop:
        return stored(content, config)
    image = decode(content, upright=True)
    score = None
    if points is None:
        faces = detector(image)
        face = largest(faces) if box is None else best_overlap(faces, box)
        if face is None:
            return Packed("refused", None, reason="no_face" if box is None else "no_face_in_box")
        points, score = face.points, face.score
    try:
        payload = encode_jpeg(align_face(image, points), config.quality)
    except FacekitError as error:
        return Packed("refused", None, score=score, reason=f"points: {error}")
    return Packed("align", payload, json.dumps({"points": np.round(points, 2).tolist()}), score)


def best_overlap(faces: list[Detection], box: npt.NDArray[np.float32]) -> Detection | None:
    """The face that overlaps a box best; None where none overlaps it by `LEAST_OVERLAP`."""
    best = max(faces, key=lambda face: box_iou(face.box, box), default=None)
    return best if best is not None and box_iou(best.box, box) >= LEAST_OVERLAP else None


def box_iou(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Intersection over union of two boxes.

    >>> box_iou(np.float32([0, 0, 2, 2]), np.float32([1, 0, 3, 2]))
    0.3333333333333333
    """
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = float(np.prod(np.clip(sides, 0, None)))
    whole = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])) - shared
    return shared / whole if shared > 0 else 0.0


def stored(content: bytes, config: PackConfig) -> Packed:
    """JPEG and PNG byte for byte unless EXIF turns them; what training code may not decode becomes a JPEG."""
    upright = as_payload(content)
    image = decode(upright)
    if config.size is not None and image.shape[:2] != config.size:
        return Packed("refused", None, reason=f"size {image.shape[0]}x{image.shape[1]}")
    if content.startswith((JPEG, PNG)):
        return Packed("copy" if upright is content else "encode", upright)
    return Packed("encode", encode_jpeg(image, config.quality))


def align_face(image: npt.NDArray[np.uint8], points: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The aligned crop; a face much larger than that is first shrunk by area, since bilinear sampling would alias."""
    import cv2

    matrix = similarity_transform(points, ARCFACE_TEMPLATE)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:
        height, width = image.shape[:2]
        size = max(1, round(2 * scale * width)), max(1, round(2 * scale * height))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        shrunk = np.array([size[0] / width, size[1] / height], np.float32)
        points = (points + np.float32(0.5)) * shrunk - np.float32(0.5)
    return align(image, points)
