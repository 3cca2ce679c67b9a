"""`facekit mask` with any number of workers, killed, and begun again: the same bytes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mask_stand_ins import assert_same_output, painter, run, stored_mesh, write_pack

from facekit.errors import ConfigError, DestinationExists
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask
from facekit.records import open_pack


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("source") / "pack")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit.jobs.mask.plan.shard_size", lambda count: 3)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("mode", ["add", "replace"])
def test_the_number_of_workers_changes_no_byte(pack: Path, tmp_path: Path, mode: str) -> None:
    for workers in (1, 3):
        run(pack, tmp_path / str(workers), ratio=0.5, mode=mode, workers=workers)
    assert_same_output(tmp_path / "1", tmp_path / "3")


def test_seeds_and_sources_are_told_apart(pack: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        run(pack, tmp_path / str(seed), ratio=0.5, seed=seed)
    assert (tmp_path / "0" / "train.rec").read_bytes() != (tmp_path / "1" / "train.rec").read_bytes()


def test_a_destination_is_replaced_only_when_asked(pack: Path, tmp_path: Path) -> None:
    run(pack, tmp_path / "out", ratio=0.2)
    with pytest.raises(DestinationExists, match="--overwrite"):
        run(pack, tmp_path / "out", ratio=0.4)
    run(pack, tmp_path / "out", ratio=0.4, overwrite=True)
    run(pack, tmp_path / "new", ratio=0.4)
    assert_same_output(tmp_path / "out", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "out"]


def test_the_source_is_never_the_destination(pack: Path) -> None:
    for destination in (pack, pack.parent):
        with pytest.raises(ConfigError, match="the input"):
            run(pack, destination, overwrite=True)
    assert open_pack(pack).num_images == 20


def test_a_run_killed_at_any_step_is_finished_by_the_next(tmp_path: Path) -> None:
    """`kill_everywhere.py` kills a run with SIGKILL before each thing it does to the file system, one after another."""
    pack = write_pack(tmp_path / "pack", people=2, pictures=3)
    script = Path(__file__).with_name("kill_everywhere.py")
    command = [sys.executable, str(script), str(pack), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert int(done.stdout.split()[-1]) > 40


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_with_workers_goes_on_after_a_signal(pack: Path, tmp_path: Path, number: signal.Signals) -> None:
    config = MaskConfig(str(pack), str(tmp_path / "straight"), ratio=0.5)
    mask(config, stored_mesh, painter)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import mask_stand_ins, facekit.jobs.mask.plan, time\n"
        "from facekit.jobs.mask.job import mask; from facekit.jobs.mask.config import MaskConfig\n"
        "facekit.jobs.mask.plan.shard_size = lambda count: 1\n"
        "mask(MaskConfig(sys.argv[2], sys.argv[3], ratio=0.5, workers=2), mask_stand_ins.stored_mesh,\n"
        "     mask_stand_ins.slow_painter)"
    )
    destination = tmp_path / "out"
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(pack), str(destination)]
    interrupted = 0
    for _ in range(10):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            _wait_for_progress(process, destination)
            if process.poll() is None:
                os.kill(process.pid, number)
                interrupted += 1
            process.wait()
        if destination.exists():
            break
    assert interrupted >= 2
    assert_same_output(destination, tmp_path / "straight")
    assert not destination.with_name("out.partial").exists()


def _wait_for_progress(process: subprocess.Popen[str], destination: Path) -> None:
    """Until six more shards are finished, or the run is."""
    before = _finished_shards(destination)
    while process.poll() is None and _finished_shards(destination) < before + 6:
        time.sleep(0.005)


def _finished_shards(destination: Path) -> int:
    """Shards that lie beside the output now; the run may take them away while they are counted."""
    with contextlib.suppress(FileNotFoundError):
        return sum(1 for _ in destination.parent.glob("out.partial/shards-*/0*"))
    return 0


def test_a_run_with_other_settings_does_not_take_over(pack: Path, tmp_path: Path) -> None:
    partial = tmp_path / "out.partial"
    with pytest.raises(ZeroDivisionError):
        mask(MaskConfig(str(pack), str(tmp_path / "out"), ratio=0.5), _failing_late, painter)
    assert not list(partial.glob("shards-*/0*"))
    run(pack, tmp_path / "out", ratio=0.3)


def _failing_late() -> Any:
    raise ZeroDivisionError
