"""How well cleaning finds what was planted: published and robust mode, as given and with thresholds calibrated from the
data.

    python benchmarks/clean_quality.py [--shared ../shared] [--seeds 5] [--noise 0.1 0.2 0.3] [--sweep]
        [--synth PACK --features F]

Planted: synthetic embeddings with known noise (planted_embeddings.py). Real: a pack of real faces with planted noise
and the embeddings of a real network. `drop F1`: faces removed from their folder against faces that are not of its
person. `pairwise F1`: pairs of faces that are together, in truth against in the result, strangers with nobody. `hard
lost`: rightly labelled faces far from their identity that were removed. No threshold sees the truth. Means over seeds,
with standard deviations.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from facekit.clean import CleanSettings, clean_embeddings
from facekit.clean.sweep import sweep_thresholds
from facekit.jobs.clean.features import open_vectors
from facekit.jobs.inputs.source import open_source

REMOVED = ["intra", "relabel", "hub", "second_person"]
WAYS: dict[str, dict[str, Any]] = {
    "published": {},
    "published, intra auto": {"intra": "auto"},
    "published, intra and eps auto": {"intra": "auto", "eps": "auto"},
    "robust": {"mode": "robust"},
    "robust, intra auto": {"mode": "robust", "intra": "auto"},
    "robust, intra and eps auto": {"mode": "robust", "intra": "auto", "eps": "auto"},
}


def f1(found: np.ndarray, true: np.ndarray) -> float:
    return float(2 * (found & true).sum() / max(found.sum() + true.sum(), 1))


def pairwise_f1(person: np.ndarray, label: np.ndarray) -> float:
    def pairs(*keys: np.ndarray) -> int:
        _, count = np.unique(np.stack(keys), axis=1, return_counts=True)
        return int((count * (count - 1) // 2).sum())

    known, kept = person >= 0, label >= 0
    return 2 * pairs(person[known & kept], label[known & kept]) / (pairs(person[known]) + pairs(label[kept]))


def generator(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_embeddings", shared / "tools" / "planted_embeddings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def planted(shared: Path, noise: float, weak: bool, seeds: int) -> dict[str, list[tuple[float, ...]]]:
    found: dict[str, list[tuple[float, ...]]] = {"as given": []} | {way: [] for way in WAYS}
    for seed in range(seeds):
        p = generator(shared).make(noise=noise, seed=seed, weak=weak)
        wrong = p.person != p.folder_person[p.folder]
        hard = ~wrong & (p.cosine < 0.5)
        found["as given"].append((float("nan"), pairwise_f1(p.person, p.folder), 0.0, float("nan")))
        for way, options in WAYS.items():
            d = clean_embeddings(p.vectors, p.folder, CleanSettings(**options))
            lost = float(np.isin(d.reason, REMOVED)[hard].mean())
            drop = f1(np.isin(d.reason, REMOVED), wrong)
            found[way].append((drop, pairwise_f1(p.person, d.new_label), lost, float(d.threshold[0])))
    return found


def noisy(shared: Path) -> Iterator[tuple[str, tuple[float, ...]]]:
    folder = shared / "data" / "noisy"
    rows = list(csv.DictReader((folder / "truth.csv").read_text().splitlines()))
    vectors = np.load(folder / "embeddings.npy").astype(np.float32)
    labels = np.array([int(r["label"]) for r in rows])
    kind = np.array([r["kind"] for r in rows])
    stranger = np.char.find(kind, "outlier") >= 0
    wrong = stranger | (np.char.find(kind, "label_flip") >= 0)
    person = np.where(stranger, -1, [int(r["true_person"]) for r in rows])
    scored = kind != "low_quality"
    yield "as given", (float("nan"), pairwise_f1(person, labels), float("nan"))
    for way, options in WAYS.items():
        d = clean_embeddings(vectors, labels, CleanSettings(**options))
        removed = np.isin(d.reason, REMOVED)
        yield way, (f1(removed[scored], wrong[scored]), pairwise_f1(person, d.new_label), float(d.threshold[0]))


def drawn(pack: Path, features: str) -> Iterator[tuple[str, tuple[float, ...]]]:
    """A pack of `facekit synth` with the vectors of a real network: its own truth table says what is wrong."""
    import pyarrow.parquet as pq

    source, _ = open_source(str(pack), layout="flat")
    truth = pq.read_table(pack / "train.truth.parquet", columns=["key", "identity", "kind"]).to_pydict()
    where = {key: at for at, key in enumerate(truth["key"])}
    rows = [where[key] for key in source.keys.tolist()]
    kind, person = np.array(truth["kind"])[rows], np.array(truth["identity"])[rows]
    wrong = np.isin(kind, ["label_noise", "outlier"])
    scored = kind != "low_quality"
    vectors = open_vectors(features, source).vectors
    yield "as given", (float("nan"), pairwise_f1(person, source.labels), float("nan"))
    for way, options in WAYS.items():
        d = clean_embeddings(vectors, source.labels, CleanSettings(**options))
        removed = np.isin(d.reason, REMOVED)
        yield way, (f1(removed[scored], wrong[scored]), pairwise_f1(person, d.new_label), float(d.threshold[0]))


def show_sweep(shared: Path, noise: float, weak: bool) -> None:
    p = generator(shared).make(noise=noise, seed=0, weak=weak)
    d = clean_embeddings(p.vectors, p.folder)
    wrong = p.person != p.folder_person[p.folder]
    rows = sweep_thresholds(d.similarity, d.nearest, wrong=wrong)
    print("\n| threshold | images kept | precision | recall | F1 |\n|---|---|---|---|---|")
    for t, images, _, precision, recall, score in zip(*rows):
        print(f"| {t:.2f} | {images} | {precision:.3f} | {recall:.3f} | {score:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.2])
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--synth", type=Path, help="a pack of facekit synth with planted noise")
    parser.add_argument("--features", help="its vectors, from facekit embed")
    options = parser.parse_args()
    for noise in options.noise:
        for weak in (False, True):
            print(f"\nplanted, {'weak' if weak else 'strong'}, {noise:.0%} noise, {options.seeds} seeds\n")
            print("| | drop F1 | pairwise F1 | hard lost | intra |\n|---|---|---|---|---|")
            for way, values in planted(options.shared, noise, weak, options.seeds).items():
                mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
                cells = " | ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(mean[:3], spread[:3]))
                print(f"| {way} | {cells} | {mean[3]:.3f} |", flush=True)
            if options.sweep:
                show_sweep(options.shared, noise, weak)
    if options.synth:
        print("\ndrawn faces\n\n| | drop F1 | pairwise F1 | intra |\n|---|---|---|---|")
        for way, (drop, pairwise, intra) in drawn(options.synth, options.features):
            print(f"| {way} | {drop:.4f} | {pairwise:.4f} | {intra:.3f} |")
    print("\nreal faces\n\n| | drop F1 | pairwise F1 | intra |\n|---|---|---|---|")
    for way, (drop, pairwise, intra) in noisy(options.shared):
        print(f"| {way} | {drop:.4f} | {pairwise:.4f} | {intra:.3f} |")


if __name__ == "__main__":
    main()
