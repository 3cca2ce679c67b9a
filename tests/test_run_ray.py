"""``--ray`` on a real, local Ray: every task once, errors as from local processes, the same pack byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ray_processes import run_script

from facekit.cli import main

pytest.importorskip("ray", reason="Ray is not installed here: pip install '.[ray]'")

DRAWN = ("--identities", "6", "--images", "4")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tests/ray_runs.py wrote."""
    return run_script("ray_runs.py", tmp_path_factory.mktemp("ray"), *DRAWN)


@pytest.fixture(scope="module")
def found(out: Path) -> Any:
    return json.loads((out / "found.json").read_text())


def test_every_task_is_done_once_by_more_workers_than_processors(found: Any) -> None:
    assert found["results"] == [task * task + 5 for task in range(20)]


def test_our_own_errors_arrive_as_they_were(found: Any) -> None:
    assert found["refuse"] == ["NoFace", "no mask can be worn here: profile"]


def test_other_errors_and_deaths_name_the_task(found: Any) -> None:
    for task, said in (("stumble", "by nought"), ("exit", "died")):
        kind, message = found[task]
        assert kind == "WorkerError"
        assert message.startswith(f"{task!r}: ")
        assert said in message


def test_a_worker_that_cannot_start_is_an_error(found: Any) -> None:
    kind, message = found["start"]
    assert kind == "WorkerError"
    assert "could not start" in message
    assert "no model" in message


def test_a_job_writes_the_same_bytes_as_without_ray(out: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["synth", str(tmp_path / "people"), *DRAWN, "--workers", "1"])
    assert ended.value.code == 0
    for name in ("train.rec", "train.idx", "property"):
        assert (out / "people" / name).read_bytes() == (tmp_path / "people" / name).read_bytes(), name
