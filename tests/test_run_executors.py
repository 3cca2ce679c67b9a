from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from facekit.errors import ConfigError, NoFace
from facekit.run.choice import ExecutorChoice
from facekit.run.executors import open_executor
from facekit.run.protocol import WorkerError


def squares(offset: int) -> Callable[[int], tuple[int, int]]:
    def work(task: int) -> tuple[int, int]:
        return task, task * task + offset

    return work


def troubles(_: None) -> Callable[[str], str]:
    def work(task: str) -> str:
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "exit":
            os._exit(3)
        if task == "refuse":
            raise NoFace("profile")
        if task == "stumble":
            raise ZeroDivisionError("by nought")
        return task

    return work


def slow(_: None) -> Callable[[float], int]:
    def work(task: float) -> int:
        print(os.getpid(), flush=True)
        time.sleep(task)
        return os.getpid()

    return work


def environment(_: None) -> Callable[[str], str | None]:
    return os.environ.get


def arrow_without_pandas(_: None) -> Callable[[int], tuple[list[int], bool]]:
    import pyarrow as pa

    return lambda task: (pa.array([task]).to_pylist(), "pandas" in sys.modules)


def broken(_: None) -> Callable[[int], int]:
    raise RuntimeError("no model")


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_is_done_once(workers: int) -> None:
    with open_executor(workers, squares, 5) as executor:
        for task in range(20):
            executor.submit(task)
        results = [executor.next_finished() for _ in range(20)]
    assert sorted(results) == [(task, task * task + 5) for task in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_our_own_errors_arrive_as_they_were(workers: int) -> None:
    with pytest.raises(NoFace) as caught, open_executor(workers, troubles, None) as executor:
        executor.submit("refuse")
        executor.next_finished()
    assert caught.value.reason == "profile"


def test_an_unforeseen_error_names_the_task_and_quotes_the_traceback() -> None:
    with pytest.raises(WorkerError, match=r"(?s)'stumble'.*by nought"), open_executor(2, troubles, None) as executor:
        executor.submit("stumble")
        executor.next_finished()


def test_a_worker_that_cannot_start_is_an_error() -> None:
    with pytest.raises(WorkerError, match="no model"), open_executor(2, broken, None) as executor:
        executor.submit(1)
        executor.next_finished()


@pytest.mark.parametrize(("task", "message"), [("die", "'die'.*SIGKILL.*--workers"), ("exit", "'exit'.*exit code 3")])
def test_a_crash_names_the_task(task: str, message: str) -> None:
    with pytest.raises(WorkerError, match=message), open_executor(2, troubles, None) as executor:
        executor.submit(task)
        executor.next_finished()


def test_workers_hold_one_thread_each() -> None:
    with open_executor(2, environment, None) as executor:
        executor.submit("OMP_NUM_THREADS")
        assert executor.next_finished() == "1"


def test_workers_do_not_load_pandas_behind_arrow() -> None:
    with open_executor(2, arrow_without_pandas, None) as executor:
        executor.submit(3)
        assert executor.next_finished() == ([3], False)


def test_workers_end_with_a_parent_that_was_killed() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from facekit.run.executors import open_executor; from test_run_executors import slow\n"
        "executor = open_executor(2, slow, None); executor.submit(600); executor.next_finished()"
    )
    command = [sys.executable, "-c", script, os.path.dirname(__file__)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 120  # it ends at once, and by itself only after 600 s
        while _alive(worker):
            assert time.monotonic() < deadline, "the worker outlived its parent"
            time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_worker_is_bad_usage() -> None:
    with pytest.raises(ConfigError, match="at least one worker"):
        open_executor(0, squares, 0)


def test_ray_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"\.\[ray\]"):
        open_executor(2, squares, 0, ExecutorChoice("ray"))
