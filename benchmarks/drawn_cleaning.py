"""Cleaners in one table: the cleaning tasks of a drawn benchmark, each cleaner scored from the file that it writes.

    facekit benchmark make drawn
    facekit embed drawn/cleaning/drawn drawn-vectors --model MODEL
    python benchmarks/drawn_cleaning.py drawn [--features drawn-vectors]

facekit's two modes; the rule of most scripts (drop what is further than a threshold from the mean of its label, or two
standard deviations further than its label's others); and cleanlab (Northcutt et al. 2021), where it is installed, on
class probabilities from cross-validation: the softmax of 16 times the cosine to the class means of the other folds.
Without --features the drawn task, which has pictures and no vectors, is left out. No cleaner sees the truth, and none
is tuned to a task.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.clean import CleanSettings, clean_embeddings
from facekit.embeddings import open_features
from facekit.jobs.benchmark.cleaning import read_truth, score_result
from facekit.jobs.benchmark.config import ScoreConfig
from facekit.jobs.benchmark.finish import CLEANING, DRAWN_TASK

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]
Cleaner = Callable[[Vectors, Labels], Labels]
"""Vectors and labels to new labels; -1: dropped."""


def of_facekit(**settings: Any) -> Cleaner:
    return lambda vectors, labels: np.asarray(
        clean_embeddings(vectors, labels, CleanSettings(threads=1, **settings)).new_label, np.int64
    )


def own_cosines(vectors: Vectors, labels: Labels) -> NDArray[np.float64]:
    """Of each face to the mean of its label."""
    sums = np.zeros((labels.max() + 1, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    return np.asarray(np.einsum("nd,nd->n", vectors, sums[labels]) / np.linalg.norm(sums, axis=1)[labels])


def below(threshold: float) -> Cleaner:
    return lambda vectors, labels: np.where(own_cosines(vectors, labels) < threshold, -1, labels)


def far_out(vectors: Vectors, labels: Labels) -> Labels:
    """Two standard deviations below the mean of its label."""
    cosine = own_cosines(vectors, labels)
    count = np.bincount(labels)
    mean = np.bincount(labels, cosine) / np.maximum(count, 1)
    spread = np.sqrt(np.maximum(np.bincount(labels, cosine**2) / np.maximum(count, 1) - mean**2, 0))
    return np.where(cosine < (mean - 2 * spread)[labels], -1, labels)


def cleanlab(vectors: Vectors, labels: Labels) -> Labels:
    from cleanlab.filter import find_label_issues

    fold = np.random.default_rng(0).integers(0, 5, len(labels))
    classes = int(labels.max()) + 1
    chances = np.empty((len(labels), classes))
    for k in range(5):
        sums = np.zeros((classes, vectors.shape[1]))
        np.add.at(sums, labels[fold != k], vectors[fold != k])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
        logits = 16 * vectors[fold == k] @ centres.T
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances[fold == k] = raised / raised.sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that labels have few examples
        wrong = find_label_issues(labels, chances, n_jobs=1)
    return np.where(wrong, -1, labels)


CLEANERS: dict[str, Cleaner] = {
    "as given": lambda _, labels: labels,
    "facekit clean": of_facekit(),
    "facekit clean --intra auto": of_facekit(intra="auto"),
    "facekit clean --intra auto --eps auto": of_facekit(intra="auto", eps="auto"),
    "facekit clean --mode robust": of_facekit(mode="robust"),
    "facekit clean --mode robust --intra auto": of_facekit(mode="robust", intra="auto"),
    "facekit clean --mode robust --intra auto --eps auto": of_facekit(mode="robust", intra="auto", eps="auto"),
    "mean cosine below .25": below(0.25),
    "mean cosine below .5": below(0.5),
    "two deviations below its label": far_out,
}


def vectors_of(task: Path, features: str | None) -> tuple[Vectors, Labels, NDArray[np.int64]] | None:
    """Vectors, labels and keys of a task; None where there are none."""
    keys, truth = read_truth(str(task / "truth.parquet"))
    if task.name != DRAWN_TASK:
        return np.load(task / "vectors.npy").astype(np.float32), truth.label, keys
    if features is None:
        return None
    known = open_features(features)
    if known.keys.tolist() != keys.tolist():
        raise SystemExit(f"{features} does not hold a vector of every picture of {task}")
    return known.load().vectors, truth.label, keys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark")
    parser.add_argument("--features", help="vectors of the drawn task, from facekit embed")
    options = parser.parse_args()
    cleaners = CLEANERS | ({"cleanlab": cleanlab} if find_spec("cleanlab") else {})
    few = np.eye(16, dtype=np.float32)
    for clean in CLEANERS.values():
        clean(few, np.arange(16) // 2)  # kernels are compiled before they are timed
    print("| task | cleaner | drop precision | drop recall | drop F1 | pairwise F1 | hard lost | s |")
    print("|---|---|---|---|---|---|---|---|")
    for task in sorted((Path(options.benchmark) / CLEANING).iterdir()):
        given = vectors_of(task, options.features)
        if given is None:
            continue
        vectors, labels, keys = given
        for name, clean in cleaners.items():
            started = time.perf_counter()
            found = clean(vectors, labels)
            seconds = time.perf_counter() - started
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "result.csv"
                with open(path, "w", newline="") as file:
                    csv.writer(file).writerows([("key", "label"), *zip(keys.tolist(), found.tolist(), strict=True)])
                score = score_result(ScoreConfig(options.benchmark, str(path), task.name)).result
            cells = (score.drop_precision, score.drop_recall, score.drop_f1, score.pairwise_f1, score.hard_lost)
            shown = " | ".join(f"{value:.3f}" for value in cells)
            print(f"| {task.name} | {name} | {shown} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
