"""Random numbers for one mask."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["Draws", "Line", "four_decimals"]

Line = tuple[float, ...]
"""Of the 14 numbers that `facekit.masks.params.MaskParams` tells."""
NUMBERS = 1024


def four_decimals(value: float) -> float:
    """Four decimals, for a short ledger; `round` takes three times as long, and a recipe has hundreds of numbers."""
    return math.floor(value * 1e4 + 0.5) / 1e4


class Draws:
    """Uniform numbers handed out one by one.

    One call of the generator for all of them is twenty times cheaper than one call each.

    Parameters
    ----------
    rng : numpy.random.Generator
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._numbers = iter(rng.random(NUMBERS).tolist())

    def uniform(self, low: float, high: float) -> float:
        """Between two numbers."""
        return four_decimals(low + (high - low) * next(self._numbers))

    def between(self, low: float, high: float) -> float:
        """As `uniform`, not yet rounded: for what is computed with."""
        return low + (high - low) * next(self._numbers)

    def bell(self, centre: float, deviation: float) -> float:
        """Nearly normal (three uniforms), bounded at three deviations."""
        total = next(self._numbers) + next(self._numbers) + next(self._numbers)
        return four_decimals(centre + deviation * 2 * (total - 1.5))

    def count(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return min(least + int(next(self._numbers) * (most - least + 1)), most)

    def chance(self, share: float) -> bool:
        """True in that share of the cases."""
        return next(self._numbers) < share

    def choice(self, items: tuple[Any, ...]) -> Any:
        """One of some."""
        return items[min(int(next(self._numbers) * len(items)), len(items) - 1)]
