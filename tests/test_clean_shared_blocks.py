"""Pairs of centres by several processes: the pairs of one, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clean_packs import DrawnPack, make_pack
from killed_runs import whole
from writing_commands import call, do

from facekit.clean import pairs, shared_blocks
from facekit.clean.pairs import Pairs, pairs_above, pairs_between
from facekit.clean.shared_blocks import SharedBlocks
from facekit.embeddings.store import DESCRIPTION, FAILURES, FORMAT, INDEX, VECTORS, index_schema
from facekit.errors import FacekitError
from facekit.jobs.clean import node_shards
from facekit.records import open_pack


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


def write_features(folder: Path, made: DrawnPack) -> None:
    """The vectors as a folder of two shards in another order than that of the pack; one picture has none."""
    with open_pack(made.folder) as pack:
        keys = pack.keys
    rows = np.random.default_rng(3).permutation(len(keys))
    rows, lost = rows[1:], rows[:1]
    (folder / VECTORS).mkdir(parents=True)
    for number, part in enumerate(np.array_split(rows, 2)):
        np.save(folder / VECTORS / f"{number:08d}.npy", np.load(made.features)[part].astype(np.float32))
    said = {"key": keys[rows], "label": made.labels[rows], "norm": np.ones(len(rows), np.float32),
            "masked": np.zeros(len(rows), bool), "source_key": keys[rows]}  # fmt: skip
    pq.write_table(pa.table(said), folder / INDEX)
    none = {"key": keys[lost], "label": made.labels[lost], "error": ["no face"]}
    pq.write_table(pa.table(none, pa.schema([index_schema().field(name) for name in none])), folder / FAILURES)
    about = {"format": FORMAT, "dimensions": 64, "count": len(rows), "model": "0" * 32}
    (folder / DESCRIPTION).write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("features", "more"),
    [
        ("vectors.npy", ["--mode", "published"]),
        ("features", ["--mode", "published"]),
        ("vectors.npy", ["--mode", "robust"]),
        ("features", ["--mode", "robust"]),
        ("features", ["--mode", "robust", "--cluster", "hdbscan"]),
    ],
)
def test_clean_in_parts_writes_the_same_bytes(
    features: str, more: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three parts, of which the last is never given; faces of an identity lie scattered over the pack."""
    monkeypatch.setattr(node_shards, "SHARD_ROWS", 40)
    made = make_pack(tmp_path, layout="flat", identities=60)
    write_features(tmp_path / "features", made)
    words = ["clean", tmp_path / "pack", tmp_path / "out", "--features", tmp_path / features, *more]
    do(words)
    alone = whole(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    ran: list[int] = []
    work = node_shards.start_worker
    monkeypatch.setattr(node_shards, "start_worker", lambda path: counted(work(path), ran))
    for part in (1, 2):
        said = call([*words, "--part", f"{part}/3"])
        assert said.code == 0
        assert f"part {part}/3" in said.out + said.err
        assert not (tmp_path / "out").exists()
    shards = len(ran)
    do(words)
    assert whole(tmp_path / "out") == alone
    assert sorted(set(ran)) == sorted(ran)
    assert shards < len(ran)
    assert ran[shards:] == [number for number in range(len(ran)) if number % 3 == 2]
    assert not (tmp_path / "out.partial").exists()


def counted(work: Callable[[Any], Any], ran: list[int]) -> Callable[[Any], Any]:
    return lambda task: (ran.append(task.shard.number), work(task))[1]


KILLED = """
import os, signal, sys
from facekit.cli import main
from facekit.jobs.clean import node_shards

node_shards.SHARD_ROWS, left, start = 40, [int(sys.argv[1])], node_shards.start_worker

def dying(path):
    work = start(path)

    def die_or_work(task):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(task)

    return die_or_work

node_shards.start_worker = dying
main(sys.argv[2:])
"""
"""A run of facekit that kills itself when it is given the shard of this number among its own."""


def test_a_part_of_clean_that_is_killed_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_shards, "SHARD_ROWS", 40)
    made = make_pack(tmp_path, layout="flat", identities=60)
    write_features(tmp_path / "features", made)
    words = ["clean", tmp_path / "pack", tmp_path / "out", "--features", tmp_path / "features"]
    do(words)
    alone = whole(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    died = subprocess.run([sys.executable, "-c", KILLED, "3", *map(str, words), "--part", "1/2"], check=False)
    assert died.returncode == -signal.SIGKILL
    said = json.loads(call([*words, "--part", "1/2", "--json"]).out)
    assert said["finished"] == said["shards"] + 2  # those that were finished before are not done again
    do(words)
    assert whole(tmp_path / "out") == alone


def test_parts_want_faces_that_are_embedded(tmp_path: Path) -> None:
    said = call(["clean", tmp_path, tmp_path / "out", "--model", tmp_path / "m.onnx", "--part", "1/2"])
    assert said.code == 2
    assert "facekit embed" in said.err
