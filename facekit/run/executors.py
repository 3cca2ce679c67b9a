"""Who does the shards: this process, several processes on this machine, or (in its own file) a Ray cluster.

What a worker does is a function that takes a task and returns a result; it is made once in each worker by
``start(config)``, so models and files are opened once.
"""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any

from facekit.errors import ConfigError
from facekit.run.choice import LOCAL, ExecutorChoice
from facekit.run.protocol import Executor, Start

__all__ = ["open_executor"]


class InProcess:
    """Does each task in this process, when its result is asked for."""

    def __init__(self, start: Start, config: Any) -> None:
        self._work = start(config)
        self._tasks: deque[Any] = deque()

    def submit(self, task: Any) -> None:
        self._tasks.append(task)

    def next_finished(self) -> Any:
        return self._work(self._tasks.popleft())

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.clear()


def open_executor(
    workers: int,
    start: Start,
    config: Any,
    choice: ExecutorChoice = LOCAL,
    *,
    instructions: str | None = None,
    gpus: int = 0,
) -> Executor:
    """The executor for this many workers.

    Parameters
    ----------
    workers : int
        1: this process; more: as many processes on this machine (or Ray tasks at once).
    start : callable
        Importable by name; called once in each worker with ``config``, returns the function from task to result.
    config : object
        Picklable.
    choice : ExecutorChoice
        Where they work.
    instructions : str, optional
        The instruction set that results were or will be computed with; workers that have another refuse to begin.
    gpus : int
        Graphics cards that each worker needs to itself; a Ray cluster finds them.

    Raises
    ------
    ConfigError
        ``workers`` is below 1, or Ray was asked for and is not installed.
    """
    if workers < 1:
        raise ConfigError(f"at least one worker is needed, not {workers}")
    if choice.engine == "ray":
        from facekit.run.ray_executor import RayTasks

        return RayTasks(workers, start, config, choice.address, instructions, gpus)
    if workers == 1:
        return InProcess(start, config)
    from facekit.run.processes import LocalProcesses

    return LocalProcesses(workers, start, config)
