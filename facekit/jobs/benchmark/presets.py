"""The drawn benchmarks that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["PRESETS", "PUBLISHED", "BenchmarkSpec", "PlantedTask", "Published"]


class PlantedTask(NamedTuple):
    """A cleaning task of planted vectors.

    Attributes
    ----------
    people, mean : int
        People, and vectors a label.
    noise : float
        Share of wrong ones.
    weak : bool
        As a weak network makes them.
    """

    people: int
    mean: int
    noise: float
    weak: bool


@dataclass(frozen=True)
class BenchmarkSpec:
    """What decides every picture, pair and task of a benchmark.

    Attributes
    ----------
    version : int
        Raised when the meaning of a field changes.
    seed : int
        Counted from the first seed of benchmarks.
    adults, children : int
        People.
    images : int
        Bare pictures of each.
    masked, altered, styled : int
        How many of them, the first, have a masked copy, copies with noise and blur, and copies in other looks; of
        adults.
    noise : tuple of float
        Standard deviations of added noise, levels of 255.
    blur : tuple of float
        Standard deviations of the blur, pixels.
    pairs, folds : int
        Of the verification list, half of them of one person; no two folds share a person.
    fars : tuple of float
        At which everything is scored, where there are impostor pairs enough.
    far : float
        One of them: that of the score and of the check for networks trained on drawn people.
    cleaning_people, cleaning_images : int
        Of the drawn cleaning task.
    planted : mapping from str to PlantedTask
    """

    version: int
    seed: int
    adults: int
    children: int
    images: int
    masked: int
    altered: int
    styled: int
    noise: tuple[float, ...]
    blur: tuple[float, ...]
    pairs: int
    folds: int
    fars: tuple[float, ...]
    far: float
    cleaning_people: int
    cleaning_images: int
    planted: Mapping[str, PlantedTask]


PRESETS: Mapping[str, BenchmarkSpec] = {
    "drawn-mfr-v1": BenchmarkSpec(
        version=1, seed=1, adults=160, children=40, images=8, masked=4, altered=2, styled=3, noise=(12.0, 25.0),
        blur=(1.0, 2.0), pairs=3000, folds=10, fars=(1e-2, 1e-3, 1e-4), far=1e-2, cleaning_people=120,
        cleaning_images=10,
        planted={
            "planted-strong": PlantedTask(400, 12, 0.2, False),
            "planted-weak": PlantedTask(400, 12, 0.2, True),
            "planted-noisy": PlantedTask(400, 12, 0.4, False),
        },
    ),
    "drawn-tiny": BenchmarkSpec(
        version=1, seed=2, adults=4, children=2, images=2, masked=1, altered=1, styled=2, noise=(25.0,), blur=(2.0,),
        pairs=8, folds=2, fars=(1e-1, 5e-2), far=1e-1, cleaning_people=2, cleaning_images=3,
        planted={"planted-strong": PlantedTask(6, 4, 0.2, False)},
    ),
}  # fmt: skip
"""``drawn-tiny`` is for trying the commands: its figures say nothing."""


class Published(NamedTuple):
    """What a benchmark is called, and digest and sketch of its pictures where they were made first."""

    name: str
    content: str
    sketch: tuple[float, ...]


PUBLISHED: Mapping[str, Published] = {
    "drawn-mfr-v1": Published(
        "drawn-mfr-v1-55e9a2d199c99290",
        "9770bdbabb9b2000eb111f02b3abee11",
        (-230.561, 160.124, -112.121, 222.829, 152.843, -162.254, 116.269, 63.626, 151.399, -137.053,
         71.105, -257.949, 160.523, -81.465, -53.304, 70.633, 140.633, 221.218, 88.507, -2.37,
         62.349, -163.74, 203.849, -140.544, -3.137, 5.004, -32.418, 86.008, -230.971, -219.97,
         180.451, 242.829),
    ),
}  # fmt: skip
"""By preset."""
