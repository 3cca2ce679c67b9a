"""Masks on unaligned photographs: how many faces get one, how long a face takes, what it covers; beside MaskTheFace.

    python benchmarks/photo_masks.py [--photos DIR] [--peer FOLDER [--peer-python EXE]]

DIR holds photographs, one folder a person. FOLDER is a checkout of MaskTheFace (aqeelanwar/MaskTheFace) with its
templates and, in dlib_models/, the 68-point model that it fetches; EXE is the Python of an environment with its
requirements. It is run unmodified, with one type, on a copy of the same photographs; its landmark step is timed alone
by calling the detector and the predictor that it uses on the same pictures.

Coverage is measured alike for both, from pixels: a vertex of nose, mouth or chin of the bare face's mesh is covered
where the written picture differs from the source by more than `CHANGED` levels, which JPEG alone does not reach. A face
is masked where half of the vertices of its mouth are covered.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from mask_measures import PARTS
from numpy.typing import NDArray
from oracles import SHARED
from timing import machine

from facekit.faces.detector import Detection
from facekit.faces.finder import FaceFinder
from facekit.images import decode, encode_like
from facekit.masks import MaskOptions, sample_params
from facekit.masks.photograph import worn_on

T = TypeVar("T")

CHANGED = 24
REPEATS = 5
TYPE = "surgical-blue"
PEER_LANDMARKS = """
import json, sys, time
import cv2, dlib
detect, predict = dlib.get_frontal_face_detector(), dlib.shape_predictor(sys.argv[1])
pictures = [cv2.imread(path) for path in sys.stdin.read().split("\\n") if path]
began, faces = time.process_time(), 0
for picture in pictures:
    found = detect(picture, 1)
    faces += len(found)
    for box in found:
        predict(picture, box)
print(json.dumps([faces, time.process_time() - began]))
"""


class Photo(NamedTuple):
    """A photograph with the faces that facekit finds in it."""

    path: Path
    image: NDArray[np.uint8]
    faces: list[Detection]


class Row(NamedTuple):
    """What a tool did."""

    tool: str
    masked: int
    covered: dict[str, float]
    seconds: float
    landmarks: float


def coverage(photo: Photo, written: NDArray[np.uint8]) -> Iterator[dict[str, float]]:
    """Of each face: the share of each part's vertices at which the picture changed."""
    height, width = photo.image.shape[:2]
    differs = np.abs(written.astype(int) - photo.image).max(2) > CHANGED
    for face in photo.faces:
        assert face.mesh is not None
        x, y = np.rint(face.mesh.vertices[:, :2]).astype(int).clip(0, [width - 1, height - 1]).T
        yield {name: float(differs[y[part], x[part]].mean()) for name, part in PARTS.items()}


def measured(
    tool: str, photos: list[Photo], written: dict[Path, NDArray[np.uint8]], seconds: float, step: float
) -> Row:
    """Count the masked faces, and average what they cover."""
    every = [each for photo in photos if photo.path in written for each in coverage(photo, written[photo.path])]
    masked = [each for each in every if each["mouth"] >= 0.5]
    means = {name: float(np.mean([each[name] for each in masked])) if masked else float("nan") for name in PARTS}
    return Row(tool, len(masked), means, seconds / max(len(masked), 1), step / max(len(masked), 1))


def own_row(photos: list[Photo], tool: str, finder: FaceFinder) -> Row:
    """facekit on photographs of a folder, CPU time of one thread, the median of some runs."""

    def masked(photo: Photo, found: list[Detection]) -> NDArray[np.uint8]:
        params = [sample_params(np.random.default_rng([0, face]), TYPE, MaskOptions()) for face in range(len(found))]
        return decode(encode_like(worn_on(photo.image, found, params).image, photo.path.read_bytes()))

    def whole() -> dict[Path, NDArray[np.uint8]]:
        decoded = [photo._replace(image=decode(photo.path.read_bytes())) for photo in photos]
        return {photo.path: masked(photo, finder(photo.image)) for photo in decoded}

    written, seconds = timed(whole)
    _, step = timed(lambda: [finder(photo.image) for photo in photos])
    return measured(tool, photos, written, seconds, step)


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call gives, and its CPU seconds: the median of `REPEATS`, after one to warm up."""
    result, taken = call(), list[float]()
    for _ in range(REPEATS):
        began = process_time()
        result = call()
        taken.append(process_time() - began)
    return result, float(np.median(taken))


def peer_row(photos: list[Photo], peer: Path, python: str) -> Row:
    """MaskTheFace, a process of its own; its start is taken out by a run on an empty folder."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, empty = Path(scratch, "photographs"), Path(scratch, "nothing")
        empty.mkdir()
        for number, photo in enumerate(photos):
            copy = folder / f"{number:05d}" / f"photo{photo.path.suffix}"
            copy.parent.mkdir(parents=True)
            copy.write_bytes(photo.path.read_bytes())
        start = peer_seconds(peer, python, empty)
        seconds = peer_seconds(peer, python, folder) - start
        written = {}
        for number, photo in enumerate(photos):
            found = sorted(Path(f"{folder}_masked", f"{number:05d}").glob("photo_*"))
            if found:
                written[photo.path] = decode(found[0].read_bytes())
        return measured("MaskTheFace", photos, written, seconds, peer_landmarks(photos, peer, python))


def peer_seconds(peer: Path, python: str, folder: Path) -> float:
    """CPU seconds of one run, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [python, "mask_the_face.py", "--path", str(folder), "--mask_type", "surgical", "--code", ""]
    subprocess.run([*command, "--color", ""], cwd=peer, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peer_landmarks(photos: list[Photo], peer: Path, python: str) -> float:
    """CPU seconds of its detector and its 68 points alone."""
    model = peer / "dlib_models" / "shape_predictor_68_face_landmarks.dat"
    names = "\n".join(str(photo.path.resolve()) for photo in photos)
    done = subprocess.run(
        [python, "-c", PEER_LANDMARKS, str(model)], input=names, capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout)[1])


def said(row: Row, faces: int) -> str:
    """A line of the table."""
    covered = ", ".join(f"{name} {share:.1%}" for name, share in row.covered.items())
    return (
        f"{row.tool:14} {row.masked} of {faces} faces masked; {1e3 * row.seconds:.1f} ms of CPU a masked face, "
        f"{1e3 * (row.seconds - row.landmarks):.1f} without finding it; covered: {covered}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SHARED / "data" / "photos")
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--peer-python", default=sys.executable)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    finder = FaceFinder()
    paths = sorted(arguments.photos.rglob("*.jpg"))
    photos = [Photo(path, image, finder(image)) for path in paths for image in [decode(path.read_bytes())]]
    faces = sum(len(photo.faces) for photo in photos)
    print(f"{machine()}; {len(photos)} photographs, {faces} faces that facekit finds")
    print(said(own_row(photos, "facekit", finder), faces))
    print(said(own_row(photos, "... --upright", FaceFinder(quarters=(0,))), faces))
    if arguments.peer is not None:
        print(said(peer_row(photos, arguments.peer, arguments.peer_python), faces))


if __name__ == "__main__":
    main()
