"""Several workers on this machine: ``python -m facekit.run.worker``, one shard at a time each.

The processes are started from the command line of the interpreter rather than by ``multiprocessing``, so the caller's
script needs no ``if __name__ == "__main__"`` and a notebook works. Each talks over a socket of its own: when it dies
the socket says so, and which shard it held is known.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from facekit.run.protocol import Start, WorkerError

__all__ = ["LocalProcesses", "single_thread", "worker_number"]

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


NUMBER = "FACEKIT_WORKER"


def worker_number() -> int:
    """Which of the worker processes on this machine this is, from 0; 0 where there are none."""
    return int(os.environ.get(NUMBER, "0"))


def single_thread(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a worker: every thread pool holds one thread, since the workers are the parallelism."""
    return {**environment, **dict.fromkeys(THREADS, "1")}


class LocalProcesses:
    """Worker processes that each do one task at a time."""

    def __init__(self, workers: int, start: Start, config: Any) -> None:
        self._tasks: deque[Any] = deque()
        self._idle: list[Connection] = []
        self._busy: dict[Connection, Any] = {}
        self._processes: dict[Connection, subprocess.Popen[bytes]] = {}
        first = pickle.dumps((start, config))
        for number in range(workers):
            connection, process = _launch(number)
            self._processes[connection] = process
            self._idle.append(connection)
            connection.send_bytes(first)

    def submit(self, task: Any) -> None:
        self._tasks.append(task)
        self._feed()

    def next_finished(self) -> Any:
        connection = wait(list(self._busy))[0]
        assert isinstance(connection, Connection)
        task = self._busy.pop(connection)
        try:
            answer = connection.recv()
        except (EOFError, OSError):
            raise WorkerError(f"{task!r}: {_death(self._processes[connection])}") from None
        if isinstance(answer, BaseException):
            raise answer
        self._idle.append(connection)
        self._feed()
        return answer[0]

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection, process in self._processes.items():
            connection.close()
            if kind is not None:
                process.kill()
        for process in self._processes.values():
            process.wait()

    def _feed(self) -> None:
        while self._tasks and self._idle:
            connection, task = self._idle.pop(), self._tasks.popleft()
            self._busy[connection] = task
            try:
                connection.send(task)
            except OSError:
                continue  # the worker is dead: next_finished finds its socket closed and says so


def _launch(number: int) -> tuple[Connection, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    # The workers must import what this process imports, wherever its path came from.
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", "from facekit.run.worker import main; main()", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env={**single_thread(dict(os.environ)), "PYTHONPATH": path, NUMBER: str(number)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends its workers
    )
    theirs.close()
    return Connection(ours.detach()), process


def _death(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    if code >= 0:
        return f"the worker process ended with exit code {code}; its own message is above"
    cure = "; the machine may have run out of memory, try fewer --workers" if code == -signal.SIGKILL else ""
    return f"the worker process was ended by {signal.Signals(-code).name}{cure}"
