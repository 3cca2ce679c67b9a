"""Runs of images with one label while a pack is written: where each identity begins, and that none comes twice."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import ConfigError
from facekit.records.key_rows import rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IdentityRuns"]

_FRESH = 1 << 16
"""Labels of identities that wait to be sorted in among the others."""


class IdentityRuns:
    """Runs of images with one label, in key order: 16 bytes each, where a list and a set of numbers take 130."""

    def __init__(self) -> None:
        self.starts = array("q")
        self._seen = np.zeros(0)  # labels, ascending
        self._fresh: set[float] = set()  # those that are not among them yet
        self._last: float | None = None
        self._largest = -math.inf

    def starting(self, labels: NDArray[np.number]) -> NDArray[np.integer]:
        """Which of further labels start an identity.

        Raises
        ------
        ConfigError
            One of them had its images already.
        """
        changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
        if self._last is None or labels[0] != self._last:
            changes = np.append(0, changes)
        fresh = labels[changes]
        if len(fresh) and not (fresh[0] > self._largest and (fresh[1:] > fresh[:-1]).all()):
            self._refuse_again(fresh.tolist())
        return changes

    def _refuse_again(self, fresh: list[float]) -> None:
        wanted = np.array(fresh, np.float64)
        known = {*wanted[rows_of(self._seen, wanted, ascending=True) >= 0].tolist(), *self._fresh.intersection(fresh)}
        if known or len(set(fresh)) < len(fresh):
            again = next(label for place, label in enumerate(fresh) if label in known or label in fresh[:place])
            raise ConfigError(
                f"images of label {again:g} do not follow one another, as the layout insightface wants: "
                "sort the records by label or write layout flat"
            )

    def add(self, labels: NDArray[np.number], starting: NDArray[np.integer], first_key: int) -> None:
        fresh = labels[starting]
        if not len(fresh):
            return
        self._fresh.update(fresh.tolist())
        if len(self._fresh) >= _FRESH:
            self._seen = np.sort(np.append(self._seen, np.fromiter(self._fresh, np.float64)))
            self._fresh.clear()
        self.starts.frombytes((starting + first_key).astype(np.int64).tobytes())
        self._last, self._largest = labels[-1].item(), max(self._largest, *fresh.tolist())
