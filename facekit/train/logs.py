"""What a run says about itself: a CSV file, TensorBoard, and whoever listens."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from facekit.errors import FacekitError
from facekit.output import replace_file

__all__ = ["Log"]

LOG, BOARD = "log.csv", "tensorboard"
COLUMNS = ("step", "epoch", "name", "value")


class Log:
    """The log of a run; rows beyond the step it goes on from are forgotten.

    Parameters
    ----------
    folder : Path
    step : int
        Steps that were done before.

    Raises
    ------
    FacekitError
        There is a log, and it is none of facekit's, or damaged.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        path = folder / LOG
        _rewrite(path, [row for row in _rows(path) if int(row["step"]) <= step])
        self._board = _board(folder / BOARD, step)
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
            if self._board is not None:
                self._board.add_scalar(name, value, step)
        self._file.flush()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            if self._board is not None:
                self._board.close()


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
