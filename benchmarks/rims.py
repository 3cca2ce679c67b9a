"""Rims of glasses in front of masks: how many are kept, and how often something else is taken for one.

    python benchmarks/rims.py [--people 120] [--pack ../shared/data/faces] [--sheet sheet.png]

Of drawn people each picture is drawn with the person's glasses and without, so that their pixels are known. Of the pack
it is counted on how many faces anything is laid over; `--sheet` shows these, bare and masked, to be looked at: how many
of them wear glasses only eyes can tell. The sheet holds photographs of people; keep it out of the repository.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit import open_pack
from facekit.faces.gate import gate
from facekit.faces.mesh import LiteRTMesh, rounded
from facekit.masks import TYPES, Worn, render_worn, sample_params
from facekit.masks.rims import keep_rims
from facekit.synth.person import build_person
from facekit.synth.picture import render as draw
from facekit.synth.sampling import sample_capture, sample_identity

Picture = NDArray[np.uint8]
SEEN = 4  # changed pixels from which a face counts as changed
CHANGED = 12  # levels


class Case(NamedTuple):
    """A face: bare, masked with rims painted over, and what `keep_rims` makes of that."""

    bare: Picture
    over: Worn
    image: Picture
    coverage: NDArray[np.float32]
    seconds: float
    render_seconds: float

    @property
    def changed(self) -> bool:
        """Whether anything is seen in front of the mask."""
        return int((np.abs(self.image.astype(int) - self.over.image).max(-1) > CHANGED).sum()) >= SEEN


def case(bare: Picture, vertices: NDArray[np.float32], seed: list[int]) -> Case:
    """Mask a face with a type by chance, without rims and then with them."""
    rng = np.random.default_rng(seed)
    params = sample_params(rng, TYPES[int(rng.integers(len(TYPES)))])  # which paints rims over
    start = time.thread_time()
    over = render_worn(bare, vertices, params)
    between = time.thread_time()
    image, coverage = over.image.copy(), over.coverage.copy()
    middle = time.thread_time()
    keep_rims(bare, vertices, coverage, image)
    return Case(bare, over, image, coverage, time.thread_time() - middle, between - start)


def drawn(people: int) -> None:
    """Print what becomes of the glasses of drawn people, by kind."""
    rows: dict[str, list[tuple[int, int, int]]] = {}
    for number in range(people):
        identity = sample_identity(0, number)
        person = build_person(identity)
        for place in range(2):
            capture = sample_capture(0, number, place)
            wearing, bare = (draw(person, dataclasses.replace(capture, glasses=on)) for on in (True, False))
            one = case(wearing.image, wearing.vertices, [0, number, place])
            frame = np.abs(wearing.image.astype(int) - bare.image).max(-1) > 25
            frame &= one.over.coverage > 0.9
            kept = one.over.coverage - one.coverage > 0.3
            rows.setdefault(identity.glasses, []).append((int(frame.sum()), int((frame & kept).sum()), one.changed))
    for kind, found in rows.items():
        counts = np.array(found)
        under = counts[:, 0] >= 10
        print(
            f"{kind:5} {len(counts):4} pictures, frame under the mask in {under.sum():3}, of these a third of it "
            f"kept in {(3 * counts[under, 1] >= counts[under, 0]).sum():3}; changed {counts[:, 2].sum():3}"
        )


def faces(pack: Path, images: int) -> Iterator[Case]:
    """Faces of a pack that a mask can be worn on, in an order by chance."""
    estimator = LiteRTMesh()
    with open_pack(pack) as opened:
        for key in np.random.default_rng(0).permutation(opened.keys)[:images].tolist():
            image = opened.image(key)
            mesh = rounded(estimator(image))
            if gate(mesh, image.shape) is None:
                yield case(image, mesh.vertices, [0, key, 0])


def sheet(cases: list[Case], path: Path) -> None:
    """Bare, painted over and kept, three pictures a face, four faces a row."""
    rows = [np.hstack([one.bare, one.over.image, one.image])[20:92] for one in cases]
    rows += [np.zeros_like(rows[0])] * (-len(rows) % 4)
    whole = np.vstack([np.hstack(rows[i : i + 4]) for i in range(0, len(rows), 4)])
    cv2.imwrite(str(path), cv2.cvtColor(whole, cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    drawn(arguments.people)
    if arguments.pack is None:
        return
    cases, total, times = [], 0, []
    for one in faces(arguments.pack, arguments.images):
        total += 1
        times.append((one.seconds, one.render_seconds))
        if one.changed:
            cases.append(one)
    seconds, render_seconds = np.array(times[10:]).mean(0) * 1e6
    print(f"{len(cases)} of {total} faces changed; {seconds:.0f} us a face beside {render_seconds:.0f} of rendering")
    if arguments.sheet and cases:
        sheet(cases, arguments.sheet)


if __name__ == "__main__":
    main()
