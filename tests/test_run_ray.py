"""``--ray`` on a real, local Ray: every task once, errors as from local processes, the same pack byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from facekit.cli import main

pytest.importorskip("ray", reason="Ray is not installed here: pip install '.[ray]'")

SCRIPT = Path(__file__).with_name("ray_runs.py")
DRAWN = ("--identities", "6", "--images", "4")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tests/ray_runs.py wrote."""
    out = tmp_path_factory.mktemp("ray")
    # Ray asks nobody outside and leaves nothing in the home of who runs the tests. Its folder is short: the path of a
    # socket below it must stay under 108 bytes.
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "HOME": str(out)}
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | settings
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, str(SCRIPT), folder, str(out), *DRAWN]
        # Into a file: Ray's servers hold what they inherit a while longer than the script runs.
        with open(out / "said.txt", "w+") as said:
            done = subprocess.run(command, env=environment, stdout=said, stderr=said, check=False)
            said.seek(0)
            assert done.returncode == 0, said.read()
    return out


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
