"""Pairs of a folder of vectors: as the vectors in memory would be scored, and hardly any of them is in memory."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.embeddings import open_features
from facekit.errors import ConfigError
from facekit.jobs.evaluate import mapped_faces
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import mapped, of_features
from facekit.jobs.evaluate.job import evaluate
from facekit.jobs.evaluate.mapped_faces import pair_similarity
from facekit.jobs.inputs.model import ModelChoice

WIDTH, SMALL, LARGE, EACH, MOST = 128, 40_000, 120_000, 20, 80


def write_features(folder: Path, vectors: np.ndarray, keys: np.ndarray, cuts: list[int]) -> Path:
    """A folder of vectors, ``EACH`` a person, in shards that end at some rows."""
    (folder / "vectors").mkdir(parents=True)
    ends = [0, *cuts, len(vectors)]
    for number, (first, last) in enumerate(pairwise(ends)):
        np.save(folder / "vectors" / f"{number:08d}.npy", vectors[first:last])
    count = len(vectors)
    index = {"key": keys, "label": np.arange(count) // EACH, "norm": np.ones(count, np.float32),
             "uncertainty": np.ones(count, np.float32), "masked": keys % 2 == 0, "source_key": keys}  # fmt: skip
    pq.write_table(pa.table(index), folder / "index.parquet")
    lost = pa.table({"key": pa.array([10**9, 10**9 + 1, 10**9 + 2]), "label": [0, 0, 0], "error": ["b", "a", "b"]})
    pq.write_table(lost, folder / "failures.parquet")
    said = {"format": 1, "dimensions": vectors.shape[1], "count": count, "model": "0" * 32, "branch": "known"}
    (folder / "features.json").write_text(json.dumps(said))
    return folder


def unit(seed: int, count: int, width: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 50), max_size=6), st.integers(1, 9), st.integers(1, 2000))
def test_rows_in_files_are_those_in_memory(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int], width: int, block: int
) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("drawn") / "features"
    vectors, keys = unit(seed, 50, width), rng.permutation(200)[:50]
    features = open_features(write_features(folder, vectors, keys, sorted(cuts)))
    held, filed = of_features(features), mapped(features)
    rows = rng.integers(0, 50, (rng.integers(0, 90), 2))
    np.testing.assert_array_equal(features.take(rows[:, 0]), vectors[rows[:, 0]])
    for name in ("vectors_at", "labels_at"):
        np.testing.assert_array_equal(getattr(filed, name)(rows[:, 1]), getattr(held, name)(rows[:, 1]))
    np.testing.assert_array_equal(filed.rows_of(np.arange(200)), held.rows_of(np.arange(200)))
    assert filed.errors == held.errors == Counter(b=2, a=1)
    assert filed.branches == held.branches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped_faces, "BLOCK", block)
        found = pair_similarity(filed.vectors_at, held.vectors_at, rows)
    np.testing.assert_allclose(found, (vectors[rows[:, 0]] * vectors[rows[:, 1]]).sum(1), atol=1e-6)


def test_a_vector_of_another_length_is_named_by_its_row(tmp_path: Path) -> None:
    vectors = unit(0, 40, 8)
    vectors[33] *= 2
    features = open_features(write_features(tmp_path / "features", vectors, np.arange(40), [10, 30]))
    for take in (mapped, of_features):
        with pytest.raises(ConfigError, match="vector 33 has norm 2;"):
            take(features)


def peak(folder: Path, count: int, folds: int) -> int:
    """Highest allocation of an evaluation of half as many pairs as pictures, every second one of one person."""
    keys = np.arange(count)
    write_features(folder / "features", unit(0, count, WIDTH), keys, list(range(512, count, 512)))
    one = keys[::2]
    two = np.where(one % 4 == 0, one + 1, (one + count // 2) % count)
    same = (one // EACH == two // EACH).astype(int)
    rows = zip(one.tolist(), two.tolist(), same.tolist(), strict=True)
    (folder / "pairs.csv").write_text("key_a,key_b,same\n" + "".join(f"{a},{b},{s}\n" for a, b, s in rows))
    subject = str(folder / "features")
    config = EvalConfig(subject, ModelChoice(subject), str(folder / "pairs.csv"), bootstrap=2, folds=folds)
    gc.collect()
    tracemalloc.start()
    assert evaluate(config).pictures == count
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize("folds", [3, 10])
def test_an_evaluation_holds_few_bytes_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds: int) -> None:
    """Besides 512 of its vector, which took 718 while it was held, and the positions of ten folds 111."""
    monkeypatch.setattr(mapped_faces, "BLOCK", 1 << 18)
    peak(tmp_path / "first", SMALL // 10, folds)  # what is imported or cached the first time
    small, large = (peak(tmp_path / str(count), count, folds) for count in (SMALL, LARGE))
    assert (large - small) / (LARGE - SMALL) < MOST
