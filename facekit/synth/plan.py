"""What a pack of drawn people holds, record by record, before anything is drawn: who, which picture, under which label.

The roster holds a few numbers a label; what its records are follows from the seed and the label alone, so a worker
plans the stretch it draws and nothing grows with the number of records.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, did_you_mean

__all__ = ["BENCHMARK_SEEDS", "KINDS", "SIZES", "PackSpec", "PlannedRecord", "Roster", "make_roster", "plan_records"]

KINDS = ("clean", "label_noise", "outlier", "near_duplicate", "low_quality", "masked", "duplicate_identity")
SIZES = ("equal", "long-tail", "exponential:RATIO")
FIRST_FOREIGN_IMAGE = 10**9
"""Number from which the pictures count that stand under somebody else's label; a person's own are far fewer."""
MAX_COUNT = 10**8
BENCHMARK_SEEDS = 1 << 62
"""Seeds from here on belong to benchmarks: nobody trains on their people."""
_SIZES, _ORDER, _SPLIT, _KINDS = 3, 4, 5, 6
"""Tags that keep the streams of random numbers apart; :mod:`facekit.synth.sampling` has 1 and 2."""

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class PackSpec:
    """What a pack is to hold.

    Attributes
    ----------
    identities : int
        People.
    images : int
        Records a person: of each (``equal``), on average (``long-tail``: log-normal, at least 2), or of the largest.
    sizes : {"equal", "long-tail", "exponential:RATIO"}
        ``exponential:RATIO`` falls from the largest to the smallest by equal factors, which together are RATIO, at
        least 1: the long-tailed sets of Cui et al. 2019 (section 5.1), whose imbalance is RATIO. Whole records, and 1
        at least.
    seed : int
    label_noise : float
        Chance that a record shows another person of the pack.
    outliers : float
        Chance that a record shows somebody who is not in the pack.
    near_duplicates : float
        Chance that a record is another one of its label again, coded, exposed or cropped a little differently.
    low_quality : float
        Chance of a blurred, dark or badly compressed picture.
    masked : float
        Chance that a mask is worn.
    duplicate_identities : float
        Share of the people whose records are split between two labels.

    Raises
    ------
    ConfigError
        A value is not allowed, or the chances add up to more than 1.
    """

    identities: int
    images: int
    sizes: str = "equal"
    seed: int = 0
    label_noise: float = 0.0
    outliers: float = 0.0
    near_duplicates: float = 0.0
    low_quality: float = 0.0
    masked: float = 0.0
    duplicate_identities: float = 0.0

    def __post_init__(self) -> None:
        for name in ("identities", "images"):
            if not 1 <= getattr(self, name) <= MAX_COUNT:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be from 1 to {MAX_COUNT:,}")
        _check_sizes(self)
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"seed is {self.seed}; it must be from 0 to 2**63 - 1")
        names = ("label_noise", "outliers", "near_duplicates", "low_quality", "masked")
        for name in (*names, "duplicate_identities"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        if sum(self.chances) > 1:
            raise ConfigError(f"{', '.join(names)} add up to {sum(self.chances):g}; together they may be at most 1")
        if self.label_noise and self.identities < 2:
            raise ConfigError("label_noise needs a second person to take pictures from; ask for at least 2 identities")

    @property
    def chances(self) -> tuple[float, ...]:
        """Chances of the kinds 1 to 5, in the order of `KINDS`."""
        return self.label_noise, self.outliers, self.near_duplicates, self.low_quality, self.masked


class Roster(NamedTuple):
    """The labels of a pack, in order.

    Attributes
    ----------
    starts : (L + 1,) int64
        Position of each label's first record, and the number of all.
    person : (L,) int64
        Whose label it is.
    first_image : (L,) int64
        Number of the first picture of the person that it holds.
    canonical : (L,) int64
        The first label of the same person; its own where there is no other.
    """

    starts: Integers
    person: Integers
    first_image: Integers
    canonical: Integers


class PlannedRecord(NamedTuple):
    """A record to be drawn.

    Attributes
    ----------
    position : int
        Among all records, from 0.
    label, canonical_label : int
        What the pack says, and the first label of the person whose label it is.
    identity, image : int
        What to draw.
    kind : str
        One of `KINDS`.
    source : int
        Position of the record of which this is a near duplicate; else -1.
    """

    position: int
    label: int
    canonical_label: int
    identity: int
    image: int
    kind: str
    source: int


def make_roster(spec: PackSpec) -> Roster:
    """Sizes, splits and the order of the labels; the order says nothing about which were split.

    Parameters
    ----------
    spec : PackSpec

    Returns
    -------
    Roster
    """
    people = np.arange(spec.identities)
    sizes = _sizes(spec)
    count = round(spec.duplicate_identities * spec.identities)
    split = np.sort(np.random.default_rng([_SPLIT, spec.seed]).permutation(spec.identities)[:count])
    split = split[sizes[split] >= 2]
    second = sizes[split] // 2
    first_image = np.concatenate([np.zeros_like(people), sizes[split] - second])
    sizes[split] -= second
    person, sizes = np.concatenate([people, split]), np.concatenate([sizes, second])
    order = np.random.default_rng([_ORDER, spec.seed]).permutation(len(person))
    person, sizes, first_image = person[order], sizes[order], first_image[order]
    canonical = np.empty(spec.identities, np.int64)
    canonical[person[::-1]] = np.arange(len(person))[::-1]
    return Roster(np.concatenate([[0], np.cumsum(sizes)]), person, first_image, canonical[person])


def _ratio(sizes: str) -> float:
    """RATIO of ``exponential:RATIO``; NaN where it is no such text."""
    kind, _, ratio = sizes.partition(":")
    try:
        return float(ratio) if kind == "exponential" else math.nan
    except ValueError:
        return math.nan


def _check_sizes(spec: PackSpec) -> None:
    """Refuse other kinds, and a ratio by which somebody would have no whole record."""
    if spec.sizes in SIZES[:2]:
        return
    ratio = _ratio(spec.sizes)
    if not 1 <= ratio < math.inf:
        raise ConfigError(
            f"sizes is {spec.sizes!r}; it must be one of {', '.join(SIZES)}, with a RATIO of 1 or more, such as "
            f"exponential:100{did_you_mean(spec.sizes, SIZES[:2])}"
        )
    if ratio > spec.images:
        raise ConfigError(
            f"sizes is {spec.sizes!r} with {spec.images} images: the smallest would have less than one; ask for "
            f"{math.ceil(ratio)} images or more, or a smaller ratio"
        )


def _sizes(spec: PackSpec) -> Integers:
    if spec.sizes == "equal":
        return np.full(spec.identities, spec.images, np.int64)
    if spec.sizes != "long-tail":
        share = np.arange(spec.identities) / max(1, spec.identities - 1)
        return np.rint(spec.images * _ratio(spec.sizes) ** -share).astype(np.int64)
    raw = np.exp(np.random.default_rng([_SIZES, spec.seed]).normal(0, 1.0, spec.identities))
    return np.maximum(2, np.rint(raw * spec.images / np.exp(0.5))).astype(np.int64)


def plan_records(spec: PackSpec, roster: Roster, first: int, stop: int) -> Iterator[PlannedRecord]:
    """Plan a stretch of records.

    Parameters
    ----------
    spec : PackSpec
    roster : Roster
        Of the same spec.
    first, stop : int
        Positions, ``stop`` excluded; at most ``roster.starts[-1]``.

    Yields
    ------
    PlannedRecord
        The same for a position whatever stretch it is asked for in.
    """
    label = int(np.searchsorted(roster.starts, first, side="right")) - 1
    while first < stop:
        begin, end = int(roster.starts[label]), int(roster.starts[label + 1])
        yield from _plan_label(spec, roster, label)[first - begin : min(stop, end) - begin]
        first, label = end, label + 1


def _plan_label(spec: PackSpec, roster: Roster, label: int) -> list[PlannedRecord]:
    rng = np.random.default_rng([_KINDS, spec.seed, label])
    begin, count = int(roster.starts[label]), int(roster.starts[label + 1] - roster.starts[label])
    kinds = np.searchsorted(np.cumsum(spec.chances), rng.uniform(size=count), side="right")
    kinds = np.where(kinds == len(spec.chances), 0, kinds + 1)
    strangers = (roster.person[label] + rng.integers(1, max(2, spec.identities), count)) % spec.identities
    clean = np.flatnonzero(kinds == 0)
    picks = rng.uniform(size=count)
    own, canonical = int(roster.person[label]), int(roster.canonical[label])
    rows = []
    for k in range(count):
        kind, position, source = KINDS[kinds[k]], begin + k, -1
        identity, image = own, int(roster.first_image[label]) + k
        if kind == "near_duplicate" and len(clean):
            of = int(clean[int(picks[k] * len(clean))])
            image, source = image - k + of, begin + of
        elif kind == "near_duplicate":
            kind = "clean"
        elif kind == "label_noise":
            identity, image = int(strangers[k]), FIRST_FOREIGN_IMAGE + position
        elif kind == "outlier":
            identity, image = spec.identities + position, 0
        if kind == "clean" and canonical != label:
            kind = "duplicate_identity"
        rows.append(PlannedRecord(position, label, canonical, identity, image, kind, source))
    return rows
