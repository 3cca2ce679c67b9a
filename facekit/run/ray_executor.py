"""The same two calls on a Ray cluster, for someone who has outgrown a machine. The only file that imports Ray."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any

from facekit.errors import ConfigError
from facekit.run.protocol import Start

__all__ = ["RayTasks"]


class RayTasks:
    """Ray actors that each do one task at a time.

    Source and destination must lie on a file system that every node sees under the same path.
    """

    def __init__(self, workers: int, start: Start, config: Any) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("Ray is not installed here: pip install 'facekit-mfr[ray]', or leave out --ray") from None
        self._ray = ray
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        actor = ray.remote(num_cpus=1)(_Worker)
        self._idle = [actor.remote(start, config) for _ in range(workers)]
        self._tasks: deque[Any] = deque()
        self._busy: dict[Any, Any] = {}

    def submit(self, task: Any) -> None:
        self._tasks.append(task)
        self._feed()

    def next_finished(self) -> Any:
        ready = self._ray.wait(list(self._busy), num_returns=1)[0][0]
        self._idle.append(self._busy.pop(ready))
        self._feed()
        return self._ray.get(ready)

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in [*self._idle, *self._busy.values()]:
            self._ray.kill(actor)

    def _feed(self) -> None:
        while self._tasks and self._idle:
            actor = self._idle.pop()
            self._busy[actor.work.remote(self._tasks.popleft())] = actor


class _Worker:
    def __init__(self, start: Start, config: Any) -> None:
        self._work = start(config)

    def work(self, task: Any) -> Any:
        return self._work(task)
