"""A pack with every kind of record in it, and quick stand-ins for the model and the renderer, importable by workers."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from photo import face

from facekit.faces.estimators import StoredMesh
from facekit.faces.mesh import Mesh, MeshEstimator
from facekit.faces.topology import load_topology
from facekit.images import encode_jpeg, encode_like
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask
from facekit.jobs.mask.summary import MaskSummary
from facekit.records import Header, PackWriter

MAGIC = struct.pack("<I", 0xCED7230A)
OUTPUTS = ("train.rec", "train.idx", "property", "train.ledger.parquet", "contact.png")


class Paint(NamedTuple):
    """What the stand-in renderer drew."""

    type: str
    colour: list[int]

    def to_json(self) -> str:
        return str(self.colour)


@cache
def canonical_vertices() -> np.ndarray:
    """The canonical face in the middle of a 112 x 112 picture, looking ahead."""
    upright = load_topology().positions * np.float32([5, -5, 5])
    return (upright - upright.mean(0) + np.float32([56, 66, 0])).astype(np.float32)


def stored_mesh() -> MeshEstimator:
    """One mesh for every picture; as confident as a face deserves where there is some contrast."""
    vertices = canonical_vertices()

    def estimate(image: np.ndarray) -> Mesh:
        return Mesh(vertices, 25.0 if image.std() > 5 else -3.0)

    return estimate


def no_mesh() -> MeshEstimator:
    """For a cache that must know every mesh."""

    def estimate(image: np.ndarray) -> Mesh:
        raise AssertionError("the model was asked")

    return estimate


def any_mesh() -> MeshEstimator:
    return StoredMesh(canonical_vertices())


def painter(config: object) -> Callable[..., Any]:
    """Paints the lower half in one colour."""

    def wear(image: np.ndarray, vertices: np.ndarray, type: str, rng: np.random.Generator) -> tuple[Any, Paint]:
        colour = rng.integers(0, 256, 3)
        painted = image.copy()
        painted[image.shape[0] // 2 :] = colour
        return painted, Paint(type, colour.tolist())

    return wear


def png(image: np.ndarray) -> bytes:
    """The picture as a PNG."""
    head = b"\x89PNG\r\n\x1a\n" + b"\0" * 17
    return encode_like(image, head + b"\2" + b"\0" * 8)  # 2: colour


def magic_inside(payload: bytes, before: int) -> bytes:
    """The payload with RecordIO's magic word behind its end, where the record's writer must cut there."""
    return payload + b"\0" * (-(before + len(payload)) % 4) + MAGIC + b"tail"


def write_pack(folder: Path, layout: str = "insightface", people: int = 5, pictures: int = 4) -> Path:
    """A pack of faces; every identity also has something odd."""
    with PackWriter(folder, layout) as writer:
        for person in range(people):
            label = 3 * person  # labels with gaps, as a cleaned pack has them
            for number in range(pictures):
                seed = 100 * person + number
                key = writer.next_key
                payload = encode_jpeg(face(seed), 80 + seed % 19, ("4:2:0", "4:4:4")[seed % 2])
                header = Header(0, float(label), key, 7)
                if number == 1 and person % 5 == 0:
                    payload = b"this is no picture"
                if number == 1 and person % 5 == 1:
                    payload = encode_jpeg(np.full((112, 112, 3), 90, np.uint8), 95)
                if number == 1 and person % 5 == 2:
                    header = Header(2, np.array([label, 1.0], np.float32), key + 5000, 0)
                if number == 1 and person % 5 == 3:
                    payload = magic_inside(payload, 24)
                if number == 1 and person % 5 == 4:
                    payload = png(face(seed, side=100))
                writer.write(header, payload)
    return folder


def slow_painter(config: object) -> Callable[..., Any]:
    """The same, slowly enough to be interrupted."""
    wear = painter(config)

    def slowly(*given: Any) -> tuple[Any, Paint]:
        time.sleep(0.1)
        return wear(*given)

    return slowly


def run(source: Path, destination: Path, **settings: Any) -> MaskSummary:
    """Mask with stand-ins for the model and the renderer."""
    estimator = settings.pop("estimator", stored_mesh)
    return mask(MaskConfig(str(source), str(destination), **settings), estimator, painter)


def assert_same_output(one: Path, two: Path) -> None:
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in two.iterdir())
    for name in OUTPUTS:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
