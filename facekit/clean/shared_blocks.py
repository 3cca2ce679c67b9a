"""The search of all pairs of centres by several processes or machines: blocks of it are tasks of an engine.

Centres lie in files that every worker maps; a task is a strip of blocks, and its answer the few pairs that reach the
threshold. Each pair is computed from the same two rows in the same way, so the pairs are those of one process, bit for
bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facekit.clean.pairs import BLOCK_ROWS, MAX_PAIRS, Pairs, Processor, block_pairs, prepare, sorted_pairs, too_many
from facekit.run.choice import LOCAL, ExecutorChoice
from facekit.run.executors import open_executor

__all__ = ["STRIP_BLOCKS", "SharedBlocks"]

STRIP_BLOCKS = 32
"""Blocks of a task: about a second of one core at 512 columns, see benchmarks/pair_blocks.py."""

Found = tuple[np.ndarray, np.ndarray, np.ndarray]


class Strip(NamedTuple):
    """A task: the rows of one block against the columns of several."""

    row: int
    first: int
    stop: int


class _Files(NamedTuple):
    """What a worker maps, and what it looks for."""

    left: str
    right: str
    left_head: str
    right_head: str
    floor: float
    threshold: float
    upper: bool
    block: int


class SharedBlocks:
    """A `facekit.clean.pairs.BlockEngine` whose search is done by workers.

    Parameters
    ----------
    folder : Path
        Exists, and every worker sees it under this path; the centres are kept there while they are searched.
    workers : int
    choice : ExecutorChoice
        Where they are.
    """

    def __init__(self, folder: Path, workers: int, choice: ExecutorChoice = LOCAL) -> None:
        self._folder, self._workers, self._choice = folder, workers, choice
        self._here = Processor()
        self.block_rows = self._here.block_rows

    def load(self, rows: np.ndarray) -> Any:
        """See `facekit.clean.pairs.BlockEngine.load`."""
        return self._here.load(rows)

    def above(self, left: Any, right: Any, threshold: float, upper: bool) -> tuple[np.ndarray, np.ndarray]:
        """See `facekit.clean.pairs.BlockEngine.above`."""
        return self._here.above(left, right, threshold, upper)

    def search(
        self, left: np.ndarray, right: np.ndarray, threshold: float, upper: bool, max_pairs: int = MAX_PAIRS
    ) -> Pairs:
        """Find the pairs of rows.

        Parameters
        ----------
        left : (K, D) float32
        right : (L, D) float32
        threshold : float
        upper : bool
            Both are the same, and only i < j is wanted.
        max_pairs : int

        Returns
        -------
        Pairs
            Those of `pairs_above` and `pairs_between`.

        Raises
        ------
        FacekitError
            There are more than `max_pairs`.
        """
        files = self._save(left, right, threshold, upper)
        parts: list[Found] = []
        found = 0
        try:
            for part in self._answers(files, _strips(len(left), len(right), upper)):
                found += len(part[0])
                if found > max_pairs:
                    raise too_many(max_pairs, threshold)
                parts.append(part)
        finally:
            for name in {files.left, files.right, files.left_head, files.right_head}:
                Path(name).unlink(missing_ok=True)
        return sorted_pairs(*(list(column) for column in zip(*parts))) if parts else sorted_pairs([], [], [])

    def _save(self, left: np.ndarray, right: np.ndarray, threshold: float, upper: bool) -> _Files:
        ready = prepare(left, right, threshold, upper)
        names: dict[int, str] = {}
        for array in (left, right, *ready.heads):
            if id(array) not in names:
                names[id(array)] = str(self._folder / f"centres-{len(names)}.npy")
                np.save(names[id(array)], array, allow_pickle=False)
        rows, columns, row_heads, column_heads = (names[id(array)] for array in (left, right, *ready.heads))
        return _Files(rows, columns, row_heads, column_heads, ready.floor, threshold, upper, BLOCK_ROWS)

    def _answers(self, files: _Files, strips: Iterator[Strip]) -> Iterator[Found]:
        with open_executor(self._workers, start_worker, files, self._choice) as executor:
            waiting = 0
            for strip in islice(strips, 2 * self._workers):
                executor.submit(strip)
                waiting += 1
            while waiting:
                yield executor.next_finished()
                waiting -= 1
                for strip in islice(strips, 1):
                    executor.submit(strip)
                    waiting += 1


def _strips(rows: int, columns: int, upper: bool) -> Iterator[Strip]:
    wide = STRIP_BLOCKS * BLOCK_ROWS
    for row in range(0, rows, BLOCK_ROWS):
        for first in range(row if upper else 0, columns, wide):
            yield Strip(row, first, min(first + wide, columns))


def start_worker(files: _Files) -> Callable[[Strip], Found]:
    """Map the centres, and return what is done with a strip."""
    left, right, left_head, right_head = (np.load(name, mmap_mode="r") for name in files[:4])
    engine, step = Processor(files.block), files.block

    def work(strip: Strip) -> Found:
        head = left_head[strip.row : strip.row + step]
        parts = [
            block_pairs(engine, (left, right), (head, right_head[at : at + step]), (strip.row, at), files)
            for at in range(strip.first, strip.stop, step)
        ]
        i, j, similarity = (np.concatenate(column) for column in zip(*parts))
        return i, j, similarity

    return work
