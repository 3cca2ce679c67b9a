"""The lock of a run is worth something only while its file is the one that others find."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facekit.errors import ConfigError
from facekit.run.journal import Journal, journal_folder


def remove_folder(folder: Path) -> None:
    """As another run does that publishes and removes its journal."""
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
    folder, true_flock, left = journal_folder(tmp_path / "out"), fcntl.flock, [times]

    def flock(descriptor: int, operation: int) -> None:
        if left[0]:
            left[0] -= 1
            disturb(folder)
        true_flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with Journal(tmp_path / "out", {}):
        assert left == [0]
        with pytest.raises(ConfigError, match="another run"):
            Journal(tmp_path / "out", {})
