"""SIGKILL at a random moment and the same command again; `benchmarks/kills.py` does it a hundred times.

Training and self-learning have such tests of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_runs import JOBS, Job, kill_runs, make_material


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_material(tmp_path_factory.mktemp("material"), people=30)


@pytest.mark.parametrize(
    "job", [job for job in JOBS if job.name not in ("train", "selflearn")], ids=lambda job: job.name
)
def test_a_killed_command_comes_to_the_same_bytes(job: Job, material: Path, tmp_path: Path) -> None:
    tally = kill_runs(job, material, tmp_path, kills=1, seed=14)
    assert tally.kills == 1
    assert not tally.wrong
