"""What a run says about itself: a CSV file, TensorBoard, Weights & Biases, and whoever listens."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from facekit.errors import ConfigError, FacekitError, none_of
from facekit.output import replace_file

__all__ = ["LOGS", "Log", "check_logs"]

LOG, BOARD = "log.csv", "tensorboard"
LOGS = ("csv", "tensorboard", "wandb")
"""Where a run can be logged. The CSV file is always written."""
PROJECT = "facekit"
COLUMNS = ("step", "epoch", "name", "value")


class Sink(Protocol):
    """Somewhere that takes values besides the CSV file."""

    def write(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """Note values of a step."""

    def close(self) -> None:
        """Write what is left."""


def check_logs(names: Sequence[str]) -> None:
    """Refuse a log that is none, or whose library is not installed.

    Parameters
    ----------
    names : sequence of str
        Of `LOGS`.

    Raises
    ------
    ConfigError
    """
    for name in names:
        if name not in LOGS:
            raise none_of("log", name, LOGS)
        if name != "csv" and find_spec(name) is None:
            raise ConfigError(f"--log {name} needs {name}: pip install {name}")


class Log:
    """The log of a run; rows beyond the step it goes on from are forgotten.

    Parameters
    ----------
    folder : Path
    step : int
        Steps that were done before.
    names : sequence of str
        Of `LOGS`. None given: the CSV file, and TensorBoard where it is installed.
    settings : mapping
        Of the run, for those logs that show them.

    Raises
    ------
    FacekitError
        There is a log, and it is none of facekit's, or damaged; or a library could not begin its own.
    """

    def __init__(
        self, folder: Path, step: int = 0, names: Sequence[str] = (), settings: Mapping[str, Any] | None = None
    ) -> None:
        path = folder / LOG
        _rewrite(path, [row for row in _rows(path) if int(row["step"]) <= step])
        self._sinks = list(_sinks(folder, step, names, settings or {}))
        self._file = open(path, "a", newline="", encoding="utf-8")  # noqa: SIM115 -- until __exit__
        self._writer = csv.DictWriter(self._file, COLUMNS)

    def write(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """Note values of a step.

        Parameters
        ----------
        step : int
        epoch : float
        values : mapping from str to float
        """
        for name, value in values.items():
            self._writer.writerow({"step": step, "epoch": f"{epoch:.4f}", "name": name, "value": repr(float(value))})
        self._file.flush()
        for sink in self._sinks:
            sink.write(step, epoch, values)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as closing:
            for sink in self._sinks:
                closing.callback(sink.close)
            self._file.close()


def _sinks(folder: Path, step: int, names: Sequence[str], settings: Mapping[str, Any]) -> Iterator[Sink]:
    if "tensorboard" in names or not names:
        board = _board(folder / BOARD, step)
        if board is not None:
            yield _Board(board)
    if "wandb" in names:
        yield _WandB(folder, settings)


class _Board:
    """TensorBoard."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, step: int, _epoch: float, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WandB:
    """Weights & Biases, in a folder of the run's; offline unless WANDB_MODE says otherwise (``wandb sync`` uploads).

    A run that goes on has the id of before, which follows from its folder.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        import wandb

        where = os.fspath(folder.resolve())
        name = blake2b(os.fsencode(where), digest_size=8).hexdigest()
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        try:
            self._run: Any = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT), dir=where, id=name, name=folder.name, mode=mode,
                resume="allow" if mode == "online" else None, config=dict(settings), reinit="finish_previous",
            )  # fmt: skip
        except Exception as error:  # wandb raises classes of its own, for a network or a login that is not there
            raise FacekitError(
                f"wandb cannot log {folder}: {error}; WANDB_MODE=offline needs no network, --log csv no wandb"
            ) from error

    def write(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        self._run.log({"epoch": epoch, **values}, step=step)

    def close(self) -> None:
        self._run.finish()


def _rows(path: Path) -> list[dict[str, str]]:
    """The whole rows; the last may be half one, of a run that was killed."""
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["value"]]
        for row in rows:
            int(row["step"]), float(row["epoch"]), float(row["value"])
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise FacekitError(
            f"{path} cannot be read as a log: {error}; move it away, and the run goes on with a new one"
        ) from error
    return [{name: row[name] for name in COLUMNS} for row in rows]


def _rewrite(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    replace_file(path, text.getvalue())


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logging.getLogger(__name__).info("tensorboard is not installed; there is only %s", LOG)
        return None
    try:
        os.fspath(folder).encode("utf-8")
    except UnicodeEncodeError:
        logging.getLogger(__name__).warning("TensorBoard writes below no name that is not UTF-8; there is only %s", LOG)
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
