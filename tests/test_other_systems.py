"""Locks as every system has them, and facekit where what only Linux has is missing."""

from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import portalocker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.output.file_lock import open_flags, try_lock
from facekit.records import read_at
from facekit.run.processors import processors

LINUX_ONLY = """
import builtins, ctypes, importlib.abc, os, shutil, signal, sys, types
shutil.os = types.SimpleNamespace(**vars(os))  # it chose at its import what it calls on this system
for name in ("sched_getaffinity", "register_at_fork", "fork", "posix_fadvise", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK",
             "O_DIRECTORY", "getuid", "sysconf", "copy_file_range", "sendfile", "pread", "preadv", "SEEK_DATA"):
    if hasattr(os, name):
        delattr(os, name)
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource", "pwd", "grp", "termios"}:
            raise ImportError(f"there is no {name} on this system")
sys.meta_path.insert(0, Missing())
for name in ("fcntl", "resource"):
    sys.modules.pop(name, None)
class NoLibrary(ctypes.CDLL):
    def __init__(self, name, *more, **named):
        if name is None:
            raise TypeError("there is no library of all names")
        super().__init__(name, *more, **named)
ctypes.CDLL = NoLibrary
true_open = builtins.open
def without_proc(file, *more, **named):
    if str(file).startswith("/proc/"):
        raise FileNotFoundError(2, "No such file or directory", file)
    return true_open(file, *more, **named)
builtins.open = without_proc
"""
HERE = "from facekit.cli import main\nmain(sys.argv[1:])\n"
# What locks is the system's: a stand-in for the library, of which the one for this system needs fcntl.
LOCKS = """
portalocker = types.ModuleType("portalocker")
portalocker.LockFlags = types.SimpleNamespace(SHARED=1, EXCLUSIVE=2, NON_BLOCKING=4)
portalocker.AlreadyLocked = type("AlreadyLocked", (Exception,), {})
portalocker.LockException = type("LockException", (Exception,), {})
portalocker.lock = lambda descriptor, flags: None
sys.modules["portalocker"] = portalocker
"""


def elsewhere(*words: str, cwd: Path, locks: str = "") -> subprocess.CompletedProcess[str]:
    """Run facekit without what only Linux has."""
    script = LINUX_ONLY + locks + HERE
    return subprocess.run([sys.executable, "-c", script, *words], cwd=cwd, capture_output=True, text=True, check=False)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, open_flags("O_RDWR", "O_CREAT", "O_CLOEXEC"), 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_only_sharers_hold_a_file_together(tmp_path: Path, first: bool, second: bool) -> None:
    with opened(tmp_path / "lock") as one, opened(tmp_path / "lock") as other:
        assert try_lock(one, first)
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(try_lock, other, second).result() == (first and second)
    with opened(tmp_path / "lock") as one:
        assert try_lock(one)


@pytest.mark.parametrize("shared", [False, True])
def test_a_killed_process_lets_go(tmp_path: Path, shared: bool) -> None:
    script = (
        "import os, sys, time; from facekit.output.file_lock import try_lock\n"
        "assert try_lock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), sys.argv[2] == 'True')\n"
        "print('locked', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "lock"), str(shared)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, opened(tmp_path / "lock") as mine:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert not try_lock(mine)
        assert try_lock(mine, shared=True) == shared
        process.kill()
        process.wait()
        assert try_lock(mine)


def test_a_file_system_without_locks_says_so_as_the_system_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(descriptor: int, flags: int) -> None:
        refusal = OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        raise portalocker.LockException(refusal, str(refusal)) from refusal

    monkeypatch.setattr(portalocker, "lock", lock)
    with opened(tmp_path / "lock") as one, pytest.raises(OSError) as caught:
        try_lock(one)
    assert caught.value.errno == errno.ENOTSUP


@pytest.fixture(scope="module")
def without_positional_reads() -> ModuleType:
    """The file of positional reads as it is loaded where the system has none."""
    spec = importlib.util.find_spec(read_at.__name__)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pread", "preadv"):
            patch.delattr(os, name, raising=False)
        spec.loader.exec_module(loaded)
    return loaded


@given(st.binary(max_size=40), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_reads_by_place_are_the_same_without_the_systems(
    without_positional_reads: ModuleType,
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
    before: int,
    count: int,
    offset: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content)
    for module in (read_at, without_positional_reads):
        with opened(path) as file:
            os.lseek(file, before, os.SEEK_SET)
            assert module.read_at(file, count, offset) == content[offset : offset + count]
            buffer = bytearray(b"-" * count)
            filled = module.read_into_at(file, memoryview(buffer), offset)
            assert bytes(buffer) == content[offset : offset + count] + b"-" * (count - filled)
            assert os.lseek(file, 0, os.SEEK_CUR) == before, "it goes on where it was"


def test_threads_share_a_file_without_the_systems_reads(without_positional_reads: ModuleType, tmp_path: Path) -> None:
    words = range(20_000)
    (tmp_path / "words").write_bytes(b"".join(word.to_bytes(4, "little") for word in words))
    with opened(tmp_path / "words") as file, ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda word: without_positional_reads.read_at(file, 4, 4 * word), words)
        assert [int.from_bytes(word, "little") for word in found] == [*words]


def test_files_are_read_by_place_in_one_file() -> None:
    root = Path(read_at.__file__).parents[2]
    found = [
        path
        for room in ("facekit", "plugins")
        for path in (root / room).rglob("*.py")
        if "os.pread" in path.read_text("utf-8")
    ]
    assert found == [Path(read_at.__file__)]


def test_flags_that_a_system_lacks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_NOFOLLOW", raising=False)
    monkeypatch.setattr(os, "O_BINARY", 1 << 15, raising=False)
    assert open_flags("O_RDWR", "O_NOFOLLOW") == os.O_RDWR | 1 << 15


def test_all_processors_are_taken_where_the_system_does_not_say_which_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert processors() == os.cpu_count()


def test_commands_run_without_what_only_linux_has(tmp_path: Path) -> None:
    done = elsewhere("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    synth = ("synth", "people", "--identities", "2", "--images", "2", "--workers", "1")
    done = elsewhere(*synth, cwd=tmp_path, locks=LOCKS)
    assert done.returncode == 0, done.stderr
    done = elsewhere("mask", "people", "masked", "--ratio", "0.4", "--workers", "1", cwd=tmp_path, locks=LOCKS)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob(".*.partial"))
    for words in (("inspect", "people"), ("check", "masked", "--deep"), ("doctor",)):
        done = elsewhere(*words, cwd=tmp_path)
        assert done.returncode == 0, (words, done.stderr)


def test_the_script_takes_away_what_it_says(tmp_path: Path) -> None:
    for gone in (
        "import fcntl",
        "import resource",
        "os.fork",
        "os.pread",
        "os.O_NOFOLLOW",
        "open('/proc/self/status')",
    ):
        done = subprocess.run([sys.executable, "-c", LINUX_ONLY + gone], capture_output=True, text=True, check=False)
        assert done.returncode == 1, gone
