"""Cleaning finds what was planted. The full measurement, with more seeds, is benchmarks/clean_quality.py."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekit.clean import CleanSettings, clean_embeddings

SHARED = Path(__file__).parents[2] / "shared"
REMOVED = ["intra", "relabel", "hub", "second_person"]


def f1(found: np.ndarray, true: np.ndarray) -> float:
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def pairwise_f1(person: np.ndarray, label: np.ndarray) -> float:
    """F1 over pairs of faces: together in truth against together in the result; strangers (-1) belong with nobody."""

    def pairs(*keys: np.ndarray) -> int:
        _, count = np.unique(np.stack(keys), axis=1, return_counts=True)
        return int((count * (count - 1) // 2).sum())

    known, kept = person >= 0, label >= 0
    both = pairs(person[known & kept], label[known & kept])
    return 2 * both / (pairs(person[known]) + pairs(label[kept]))


def planted(**options: Any) -> Any:
    path = SHARED / "tools" / "planted_embeddings.py"
    if not path.is_file():
        pytest.skip(f"the generator of planted embeddings is not at {path}")
    spec = importlib.util.spec_from_file_location("planted_embeddings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(**options)


@pytest.mark.parametrize(
    ("weak", "drop", "end_to_end", "hard_lost"), [(False, 0.985, 0.98, 0.01), (True, 0.955, 0.96, 1.0)]
)
def test_planted_noise_is_found(weak: bool, drop: float, end_to_end: float, hard_lost: float) -> None:
    p = planted(K=1500, noise=0.2, seed=0, weak=weak)
    wrong = p.person != p.folder_person[p.folder]
    published = clean_embeddings(p.vectors, p.folder)
    assert f1(published.reason == "intra", wrong) >= drop
    hard = ~wrong & (p.cosine < 0.5)
    assert np.mean(published.action[hard] == "drop") <= hard_lost
    robust = clean_embeddings(p.vectors, p.folder, CleanSettings(mode="robust"))
    assert pairwise_f1(p.person, robust.new_label) >= end_to_end
    assert pairwise_f1(p.person, published.new_label) > pairwise_f1(p.person, p.folder) + 0.1


def test_noise_in_a_pack_of_real_faces_is_found() -> None:
    folder = SHARED / "data" / "noisy"
    if not folder.is_dir():
        pytest.skip(f"the noisy pack is not at {folder}")
    rows = list(csv.DictReader((folder / "truth.csv").read_text().splitlines()))
    vectors = np.load(folder / "embeddings.npy").astype(np.float32)
    labels = np.array([int(r["label"]) for r in rows])
    kind = np.array([r["kind"] for r in rows])
    wrong = np.char.find(kind, "label_flip") + np.char.find(kind, "outlier") > -2
    scored = kind != "low_quality"
    published = clean_embeddings(vectors, labels)
    assert f1((published.reason == "intra")[scored], wrong[scored]) >= 0.965
    calibrated = clean_embeddings(vectors, labels, CleanSettings(intra="auto", eps="auto"))
    assert f1((calibrated.reason == "intra")[scored], wrong[scored]) >= 0.98
    robust = clean_embeddings(vectors, labels, CleanSettings(mode="robust", intra="auto", eps="auto"))
    assert f1(np.isin(robust.reason, REMOVED)[scored], wrong[scored]) >= 0.98
    # Identities that were split in two are whole again: all of them by the published method, all but one by the robust.
    canonical = np.array([int(r["canonical_label"]) for r in rows])
    split = kind == "split_identity"
    for d, missing in ((published, 0), (robust, 1)):
        table = d.label_table
        whole = [table[int(label)] == table[int(canonical[labels == label][-1])] for label in np.unique(labels[split])]
        assert len(whole) == 14
        assert whole.count(False) <= missing
