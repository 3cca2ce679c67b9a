"""What a record costs, from timings that other work on the machine disturbs.

Other work only adds, so of the timings at one size the shortest counts; it is believed when the three shortest agree.
All steps are timed in turns, each at a small and at a large size, so that a load of minutes meets each in some turns
alone; those whose timings agree drop out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Estimate", "Round", "estimate", "take_turns"]

_LOG = logging.getLogger(__name__)

SETTLED, UNSURE = 0.1, 0.2
"""Uncertainty at which a step needs no more rounds, and from which its user is told."""

FEWEST, MOST, AGREE = 5, 9, 3
"""Rounds, and how many of the shortest timings must agree."""

BUDGET = 60.0
"""Seconds after which no step gets more than `FEWEST` rounds."""


class Round(NamedTuple):
    """Seconds at the small and at the large size."""

    small: float
    large: float


class Estimate(NamedTuple):
    """What rounds say.

    Attributes
    ----------
    small, difference : float
        Seconds at the small size, and how many more at the large one.
    uncertainty : float
        How far the three shortest at both sizes lie apart, as a share of the difference.
    """

    small: float
    difference: float
    uncertainty: float


def estimate(rounds: Sequence[Round]) -> Estimate:
    """Estimate from the shortest timings.

    Parameters
    ----------
    rounds : sequence of Round
        At least one.

    Returns
    -------
    Estimate
        The difference is at least 0.

    Examples
    --------
    >>> estimate([Round(1.0, 3.0), Round(1.5, 3.0), Round(1.0, 4.1), Round(1.0, 3.0)])
    Estimate(small=1.0, difference=2.0, uncertainty=0.0)
    """
    small, large = np.sort(np.array(rounds, np.float64), axis=0)[:AGREE].T
    difference = float(large[0] - small[0])
    apart = float(small[-1] - small[0] + large[-1] - large[0])
    return Estimate(float(small[0]), max(difference, 0.0), apart / difference if difference > 0 else np.inf)


def take_turns(probes: Mapping[str, Callable[[], Round]], budget: float = BUDGET) -> dict[str, Estimate]:
    """Time steps in turns until the timings of each agree.

    Parameters
    ----------
    probes : mapping from str to callable
        Times one round of a step.
    budget : float
        Seconds of all rounds after which no step gets more than `FEWEST`.

    Returns
    -------
    dict from str to Estimate
        One whose timings never agreed is in it too; that is logged.
    """
    rounds: dict[str, list[Round]] = {name: [] for name in probes}
    used = 0.0
    for turn in range(MOST):
        for name, probe in probes.items():
            if turn < FEWEST or (used < budget and estimate(rounds[name]).uncertainty > SETTLED):
                rounds[name].append(probe())
                used += sum(rounds[name][-1])
    found = {name: estimate(timed) for name, timed in rounds.items()}
    unsure = [f"{name} by {one.uncertainty:.0%}" for name, one in found.items() if one.uncertainty > UNSURE]
    if unsure:
        _LOG.warning("timings vary (%s): other work runs on this machine; measure again when it rests",
                     ", ".join(unsure))  # fmt: skip
    return found
