"""The same two calls on a Ray cluster, for someone who has outgrown a machine. The only file that imports Ray."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any, NamedTuple

from facekit.errors import ConfigError
from facekit.run.protocol import Start, WorkerError
from facekit.run.worker import portable_error

__all__ = ["RayTasks"]


class RayTasks:
    """Ray actors that each do one task at a time.

    Source and destination must lie on a file system that every node sees under the same path. Actors for which the
    cluster has no free processor yet wait for one and are given no task before.
    """

    def __init__(self, workers: int, start: Start, config: Any) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("Ray is not installed here: pip install 'facekit-mfr[ray]', or leave out --ray") from None
        # ray's types change from one release to the next, and it may be absent: facekit's own are checked, its are not.
        self._ray: Any = ray
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        actor = self._ray.remote(num_cpus=1)(_Worker)
        self._actors = [actor.remote() for _ in range(workers)]
        self._idle: list[Any] = []
        self._tasks: deque[Any] = deque()
        self._busy = {actor.start.remote(start, config): _Call(actor, None) for actor in self._actors}

    def submit(self, task: Any) -> None:
        self._tasks.append(task)
        self._feed()

    def next_finished(self) -> Any:
        while True:
            ready = self._ray.wait(list(self._busy), num_returns=1)[0][0]
            call = self._busy.pop(ready)
            answer = self._answer(ready, call)
            self._idle.append(call.actor)
            self._feed()
            if call.task is not None:
                return answer[0]

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in self._actors:
            self._ray.kill(actor)

    def _feed(self) -> None:
        while self._tasks and self._idle:
            actor, task = self._idle.pop(), self._tasks.popleft()
            self._busy[actor.work.remote(task)] = _Call(actor, (task,))

    def _answer(self, ready: Any, call: _Call) -> Any:
        named = "a worker could not start" if call.task is None else repr(call.task[0])
        try:
            answer = self._ray.get(ready)
        except self._ray.exceptions.RayError as error:
            raise WorkerError(f"{named}: {error}") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer


class _Call(NamedTuple):
    """A call that has not returned: of whom, and the task as a tuple of one; None: the worker is starting."""

    actor: Any
    task: tuple[Any] | None


class _Worker:
    """Lives on the cluster. Errors are handed back as values: Ray would wrap what is raised in types of its own."""

    def start(self, start: Start, config: Any) -> BaseException | None:
        try:
            self._work = start(config)
        except Exception as error:
            return portable_error(error, "a worker could not start")
        return None

    def work(self, task: Any) -> Any:
        try:
            return (self._work(task),)
        except Exception as error:
            return portable_error(error, repr(task))
