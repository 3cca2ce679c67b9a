"""The lock of a run is worth something only while its file is the one that others find."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facekit.errors import ConfigError
from facekit.output import open_folder
from facekit.output.file_lock import try_lock
from facekit.output.staging import staging_folder


def remove_folder(folder: Path) -> None:
    """As another run does that publishes and clears up."""
    shutil.rmtree(folder)


def replace_lock(folder: Path) -> None:
    """As another run does that publishes, and a third that starts at once."""
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "lock").touch()


@pytest.mark.parametrize("disturb", [remove_folder, replace_lock])
@pytest.mark.parametrize("times", [1, 3])
def test_a_lock_whose_file_went_while_it_was_taken_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disturb: Callable[[Path], None], times: int
) -> None:
    """Between opening the file and locking it another run may end: two runs would then hold a lock each."""
    folder, left = staging_folder(tmp_path / "out"), [times]

    def disturbed(descriptor: int, shared: bool = False) -> bool:
        if left[0]:
            left[0] -= 1
            disturb(folder)
        return try_lock(descriptor, shared)

    monkeypatch.setattr("facekit.output.lock.try_lock", disturbed)
    with open_folder(tmp_path / "out", "test"):
        assert left == [0]
        with pytest.raises(ConfigError, match="another run"):
            open_folder(tmp_path / "out", "test")


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    script = (
        "import sys, time; from facekit.output import open_folder\n"
        "output = open_folder(sys.argv[1], 'test'); print('locked', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(ConfigError, match="another run"):
            open_folder(tmp_path / "out", "test")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with open_folder(tmp_path / "out", "test") as output:
        assert output.finished() == set()
