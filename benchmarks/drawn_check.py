"""Does the check for recognizers that were trained on drawn people hold on others than those it was fitted to?

    python benchmarks/drawn_check.py drawn [--drawn RUN...] [--photographs RUN...] [--both RUN...] [--shared ../shared]

The mean cosine of two drawn people ("alike") of networks that facekit trained (folders of runs), of the embedder of
photographs with its input spoiled, and of recognizers that learn nothing. And how often a threshold errs that is chosen
without the recognizer that it judges, or without all of its training: half way between the two kinds that are left, of
those that benchmarks/README.md lists.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from drawn_ranking import Pictures, Side, Vectors, drawn_side, embedder, trained_at, unit, unlearned
from numpy.typing import NDArray

from facekit.evaluate import FaceSet
from facekit.jobs.benchmark.plan import BARE
from facekit.jobs.benchmark.protocols import ALIKE, alikeness


class Measured(NamedTuple):
    """A recognizer of the ranking: its training, whether that was on drawn people, and its mean cosine."""

    family: str
    drawn: bool
    alike: float


FITTED = (
    *(Measured("arc", False, alike) for alike in (0.21, 0.21, 0.42, 0.56, 0.24)),
    *(Measured("bcl", False, alike) for alike in (0.33, 0.38, 0.34)),
    *(Measured("arc16", False, alike) for alike in (0.56, 0.97, 0.97)),
    *(Measured("cos", False, alike) for alike in (0.58, 0.59)),
    *(Measured("arcm", False, alike) for alike in (0.71, 0.68)),
    Measured("HOG", False, 0.85),
    Measured("LBP", False, 0.84),
    Measured("raw pixels", False, 0.18),
    Measured("colours", False, 0.65),
    Measured("embedder", False, 0.31),
    *(Measured("drawn", True, alike) for alike in (0.01, 0.14, 0.08, 0.12)),
)
"""As the table of benchmarks/README.md has them; the threshold was chosen on these."""


def threshold_of(known: list[Measured]) -> float:
    """Half way between the kinds."""
    return (max(one.alike for one in known if one.drawn) + min(one.alike for one in known if not one.drawn)) / 2


def left_out(whole_training: bool) -> tuple[int, int, list[float]]:
    """How many are judged wrongly by the others, or by those of other trainings; of how many; and the thresholds."""
    wrong, judged, thresholds = 0, 0, list[float]()
    for at, one in enumerate(FITTED):
        same = [place == at or (whole_training and other.family == one.family) for place, other in enumerate(FITTED)]
        known = [other for other, left in zip(FITTED, same, strict=True) if not left]
        if any(other.drawn for other in known):
            thresholds.append(threshold_of(known))
            wrong, judged = wrong + ((one.alike < thresholds[-1]) != one.drawn), judged + 1
    return wrong, judged, thresholds


def fixed(seed: int) -> Callable[[Pictures], Vectors]:
    """Random directions of the pixels, with the mean of all pixels taken away."""
    directions = np.random.default_rng(seed).standard_normal((112 * 112 * 3, 128)).astype(np.float32)

    def embed(pictures: Pictures) -> Vectors:
        values = pictures.reshape(len(pictures), -1).astype(np.float32)
        return unit((values - values.mean(axis=1, keepdims=True)) @ directions)

    return embed


def principal(photographs: NDArray[np.uint8]) -> Callable[[Pictures], Vectors]:
    """Principal components of photographs, whose mean is taken away; what was learned saw no drawn person."""
    flat = photographs[:, 1::2, 1::2].reshape(len(photographs), -1).astype(np.float32)
    mean = flat.mean(axis=0)
    _, values, directions = np.linalg.svd(flat - mean, full_matrices=False)

    def embed(pictures: Pictures) -> Vectors:
        rows = pictures[:, 1::2, 1::2].reshape(len(pictures), -1).astype(np.float32) - mean
        return unit(rows @ directions[:128].T / values[:128])

    return embed


def held_out(options: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[Pictures], Vectors]]]:
    """What they saw, their names, and pictures to vectors."""
    for kind in ("drawn", "both", "photographs"):
        for run in getattr(options, kind):
            yield kind, Path(run).name, trained_at(Path(run) / "model.pt")
    model = options.shared / "data" / "models" / "embedder_128d.onnx"
    for one in embedder(model):
        yield "photographs", one.name, one.embed
    for one in unlearned():
        yield "nothing", one.name, one.embed
    yield "nothing", "random directions", fixed(0)
    yield "photographs", "principal components", principal(photographs_of(options.shared))


def photographs_of(shared: Path) -> NDArray[np.uint8]:
    from facekit.images import decode
    from facekit.jobs.inputs.source import open_source
    from facekit.jobs.inputs.source_records import read_records

    source, _ = open_source(str(shared / "data" / "faces"), layout="flat")
    rows = np.random.default_rng(0).permutation(len(source))[:1500]
    return np.stack([decode(record.payload) for record, _ in read_records(source.select_rows(np.sort(rows)))])


def bare_people(side: Side) -> Side:
    chosen = np.char.startswith(side.roles, BARE)
    return Side(*(column[chosen] for column in side))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark")
    for kind in ("drawn", "photographs", "both"):
        parser.add_argument(f"--{kind}", nargs="*", default=[], metavar="RUN", help="folders of facekit train")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for words, whole_training in (("itself", False), ("its training", True)):
        wrong, judged, thresholds = left_out(whole_training)
        print(f"without {words}: {wrong} of {judged} wrong, thresholds {min(thresholds):.3f} to {max(thresholds):.3f}")
    people = bare_people(drawn_side(options.benchmark))
    print("| saw | recognizer | alike | said |\n|---|---|---|---|")
    for kind, name, embed in held_out(options):
        alike = alikeness(FaceSet(embed(people.pictures), people.person, people.source)) or 0.0
        said = "drawn" if alike < ALIKE else ""
        print(f"| {kind} | {name} | {alike:.3f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
