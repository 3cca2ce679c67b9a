"""Pairs of centres by several processes: the pairs of one, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from clean_packs import make_pack
from killed_runs import whole
from writing_commands import call, do

from facekit.clean import pairs, shared_blocks
from facekit.clean.pairs import Pairs, pairs_above, pairs_between
from facekit.clean.shared_blocks import SharedBlocks
from facekit.errors import FacekitError


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of which there are many, and heads that are shorter than the rows, for few rows."""
    monkeypatch.setattr(pairs, "SAMPLE_ROWS", 64)
    monkeypatch.setattr(shared_blocks, "STRIP_BLOCKS", 2)
    monkeypatch.setattr(shared_blocks, "BLOCK_ROWS", 64)


def drawn(count: int, seed: int) -> np.ndarray:
    """Rows in few directions, so that many pairs are similar and the first axes hold most of their length."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 96)) * np.geomspace(4, 0.05, 96)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def assert_equal(found: Pairs, expected: Pairs) -> None:
    assert len(found.left) > 100
    for name in ("left", "right", "similarity"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.parametrize("workers", [1, 2])
def test_the_pairs_are_those_of_one_process(workers: int, tmp_path: Path) -> None:
    rows, others = drawn(700, 1), drawn(300, 2)
    engine = SharedBlocks(tmp_path, workers)
    assert_equal(pairs_above(rows, 0.3, engine=engine), pairs_above(rows, 0.3))
    assert_equal(pairs_between(others, rows, 0.3, engine=engine), pairs_between(others, rows, 0.3))
    assert os.listdir(tmp_path) == []


def test_too_many_pairs_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="more than 50 pairs"):
        pairs_above(drawn(300, 3), 0.2, engine=SharedBlocks(tmp_path, 2), max_pairs=50)
    assert os.listdir(tmp_path) == []


def test_no_pair_is_no_error(tmp_path: Path) -> None:
    found = pairs_above(np.eye(200, 256, dtype=np.float32), 0.9, engine=SharedBlocks(tmp_path, 2))
    assert len(found.left) == 0


def test_clean_writes_the_same_bytes_with_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_pack(tmp_path, identities=60)
    words = ["clean", tmp_path / "pack", tmp_path / "out", "--features", tmp_path / "vectors.npy"]
    do(words)
    alone = whole(tmp_path / "out")
    asked: list[int] = []
    search = SharedBlocks.search
    monkeypatch.setattr(SharedBlocks, "search", lambda *given: asked.append(1) or search(*given))
    do([*words, "--workers", 2, "--overwrite"])
    assert asked
    assert whole(tmp_path / "out") == alone
    assert sorted(os.listdir(tmp_path)) == ["out", "pack", "vectors.npy"]


def test_clean_has_no_parts_and_says_what_has(tmp_path: Path) -> None:
    said = call(["clean", tmp_path, tmp_path / "out", "--features", tmp_path / "f.npy", "--part", "1/2"])
    assert said.code == 2
    assert "facekit embed" in said.err
