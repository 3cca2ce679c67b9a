"""What a run says about itself: a CSV file, TensorBoard, and whoever listens."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

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
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        path = folder / LOG
        known = [row for row in _rows(path) if int(row["step"]) <= step]
        self._file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115 -- until __exit__
        self._writer = csv.DictWriter(self._file, COLUMNS)
        self._writer.writeheader()
        self._writer.writerows(known)
        self._file.flush()
        self._board = _board(folder / BOARD, step)

    def write(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """Note values of a step."""
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
        self._file.close()
        if self._board is not None:
            self._board.close()


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["value"]]  # a killed run may leave half a row


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logging.getLogger(__name__).info("tensorboard is not installed; there is only %s", LOG)
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
