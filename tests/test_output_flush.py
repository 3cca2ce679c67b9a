"""What is written reaches the disk on systems that flush and remove files by other rules than Linux."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from facekit.output import PNG, flush_files, open_files, open_folder, replace_file
from facekit.output.flush import flush_file, flush_folder

SIGNATURE = PNG.signatures[0]


class Windows:
    """What Windows refuses: flushing what is open for reading, opening folders, removing a file that is open."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.flushed: list[str] = []
        self._true_open, self._true_fsync, self._true_unlink = os.open, os.fsync, os.unlink
        patch.setattr(os, "open", self._open)
        patch.setattr(os, "fsync", self._fsync)
        patch.setattr(os, "unlink", self._unlink)
        patch.setattr(Path, "unlink", lambda path, missing_ok=False: self._unlink_path(path, missing_ok))
        patch.delattr(os, "sync")

    def _open(self, path: Any, flags: int, *more: Any, **named: Any) -> int:
        if os.path.isdir(path) and "dir_fd" not in named:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return self._true_open(path, flags, *more, **named)

    def _fsync(self, descriptor: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        self.flushed.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        self._true_fsync(descriptor)

    def _unlink(self, path: Any, **named: Any) -> None:
        if any(os.path.realpath(path) == held for held in open_files_of_this_process()):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        self._true_unlink(path, **named)

    def _unlink_path(self, path: Path, missing_ok: bool) -> None:
        if path.exists() or not missing_ok:
            self._unlink(path)


def open_files_of_this_process() -> list[str]:
    held = []
    for name in os.listdir("/proc/self/fd"):
        try:
            held.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:  # the one that lists them
            continue
    return held


@pytest.fixture
def windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Windows:
    return Windows(monkeypatch)


def test_a_folder_is_written_whole_and_flushed(windows: Windows, tmp_path: Path) -> None:
    for overwrite in (False, True):
        with open_folder(tmp_path / "out", "test", overwrite=overwrite) as output:
            folder = output.new_folder()
            (folder / "a.txt").write_text("a")
            (folder / "deep").mkdir()
            (folder / "deep" / "b.txt").write_text("b")
            output.publish()
    assert windows.flushed.count("a.txt") == windows.flushed.count("b.txt") == 2
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_is_written_whole_and_flushed(windows: Windows, tmp_path: Path) -> None:
    for overwrite in (False, True):
        with open_files({tmp_path / "a.png": PNG}, "test", overwrite=overwrite) as output:
            output.paths[0].write_bytes(SIGNATURE)
    assert windows.flushed.count("0.png") == 2
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_run_that_fails_leaves_nothing(windows: Windows, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_files({tmp_path / "a.png": PNG}, "test"):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), open_folder(tmp_path / "out", "test"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_left_is_removed(windows: Windows, tmp_path: Path) -> None:
    (tmp_path / ".a.json.0123456789ab.partial").write_bytes(b"half")
    replace_file(tmp_path / "a.json", b"{}")
    assert os.listdir(tmp_path) == ["a.json"]


def test_many_files_are_flushed_one_by_one_where_nothing_flushes_all(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facekit.output.flush.FLUSHED_ONE_BY_ONE", 2)
    names = [f"{number}.txt" for number in range(5)]
    for name in names:
        (tmp_path / name).write_text(name)
    flush_files(tmp_path / name for name in names)
    assert windows.flushed == names


def test_a_file_that_may_only_be_read_is_passed_over_where_it_must_be(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("a")
    before = os.open

    def read_only(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return before(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", read_only)
    flush_file(tmp_path / "a")
    flush_folder(tmp_path)
    assert not windows.flushed


def test_a_disk_that_refuses_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("a")

    def full(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="Input/output"):
        flush_file(tmp_path / "a")


def test_files_are_flushed_by_their_writers_or_in_one_file() -> None:
    """A descriptor that only reads cannot be flushed everywhere: nothing else opens a file to flush it."""
    import facekit.output.flush

    place = Path(facekit.output.flush.__file__)
    found = {
        path.name
        for room in ("facekit", "plugins")
        for path in (place.parents[2] / room).rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "os.fsync(" in line and ".fileno())" not in line
    }
    assert found == {place.name}
