"""``--engine ray`` on a cluster of two nodes, one of which is killed in mid-run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ray_processes import run_script
from writing_commands import do

from facekit.run import shards

pytest.importorskip("ray", reason="Ray is not installed here: pip install '.[ray]'")

DRAWN = ("--identities", "20", "--images", "2")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tests/ray_cluster_runs.py wrote."""
    return run_script("ray_cluster_runs.py", tmp_path_factory.mktemp("cluster"), *DRAWN)


@pytest.fixture(scope="module")
def found(out: Path) -> Any:
    return json.loads((out / "found.json").read_text())


def test_the_shards_of_a_lost_node_are_done_by_others(found: Any, out: Path) -> None:
    assert found["code"] == 0, (out / "said.txt").read_text()
    assert found["workers"] >= 2  # that were killed with the node
    assert found["replaced"] == 2
    assert 0 < found["lost_after"] < found["shards"]


def test_the_bytes_are_those_of_one_process(
    out: Path, found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SMALLEST", 2)
    do(["synth", tmp_path / "people", *DRAWN, "--workers", 1])
    names = sorted(os.listdir(out / "people"))
    assert names == sorted(os.listdir(tmp_path / "people"))
    for name in names:
        assert (out / "people" / name).read_bytes() == (tmp_path / "people" / name).read_bytes(), name


def test_another_instruction_set_is_refused_by_name(found: Any) -> None:
    kind, message = found["instructions"]
    assert kind == "ConfigError"
    assert "pdp11" in message
    assert "Choose nodes of one kind" in message
