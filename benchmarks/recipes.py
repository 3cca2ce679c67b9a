"""The recipes against each other on a pack, with a small network, the same split, schedule and augmentation for all.

    python benchmarks/recipes.py tail  ../shared/data/faces --seeds 0 1 2
    python benchmarks/recipes.py masks ../shared/data/faces --seeds 0 1 2
    python benchmarks/recipes.py bare  ../shared/data/faces --seeds 0 1 2
    python benchmarks/recipes.py why   ../shared/data/faces --seeds 0

tail   BCL, CurricularFace and ArcFace: rank-1 of a held-out image of each identity against the centres of the images
       that were trained on, of all identities; tail identities have at most three images, the held-out one included.
masks  MaskDUL, DUL + magnitude, DUL-cls, MagFace and ArcFace on a pack of which half is masked: TAR of masked-to-bare
       and masked-to-masked pairs of people who were not trained on. All have one plugin and one recipe: ArcFace is
       MagFace with a fixed margin and without the regulariser. Beside TAR stand the medians of |mu| and |sigma| of
       bare and of masked faces, and the misses when the faces of least quality are rejected.
bare   ArcFace and MagFace trained on the same photographs without masks: general models that meet masked faces.
why    MaskDUL with one thing changed at a time, on the same pairs.

Each run is a line of JSON in --results, and what is there already is not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rejection import quality_of

from facekit.embeddings import Embedded, embed_pictures
from facekit.evaluate import FaceSet, verify_all
from facekit.images import blurred, decode
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
from facekit.records import Header, Pack, PackWriter, open_pack

TAIL = 3
LOSSES = {"bcl": "bcl-small", "curricular": "curricular-small", "arcface": "arcface-small"}


class Method(NamedTuple):
    """A plugin, its recipe, what is changed of it, the method whose network it begins from, and what it learns from."""

    plugin: str
    recipe: str
    changes: tuple[str, ...] = ()
    begin: str | None = None
    trained_on: str = "train-masked"


FIXED = ("margin_bounds=.35,.35", "lambda_g=0")
BLURRED = ("blur=.5", "blur_size=4")
MASKS = {
    "arcface": Method("maskdul", "magface-small", FIXED),
    "magface": Method("maskdul", "magface-small"),
    "dul_cls": Method("maskdul", "dul_cls-small"),
    "dul_mag": Method("maskdul", "dul_mag-small"),
    "maskdul": Method("maskdul", "maskdul-small"),
}
BARE = {
    "arcface, bare": Method("maskdul", "magface-small", FIXED, trained_on="train"),
    "magface, bare": Method("maskdul", "magface-small", trained_on="train"),
}
WHY = {
    "arcface, margin .22": Method("maskdul", "magface-small", ("margin_bounds=.22,.22", "lambda_g=0")),
    "magface, margin .2 to .5": Method("maskdul", "magface-small", ("margin_bounds=.2,.5",)),
    "maskdul, margin .2 to .5": Method("maskdul", "maskdul-small", ("margin_bounds=.2,.5",)),
    "maskdul, margin .35": Method("maskdul", "maskdul-small", FIXED),
    "maskdul, margin .35, one start": Method("maskdul", "maskdul-small", (*FIXED, "two_stream=false")),
    "maskdul, margin .35, easy": Method("maskdul", "maskdul-small", (*FIXED, "easy_margin=true")),
    "maskdul, branches started apart": Method("maskdul", "maskdul-small", ("shared_init=false",)),
    "maskdul, one start": Method("maskdul", "maskdul-small", ("two_stream=false",)),
    "maskdul, margin .35, lambda 1": Method("maskdul", "maskdul-small", (*FIXED, "kl_weight=1")),
    "maskdul, margin .35, lambda 0": Method("maskdul", "maskdul-small", (*FIXED, "kl_weight=0")),
    "maskdul, margin .35, sigma from .2": Method("maskdul", "maskdul-small", (*FIXED, "sigma_start=.2")),
    "maskdul, sigma from .7": Method("maskdul", "maskdul-small", ("sigma_start=.7",)),
    "maskdul, mean over dimensions": Method("maskdul", "maskdul-small", ("reduction=mean",)),
    "arcface of bcl": Method("bcl", "arcface-small", ("scale=32", "margin=.35")),
    "arcface of bcl, scale 48": Method("bcl", "arcface-small", ("scale=48", "margin=.35")),
    "arcface of bcl, no jitter": Method("bcl", "arcface-small", ("scale=32", "brightness=0", "contrast=0")),
    "arcface, from arcface": Method("maskdul", "magface-small", FIXED, "arcface"),
    "magface, from arcface": Method("maskdul", "magface-small", (), "arcface"),
    "maskdul, from arcface": Method("maskdul", "maskdul-small", (), "arcface"),
    "maskdul, margin .35, from arcface": Method("maskdul", "maskdul-small", FIXED, "arcface"),
    "arcface, blurred, from arcface": Method("maskdul", "magface-small", (*FIXED, *BLURRED), "arcface"),
    "magface, blurred, from arcface": Method("maskdul", "magface-small", BLURRED, "arcface"),
    "maskdul, blurred, from arcface": Method("maskdul", "maskdul-small", BLURRED, "arcface"),
    "maskdul, margin .35, blurred, from arcface": Method("maskdul", "maskdul-small", (*FIXED, *BLURRED), "arcface"),
}
"""What MaskDUL's place depends on, one thing at a time."""


