"""What an engine is asked to do: ``submit(task)`` and ``next_finished()``; engines and jobs know each other by this."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from facekit.errors import FacekitError

__all__ = ["Executor", "Start", "WorkerError"]

Start = Callable[[Any], Callable[[Any], Any]]


class WorkerError(FacekitError):
    """A worker failed at something nobody foresaw, or died; the message names the shard."""


class Executor(Protocol):
    """Does tasks and hands back their results in the order in which they finish."""

    def submit(self, task: Any) -> None:
        """Queue a task; its ``repr`` is how errors name it."""

    def next_finished(self) -> Any:
        """Wait for the next result. A worker's error is raised here."""

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
