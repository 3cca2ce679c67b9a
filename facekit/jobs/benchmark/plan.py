"""Every picture of a benchmark before anything is drawn: whom it shows, what it is for, from which it is made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.jobs.benchmark.presets import BenchmarkSpec
from facekit.jobs.packs.pair_lists import RowPairs, draw_pairs
from facekit.masks import TYPES, MaskOptions, MaskParams, sample_params
from facekit.synth.children import as_child
from facekit.synth.plan import BENCHMARK_SEEDS, PackSpec, make_roster
from facekit.synth.sampling import Identity, sample_capture, sample_identity

__all__ = [
    "BARE",
    "MASKED",
    "STYLES",
    "BenchmarkPlan",
    "Slot",
    "age_group",
    "alteration_rng",
    "benchmark_seed",
    "cleaning_pack",
    "list_pairs",
    "make_plan",
    "name_of",
    "person_of",
    "sample_mask",
    "skin_group",
]

BARE, MASKED = "bare", "masked"
STYLES = ("restyled light", "restyled colour", "restyled texture")
CHILD, ALTERATIONS = 10, 11
"""Tags of the random streams that make children and alter pictures; `facekit.synth.plan` and its neighbours have the
others."""


class Slot(NamedTuple):
    """One picture of everybody's.

    Attributes
    ----------
    role : str
        ``bare``, ``masked``, ``noise 12``, ``blur 1``, ``restyled light`` and so on.
    image : int
        Number of the bare picture of the person that it is, or is made from.
    level : float
        Of noise or blur; else 0.
    """

    role: str
    image: int
    level: float = 0.0


class BenchmarkPlan(NamedTuple):
    """All pictures, in order.

    Attributes
    ----------
    person : (N,) int64
        Adults first, then children; ascending.
    child : (N,) bool
    slot : (N,) int64
        Position in ``slots``.
    source : (N,) int64
        Position of the bare picture that it is made from; its own where it is bare.
    slots : tuple of Slot
    """

    person: npt.NDArray[np.int64]
    child: npt.NDArray[np.bool_]
    slot: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    slots: tuple[Slot, ...]

    @property
    def roles(self) -> npt.NDArray[np.str_]:
        """(N,) str."""
        return np.array([slot.role for slot in self.slots])[self.slot]

    @property
    def images(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""
        return np.array([slot.image for slot in self.slots])[self.slot]


def benchmark_seed(spec: BenchmarkSpec) -> int:
    """The seed that its people are drawn with; ``facekit synth`` refuses it."""
    return BENCHMARK_SEEDS + spec.seed


def make_plan(spec: BenchmarkSpec) -> BenchmarkPlan:
    """Plan the pictures of a benchmark.

    Parameters
    ----------
    spec : BenchmarkSpec

    Returns
    -------
    BenchmarkPlan
    """
    slots = _slots(spec)
    people = spec.adults + spec.children
    counts = np.where(np.arange(people) < spec.adults, len(slots), spec.images)
    person = np.repeat(np.arange(people), counts)
    starts = np.cumsum(counts) - counts
    slot = np.arange(len(person)) - starts[person]
    image = np.array([one.image for one in slots])[slot]
    return BenchmarkPlan(person, person >= spec.adults, slot, starts[person] + image, slots)


def _slots(spec: BenchmarkSpec) -> tuple[Slot, ...]:
    """The pictures of an adult; a child has the bare ones, which come first."""
    return (
        *(Slot(BARE, k) for k in range(spec.images)),
        *(Slot(MASKED, k) for k in range(spec.masked)),
        *(Slot(f"noise {level:g}", k, level) for level in spec.noise for k in range(spec.altered)),
        *(Slot(f"blur {level:g}", k, level) for level in spec.blur for k in range(spec.altered)),
        *(Slot(style, k) for style in STYLES for k in range(spec.styled)),
    )


def person_of(spec: BenchmarkSpec, number: int) -> Identity:
    """Sample a person of a benchmark."""
    seed = benchmark_seed(spec)
    identity = sample_identity(seed, number)
    return identity if number < spec.adults else as_child(identity, np.random.default_rng([CHILD, seed, number]))


def alteration_rng(spec: BenchmarkSpec, position: int) -> np.random.Generator:
    """The chance by which the picture at a position is made from a bare one."""
    return np.random.default_rng([ALTERATIONS, benchmark_seed(spec), position])


def sample_mask(rng: np.random.Generator) -> MaskParams:
    """Sample the mask that a picture wears."""
    return sample_params(rng, TYPES[int(rng.integers(len(TYPES)))], MaskOptions())


def skin_group(identity: Identity) -> str:
    """By pigment as drawn: light, medium or dark, a third of the people each."""
    return ("light", "medium", "dark")[min(int(3 * identity.melanin), 2)]


def age_group(identity: Identity) -> str:
    """By age as drawn: to 30, to 45, and older; nearly a third of the adults each. Children have none."""
    if identity.age < 18:
        return ""
    return ("18 to 30", "30 to 45", "over 45")[int(np.searchsorted([30, 45], identity.age, side="right"))]


def list_pairs(spec: BenchmarkSpec, plan: BenchmarkPlan) -> RowPairs:
    """The verification list: positions of bare pictures of adults, in folds that share no person."""
    return draw_pairs(np.where((plan.roles == BARE) & ~plan.child, plan.person, -1), spec.pairs, spec.folds, spec.seed)


def cleaning_pack(spec: BenchmarkSpec) -> PackSpec:
    """The drawn pack of the cleaning task."""
    return PackSpec(
        identities=spec.cleaning_people,
        images=spec.cleaning_images,
        sizes="long-tail",
        seed=benchmark_seed(spec) + MOST_SPECS,
        label_noise=0.12,
        outliers=0.06,
        near_duplicates=0.03,
        low_quality=0.05,
        duplicate_identities=0.06,
    )


MOST_SPECS = 1 << 40
"""Between the seed of the people that are recognized and that of those in the cleaning task."""


def name_of(preset: str, spec: BenchmarkSpec) -> str:
    """The benchmark's name: the preset, and a hash of its specification and of everything that was sampled for it.

    Sampled numbers enter with six digits, so the last bit of a library's logarithm does not decide a name; pixels do
    not enter, since their last level is another on another processor. Masks enter with the version of their
    parameters: masks of another version have other pixels.

    Parameters
    ----------
    preset : str
    spec : BenchmarkSpec

    Returns
    -------
    str
        Such as ``drawn-mfr-v1-0123456789abcdef``.
    """
    digest = hashlib.blake2b(json.dumps(asdict(spec), sort_keys=True).encode(), digest_size=8)
    plan, seed = make_plan(spec), benchmark_seed(spec)
    digest.update(list_pairs(spec, plan).rows.astype("<i8").tobytes())
    for number in range(spec.adults + spec.children):
        digest.update(_rounded(asdict(person_of(spec, number))))
        for image in range(spec.images):
            digest.update(_rounded(asdict(sample_capture(seed, number, image))))
    for position in np.flatnonzero(plan.roles == MASKED).tolist():
        digest.update(_rounded(asdict(sample_mask(alteration_rng(spec, position)))))
    digest.update(make_roster(cleaning_pack(spec)).starts.astype("<i8").tobytes())
    return f"{preset}-{digest.hexdigest()}"


def _rounded(values: dict[str, Any]) -> bytes:
    def six(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [six(one) for one in value]
        return f"{value:.6g}" if isinstance(value, float) else value

    return json.dumps({name: six(value) for name, value in values.items()}, sort_keys=True).encode()