def write_pack(pack: Pack, keys: NDArray[np.int64], labels: NDArray[np.int64], folder: Path) -> Path:
    """A pack of some images, labels numbered through."""
    order = np.argsort(labels, kind="stable")
    new = np.unique(labels, return_inverse=True)[1]
    with PackWriter(folder) as writer:
        for row in order.tolist():
            _, _, payload = pack.read(int(keys[row]))
            writer.write(Header(0, float(new[row]), writer.next_key, 0), bytes(payload))
    return folder


def held_out(labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """One image of each identity that has two or more: (N,) bool."""
    chance = np.random.default_rng([seed, 11]).random(len(labels))
    order = np.lexsort((chance, labels))
    first = np.r_[True, labels[order][1:] != labels[order][:-1]]
    out = np.zeros(len(labels), np.bool_)
    out[order[first]] = True
    return out & (np.bincount(labels)[labels] > 1)


def embedded_by(
    run: Path, pack: Pack, keys: NDArray[np.int64], masked: NDArray[np.bool_], blur: float = 0.0
) -> Embedded:
    """Unit vectors (N, D) with the flip test, |mu| (N,) and |sigma| (N,) or None; blurred by so many pixels first."""
    import torch

    from facekit.train.live import LiveEngine
    from facekit.train.model import open_model

    model = open_model(run)
    config = model.settings.plugin
    takes_flag = "mask_flag" in model.plugin.export_inputs(config)
    engine = LiveEngine(model.plugin, config, model.network, torch.device("cpu"), model.image_size, takes_flag)
    parts = []
    for start in range(0, len(keys), 128):
        sharp = [decode(pack.read(int(key)).payload) for key in keys[start : start + 128]]
        pictures = np.stack([blurred(picture, blur) for picture in sharp] if blur else sharp)
        parts.append(embed_pictures(engine, pictures, masked[start : start + 128], flip=True))
    sigma = [part.uncertainty for part in parts if part.uncertainty is not None]
    vectors, norms = (np.concatenate([getattr(part, name) for part in parts]) for name in ("vectors", "norms"))
    return Embedded(vectors, norms, np.concatenate(sigma) if sigma else None)


def rank_one(vectors: NDArray[np.float32], labels: NDArray[np.int64], probe: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each probe's nearest centre is its own: (probes,) bool."""
    classes, at = np.unique(labels[~probe], return_inverse=True)
    centres = np.zeros((len(classes), vectors.shape[1]))
    np.add.at(centres, at, vectors[~probe])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return np.asarray(classes[(vectors[probe] @ centres.T).argmax(1)] == labels[probe])


def tail_run(pack: Pack, name: str, seed: int, changes: Sequence[str], scratch: Path) -> dict[str, Any]:
    """Train on all but the probes, and identify them."""
    labels, keys = pack.labels, pack.keys
    probe = held_out(labels, 0)
    folder = scratch / "train"
    if not folder.exists():
        write_pack(pack, keys[~probe], labels[~probe], folder)
    run = train_one("bcl", LOSSES[name], folder, seed, changes, scratch / f"{name}-{seed}")
    vectors = embedded_by(run, pack, keys, np.zeros(len(keys), np.bool_)).vectors
    right, size = rank_one(vectors, labels, probe), np.bincount(labels)[labels[probe]]
    found = {"tail": right[size <= TAIL], "head": right[size > TAIL], "all": right}
    return {"rank-1 " + part: float(value.mean()) for part, value in found.items()} | {"probes": len(right)}


def masked_packs(pack: Pack, scratch: Path) -> None:
    """Four fifths of the people to train on, half their images masked, and the others bare and masked to test on."""
    labels, keys = pack.labels, pack.keys
    people = np.random.default_rng(5).permutation(int(labels.max()) + 1)
    known = np.isin(labels, people[: len(people) * 4 // 5])
    for part, keep in (("train", known), ("test", ~known)):
        if not (scratch / f"{part}-masked").exists():
            bare = write_pack(pack, keys[keep], labels[keep], scratch / part)
            put_on(bare, scratch / f"{part}-masked", *(("replace", 0.5) if part == "train" else ("add", 0.499)))


def put_on(bare: Path, folder: Path, mode: str, ratio: float) -> None:
    """Masks of five types on a share of a pack, the same for the same keys."""
    from facekit.jobs.mask.config import MaskConfig, parse_types
    from facekit.jobs.mask.job import mask

    types = parse_types("surgical-blue,surgical-white,n95-cup,kn95,cloth-pattern")
    mask(MaskConfig(str(bare), str(folder), ratio, mode, types, seed=3))


def masks_run(pack: Pack, name: str, seed: int, changes: Sequence[str], scratch: Path) -> dict[str, Any]:
    """Train on four fifths of the people, half their images masked, and verify the others."""
    masked_packs(pack, scratch)
    method = (MASKS | BARE | WHY)[name]
    init = None if method.begin is None else scratch / f"{method.begin}-{seed}"
    given, out = [*method.changes, *changes], scratch / f"{name}-{seed}"
    run = train_one(method.plugin, method.recipe, scratch / method.trained_on, seed, given, out, init)
    return masked_scores(run, scratch / "test-masked")


def masked_scores(run: Path, folder: Path, blur: float = 0.0) -> dict[str, Any]:
    """Masked and bare faces of a pack against each other, all blurred by so many pixels."""
    from facekit.jobs.inputs.ledger import read_flags
    from facekit.jobs.inputs.source import open_source

    test = open_pack(folder)
    source, _ = open_source(str(folder), layout="flat")
    flags = read_flags(source)
    embedded = embedded_by(run, test, source.keys, flags.masked, blur)
    faces = FaceSet(embedded.vectors, source.labels, flags.sources)
    worn, bare = faces.take(flags.masked), faces.take(~flags.masked)
    found = {"masked to bare": (worn, bare), "masked to masked": (worn, None), "bare to bare": (bare, None)}
    scores = {
        f"{pair} TAR@{point.far:g}": point.tar
        for pair, sides in found.items()
        for point in verify_all(*sides, (1e-2, 1e-3)).points
    }
    return scores | {"quality": quality_of(embedded, worn, bare, flags.masked, 1e-2)}


def train_one(
    plugin: str, recipe: str, pack: Path, seed: int, changes: Sequence[str], out: Path, init: Path | None = None
) -> Path:
    """Train, and return the folder."""
    shutil.rmtree(out, ignore_errors=True)
    given = (f"seed={seed}", "log_every=100000", "keep=1", *changes)
    train(TrainConfig(plugin, str(pack), str(out), recipe, given, init=None if init is None else str(init)))
    return out


def show(results: list[dict[str, Any]]) -> str:
    """Mean and deviation over seeds of every score, a row a method."""
    names = [name for name in results[0]["scores"] if name not in ("probes", "quality")]
    lines = ["| method | seeds | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for method in dict.fromkeys(row["method"] for row in results):
        rows = [row["scores"] for row in results if row["method"] == method]
        cells = [[100 * row[name] for row in rows] for name in names]
        spread = [f" ± {np.std(cell, ddof=1):.1f}" if len(cell) > 1 else "" for cell in cells]
        shown = [f"{np.mean(cell):.1f}{around}" for cell, around in zip(cells, spread, strict=True)]
        lines.append(f"| {method} | {len(rows)} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["tail", "masks", "bare", "why"])
    parser.add_argument("pack")
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--scratch", type=Path)
    options = parser.parse_args()
    scratch = options.scratch or Path(tempfile.mkdtemp())
    path = options.results or scratch / "results.jsonl"
    pack, known = open_pack(options.pack), {"tail": LOSSES, "masks": MASKS, "bare": BARE, "why": WHY}[options.what]
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed in options.seeds:
        for method in options.methods or known:
            if any((row["method"], row["seed"], row["set"]) == (method, seed, options.set) for row in done):
                continue
            started = time.process_time()
            scores = (tail_run if options.what == "tail" else masks_run)(pack, method, seed, options.set, scratch)
            row = {"method": method, "seed": seed, "set": options.set, "scores": scores}
            row["cpu_seconds"] = round(time.process_time() - started)
            done.append(row)
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    print(show([row for row in done if row["set"] == options.set]))


if __name__ == "__main__":
    main()
