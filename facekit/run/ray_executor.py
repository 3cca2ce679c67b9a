"""The same two calls on a Ray cluster, for someone who has outgrown a machine. The only file that imports Ray."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any, NamedTuple

from facekit.errors import ConfigError
from facekit.run.processes import single_thread
from facekit.run.protocol import Start, WorkerError
from facekit.run.worker import portable_error

__all__ = ["RayTasks", "processors"]

MOST_DEATHS = 3
"""Workers that a task may cost: a machine that goes takes one of it, a task that kills its worker takes them all."""


def connect(address: str | None) -> Any:
    """Ray, connected to a cluster.

    Raises
    ------
    ConfigError
        Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "Ray is not installed here: pip install '.[ray]' in the checkout, or leave out --engine ray"
        ) from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False)
        except (ConnectionError, ValueError) as error:
            raise ConfigError(
                f"no Ray cluster answers at {address or 'RAY_ADDRESS'}: {error}; start one with ray start --head, or "
                "leave out --address"
            ) from error
    return ray


def processors(address: str | None) -> int:
    """Processors that the cluster has now."""
    return max(int(connect(address).cluster_resources().get("CPU", 1)), 1)


class RayTasks:
    """Ray actors that each do one task at a time.

    Source and destination must lie on a file system that every node sees under the same path. Actors for which the
    cluster has no free processor yet wait for one and are given no task before. When a node is lost, its tasks go to
    other workers, and new actors wait for a place.
    """

    def __init__(
        self,
        workers: int,
        start: Start,
        config: Any,
        address: str | None = None,
        instructions: str | None = None,
        gpus: int = 0,
    ) -> None:
        # ray's types change from one release to the next, and it may be absent: facekit's own are checked, its are not.
        self._ray: Any = connect(address)
        one_thread = {"env_vars": single_thread({})}
        self._actor = self._ray.remote(num_cpus=1, num_gpus=gpus, runtime_env=one_thread)(_Worker)
        self._given = start, config, instructions
        self._actors: set[Any] = set()
        self._idle: list[Any] = []
        self._tasks: deque[_Task] = deque()
        self._busy: dict[Any, _Call] = {}
        self._failed_starts = 0
        for _ in range(workers):
            self._launch()

    def submit(self, task: Any) -> None:
        self._tasks.append(_Task(task))
        self._feed()

    def next_finished(self) -> Any:
        while True:
            ready = self._ray.wait(list(self._busy), num_returns=1)[0][0]
            call = self._busy.pop(ready)
            answer = self._answer(ready, call)
            if answer is _LOST:
                continue
            if isinstance(answer, BaseException):
                raise answer
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

    def _launch(self) -> None:
        actor = self._actor.remote()
        self._actors.add(actor)
        self._busy[actor.start.remote(*self._given)] = _Call(actor, None)

    def _feed(self) -> None:
        while self._tasks and self._idle:
            actor, task = self._idle.pop(), self._tasks.popleft()
            self._busy[actor.work.remote(task.content)] = _Call(actor, task)

    def _answer(self, ready: Any, call: _Call) -> Any:
        """What a call returned; `_LOST` where its worker went, and somebody else does the task."""
        try:
            return self._ray.get(ready)
        except self._ray.exceptions.RayActorError as error:
            self._replace(call, error)
            return _LOST
        except self._ray.exceptions.RayError as error:
            raise WorkerError(f"{_name(call)}: {error}") from None

    def _replace(self, call: _Call, error: Exception) -> None:
        """A new worker for one that died, and its task first in the queue; not for a task that keeps on killing."""
        self._actors.discard(call.actor)
        self._ray.kill(call.actor)  # one that was only out of reach would do the task a second time
        if call.task is None:
            self._failed_starts += 1
            deaths = self._failed_starts
        else:
            deaths = call.task.deaths + 1
            self._tasks.appendleft(call.task._replace(deaths=deaths))
        if deaths >= MOST_DEATHS:
            raise WorkerError(f"{_name(call)}: {deaths} workers died of it, the last so: {error}") from None
        self._launch()
        self._feed()


_LOST = object()


class _Task(NamedTuple):
    """A task, and how many workers died while they did it."""

    content: Any
    deaths: int = 0


class _Call(NamedTuple):
    """A call that has not returned: of whom, and the task; None: the worker is starting."""

    actor: Any
    task: _Task | None


def _name(call: _Call) -> str:
    return "a worker could not start" if call.task is None else repr(call.task.content)


class _Worker:
    """Lives on the cluster. Errors are handed back as values: Ray would wrap what is raised in types of its own."""

    def start(self, start: Start, config: Any, instructions: str | None) -> BaseException | None:
        try:
            _refuse_other_instructions(instructions)
            self._work = start(config)
        except Exception as error:
            return portable_error(error, "a worker could not start")
        return None

    def work(self, task: Any) -> Any:
        try:
            return (self._work(task),)
        except Exception as error:
            return portable_error(error, repr(task))


def _refuse_other_instructions(expected: str | None) -> None:
    """Refuse to compute on a processor whose results may differ in the last bit from those beside which they stand.

    Raises
    ------
    ConfigError
        Names both.
    """
    if expected is None:
        return
    import socket

    from facekit.run.platform_stamp import instruction_set

    own = instruction_set()
    if own != expected:
        raise ConfigError(
            f"node {socket.gethostname()} has the instruction set {own}, the machine that started the job {expected}: "
            "the output would depend on who does what. Choose nodes of one kind, and start the job on one of them"
        )
