"""Do drawn people rank recognizers as real ones do? Spearman's correlation over recognizers of different quality.

    facekit benchmark make drawn
    python benchmarks/drawn_ranking.py drawn --work ranking [--shared ../shared]
    python benchmarks/drawn_ranking.py drawn --work others --real PACK --runs RUN...

Trains small networks in --work (on real faces, and on drawn people of seeds that the benchmark never uses), takes a
snapshot of each after every epoch that is named below, and scores them, an embedder of photographs with four ways to
spoil its input, and recognizers that learn nothing (raw pixels, HOG, LBP, colours) on the benchmark and on real people
whom none was trained on. Prints a table of the recognizers and one of the correlations, with 95% intervals over
recognizers (drawn again with replacement). What is trained already in --work is not trained again. With --runs nothing
is trained: folders of facekit train take the place of the networks, and --real takes that of the photographs: people
whom none of them was trained on, with masked copies.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.embeddings.onnx_engine import OnnxEngine
from facekit.evaluate import FaceSet, verify_all
from facekit.images import decode
from facekit.jobs.benchmark.folder import open_benchmark
from facekit.jobs.benchmark.plan import BARE, MASKED, STYLES
from facekit.jobs.benchmark.protocols import alikeness
from facekit.jobs.inputs.ledger import read_flags
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.source_records import read_records

Pictures = NDArray[np.uint8]
Vectors = NDArray[np.float32]
FARS = (1e-2, 1e-3)
SPLIT = ("--test", "0.25", "--seed", "1")


class Run(NamedTuple):
    """A training: its pack, recipe, settings, and the epochs after which it is looked at."""

    pack: str
    recipe: str
    epochs: int
    seed: int
    snapshots: tuple[int, ...]
    changes: tuple[str, ...] = ()


RUNS = {
    "arc": Run("split/train", "arcface-small", 12, 1, (1, 2, 4, 8, 12)),
    "arc16": Run("split/train", "arcface-small", 6, 2, (1, 3, 6), ("dimensions=16",)),
    "bcl": Run("split/train", "bcl-small", 6, 3, (1, 3, 6)),
    "cos": Run("split/train", "cosface-small", 4, 5, (2, 4)),
    "arcm": Run("split/train", "arcface-small", 8, 6, (2, 8), ("online_masks=0.4",)),
    "drawn": Run("drawn_train", "arcface-small", 12, 4, (1, 2, 4, 12)),
}


class Recognizer(NamedTuple):
    """A name, whether it has seen drawn faces, and pictures to unit vectors."""

    name: str
    drawn: bool
    embed: Callable[[Pictures], Vectors]


class Side(NamedTuple):
    """Pictures that are scored: their people, sources, and which wear masks."""

    pictures: Pictures
    person: NDArray[np.int64]
    source: NDArray[np.int64]
    roles: NDArray[np.str_]


def facekit(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "facekit", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def prepare(work: Path, shared: Path) -> None:
    """Split the real faces by person, mask the test half, draw people to train on, train."""
    work.mkdir(exist_ok=True)
    if not (work / "split").exists():
        facekit("split", shared / "data" / "faces", work / "split", *SPLIT)
    if not (work / "real_masked").exists():
        facekit("mask", work / "split" / "test", work / "real_masked", "--ratio", 0.5, "--workers", 1)
    if not (work / "drawn_train").exists():
        facekit("synth", work / "drawn_train", "--identities", 150, "--images", 16, "--workers", 1)
    for name, run in RUNS.items():
        if not (work / "run" / name / "model.pt").exists():
            given = (f"epochs={run.epochs}", "keep=30", "threads=1", f"seed={run.seed}", *run.changes)
            words = [word for text in given for word in ("--set", text)]
            out = work / "run" / name
            facekit("train", "bcl", work / run.pack, out, "--recipe", run.recipe, "--log", "csv", *words)


def trained_at(path: Path) -> Callable[[Pictures], Vectors]:
    """A network that facekit trained, or its checkpoint."""
    import torch

    from facekit.train.model import open_model

    torch.set_num_threads(1)

    def embed(pictures: Pictures) -> Vectors:
        model = open_model(path)
        network = model.network.eval()
        found = []
        with torch.inference_mode():
            for start in range(0, len(pictures), 128):
                batch = pictures[start : start + 128].transpose(0, 3, 1, 2).astype(np.float32)
                planes = torch.from_numpy((batch - 127.5) / 127.5)
                flags = torch.zeros(len(batch), dtype=torch.bool)
                found.append(model.plugin.embed(model.settings.plugin, network, planes, flags).vector.numpy())
        return unit(np.concatenate(found))

    return embed


def trained(work: Path) -> Iterator[Recognizer]:
    for name, run in RUNS.items():
        checkpoints = sorted((work / "run" / name / "checkpoints").iterdir())
        for epoch in run.snapshots:
            path = checkpoints[epoch * len(checkpoints) // run.epochs - 1]
            yield Recognizer(f"{name}, epoch {epoch}", name == "drawn", trained_at(path))


def embedder(path: Path) -> Iterator[Recognizer]:
    """The network of photographs, as it is and with its input spoiled."""
    engine = OnnxEngine(path, "cpu", 1, {"columns": (8, 104), "mean": 127.5, "std": 128.0})

    def recognizer(spoil: Callable[[Pictures, np.random.Generator], Pictures]) -> Callable[[Pictures], Vectors]:
        def embed(pictures: Pictures) -> Vectors:
            rng, found = np.random.default_rng(0), []
            for start in range(0, len(pictures), 64):
                spoiled = np.stack([spoil(one, rng) for one in pictures[start : start + 64]])
                found.append(engine.run(engine.preprocessing(spoiled), np.zeros(len(spoiled), np.bool_)).embeddings)
            return unit(np.concatenate(found))

        return embed

    ways: dict[str, Callable[[Pictures, np.random.Generator], Pictures]] = {
        "embedder": lambda one, _: one,
        "embedder, blur 2": lambda one, _: np.asarray(cv2.GaussianBlur(one, (0, 0), 2.0), np.uint8),
        "embedder, blur 4": lambda one, _: np.asarray(cv2.GaussianBlur(one, (0, 0), 4.0), np.uint8),
        "embedder, 20 px": lambda one, _: np.asarray(
            cv2.resize(cv2.resize(one, (20, 20), interpolation=cv2.INTER_AREA), (112, 112)), np.uint8
        ),
        "embedder, noise 40": lambda one, rng: np.asarray(
            (one + 40 * rng.standard_normal(one.shape)).clip(0, 255), np.uint8
        ),
    }
    for name, spoil in ways.items():
        yield Recognizer(name, False, recognizer(spoil))


def unlearned() -> Iterator[Recognizer]:
    """Recognizers that learn nothing."""

    def pixels(one: Pictures) -> NDArray[Any]:
        grey = cv2.resize(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), (28, 28), interpolation=cv2.INTER_AREA)
        return np.asarray(grey, np.float32).ravel() - grey.mean()

    def gradients(one: Pictures) -> NDArray[Any]:
        """HOG: 9 unsigned directions in cells of 14 pixels, normalised in blocks of 2 x 2 cells."""
        grey = cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32)
        down, across = np.gradient(grey)
        bins = (np.arctan2(down, across) % np.pi * 9 / np.pi).astype(np.int64).clip(0, 8)
        places = np.arange(112) // 14
        index = (places[:, None] * 8 + places) * 9 + bins
        cells = np.bincount(index.ravel(), np.hypot(down, across).ravel(), 64 * 9).reshape(8, 8, 9)
        blocks = np.concatenate([cells[:-1, :-1], cells[:-1, 1:], cells[1:, :-1], cells[1:, 1:]], axis=2)
        return np.sqrt(blocks / (blocks.sum(axis=2, keepdims=True) + 1e-6)).ravel()

    def patterns(one: Pictures) -> NDArray[Any]:
        grey = cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.int16)
        code = np.zeros((110, 110), np.int64)
        shifts = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
        for bit, (row, column) in enumerate(shifts):
            code |= (grey[row : row + 110, column : column + 110] >= grey[1:-1, 1:-1]).astype(np.int64) << bit
        cells = [np.bincount(code[r : r + 22, c : c + 22].ravel() >> 2, minlength=64)
                 for r in range(0, 110, 22) for c in range(0, 110, 22)]  # fmt: skip
        return np.sqrt(np.concatenate(cells).astype(np.float32))

    def colours(one: Pictures) -> NDArray[Any]:
        levels = (one[16:96, 24:88] >> 6).reshape(-1, 3).astype(np.int64) @ [16, 4, 1]
        return np.sqrt(np.bincount(levels, minlength=64).astype(np.float32))

    for name, feature in (("raw pixels", pixels), ("HOG", gradients), ("LBP", patterns), ("colours", colours)):

        def embed(pictures: Pictures, feature: Callable[[Pictures], NDArray[Any]] = feature) -> Vectors:
            values = np.stack([feature(one) for one in pictures])
            return unit(values)

        yield Recognizer(name, False, embed)


def unit(values: NDArray[Any]) -> Vectors:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12), np.float32)


def given(runs: list[Path]) -> Iterator[Recognizer]:
    """Networks that were trained elsewhere, on photographs alone."""
    for run in runs:
        yield Recognizer(run.name, False, trained_at(run / "model.pt"))


def real_side(pack: Path) -> Side:
    source, _ = open_source(str(pack), layout="flat")
    flags = read_flags(source)
    pictures = np.stack([decode(record.payload) for record, _ in read_records(source)])
    return Side(pictures, source.labels, flags.sources, np.where(flags.masked, MASKED, BARE))


def drawn_side(path: str) -> Side:
    """The adults of a benchmark, with what the ranking and the check for drawn training look at."""
    table = open_benchmark(path).faces
    chosen = ~table.child & np.isin(table.role, [BARE, MASKED, *STYLES])
    source, _ = open_source(path, layout="flat")
    rows = np.flatnonzero(chosen)
    pictures = np.stack([decode(record.payload) for record, _ in read_records(source.select_rows(rows))])
    styled = table.image < table.image[table.role == STYLES[0]].max() + 1
    roles = np.where((table.role == BARE) & styled, "bare, styled", table.role)
    return Side(pictures, table.person[chosen], table.source[chosen], roles[chosen])


def scores_of(side: Side, vectors: Vectors) -> dict[str, float]:
    """TARs, and the area under the curve of bare to bare."""
    bare, masked = np.char.startswith(side.roles, BARE), side.roles == MASKED
    faces = FaceSet(vectors, side.person, side.source)
    found: dict[str, float] = {}
    for name, scores in (("bare", verify_all(faces.take(bare), None, FARS)),
                         ("masked", verify_all(faces.take(masked), faces.take(bare), FARS))):  # fmt: skip
        found |= {f"{name} {point.far:g}": point.tar for point in scores.points}
        found[f"{name} auc"] = float(np.trapezoid(scores.roc.tar, scores.roc.far))
    found["alike"] = alikeness(faces.take(bare)) or 0.0
    for role in ("bare, styled", *STYLES):
        if (side.roles == role).any():
            found[role] = verify_all(faces.take(side.roles == role), None, FARS[:1]).points[0].tar
    return found


def ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks; equal values share theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def spearman(a: NDArray[Any], b: NDArray[Any]) -> float:
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / max(np.sqrt((x @ x) * (y @ y)), 1e-12))


def interval(a: NDArray[Any], b: NDArray[Any], replicates: int = 5000) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(replicates):
        rows = rng.integers(0, len(a), len(a))
        found.append(spearman(a[rows], b[rows]))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def show(results: dict[str, dict[str, Any]]) -> None:
    columns = (
        "recognizer",
        "real",
        "drawn",
        "real masked",
        "drawn masked",
        "lost: light",
        "colour",
        "texture",
        "alike",
    )
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for name, found in sorted(results.items(), key=lambda one: -one[1]["real"]["bare 0.01"]):
        real, drawn = found["real"], found["drawn"]
        cells = [real["bare 0.01"], drawn["bare 0.01"], real["masked 0.01"], drawn["masked 0.01"]]
        lost = [1 - drawn[style] / max(drawn["bare, styled"], 1e-9) for style in STYLES]
        shown = " | ".join(f"{100 * value:.1f}" for value in cells + lost)
        print(f"| {name}{' (trained on drawn)' * found['seen']} | {shown} | {drawn['alike']:.2f} |")
    print("\n| over | measure | Spearman | 95% |\n|---|---|---|---|")
    for words, seen in (("that saw no drawn face", (False,)), ("all", (False, True))):
        chosen = [one for one in results.values() if one["seen"] in seen]
        for measure in (one for one in chosen[0]["real"] if one != "alike"):
            a, b = (np.array([one[side][measure] for one in chosen]) for side in ("real", "drawn"))
            low, high = interval(a, b)
            print(f"| {len(chosen)} {words} | {measure} | {spearman(a, b):.3f} | {low:.2f} to {high:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", help="a folder of facekit benchmark make")
    parser.add_argument("--work", type=Path, required=True, help="where networks are trained and results kept")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], metavar="RUN", help="networks of facekit train")
    parser.add_argument("--real", type=Path, metavar="PACK", help="with --runs: photographs, masked ones among them")
    options = parser.parse_args()
    if bool(options.runs) != bool(options.real):
        parser.error("--runs and --real are given together")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    options.work.mkdir(exist_ok=True)
    if not options.runs:
        prepare(options.work, options.shared)
    kept = options.work / "ranking.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    real = options.real or options.work / "real_masked"
    sides = {"real": real_side(real), "drawn": drawn_side(options.benchmark)}
    model = options.shared / "data" / "models" / "embedder_128d.onnx"
    networks = given(options.runs) if options.runs else trained(options.work)
    for recognizer in (*unlearned(), *networks, *embedder(model)):
        if recognizer.name not in results:
            found: dict[str, Any] = {"seen": recognizer.drawn}
            for side, pictures in sides.items():
                found[side] = scores_of(pictures, recognizer.embed(pictures.pictures))
            results[recognizer.name] = found
            kept.write_text(json.dumps(results))
            print(f"{recognizer.name}: {found['real']['bare 0.01']:.3f}", file=sys.stderr, flush=True)
    show(results)


if __name__ == "__main__":
    main()
