"""What a worker does with one shard of a benchmark: planned pictures in; framed records and rows of the ledger out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from facekit.images import encode_jpeg
from facekit.jobs.benchmark.plan import (
    BARE,
    MASKED,
    BenchmarkPlan,
    Slot,
    alteration_rng,
    benchmark_seed,
    make_plan,
    person_of,
    sample_mask,
)
from facekit.jobs.benchmark.presets import BenchmarkSpec
from facekit.jobs.synth.shard import SynthTask
from facekit.masks import render_worn
from facekit.records import Header, pack_record
from facekit.records.framing import frame
from facekit.run.ledger import LedgerRow, payload_hash, table
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard
from facekit.synth import CaptureParams, DrawnFace, Person, build_person, sample_capture
from facekit.synth.picture import render
from facekit.synth.restyle import recolour, relight, retexture

__all__ = ["draw_faces", "start_drawing"]


class Easel(NamedTuple):
    """What the pictures of one person are drawn from."""

    seed: int
    number: int
    person: Person
    bare: dict[int, tuple[DrawnFace, CaptureParams]]
    """By image; each is rendered once."""

    def drawn(self, image: int) -> tuple[DrawnFace, CaptureParams]:
        """A bare picture before compression."""
        if image not in self.bare:
            capture = sample_capture(self.seed, self.number, image)
            self.bare[image] = (render(self.person, capture), capture)
        return self.bare[image]


class Altered(NamedTuple):
    """A picture before compression, the JPEG quality it gets, and the mask it wears."""

    image: npt.NDArray[np.uint8]
    quality: int
    mask: str | None = None
    params: str | None = None


def start_drawing(spec: BenchmarkSpec) -> Callable[[SynthTask], Shard]:
    """Plan once, and return what is done with a task."""
    cv2.setNumThreads(1)
    plan = make_plan(spec)

    def work(task: SynthTask) -> Shard:
        with ShardWriter(task.path) as out:
            rows, offsets = [], []
            for position, altered in draw_faces(spec, plan, task.shard.first, task.shard.stop):
                payload = encode_jpeg(altered.image, altered.quality)
                header = Header(0, float(plan.person[position]), position, 0)
                offsets.append(out.write(frame(pack_record(header, payload))))
                rows.append(_row(plan, position, altered, payload))
            out.finish(table(rows).append_column("offset", [offsets]))
        return task.shard

    return work


def _row(plan: BenchmarkPlan, position: int, altered: Altered, payload: bytes) -> LedgerRow:
    slot, source = plan.slots[plan.slot[position]], int(plan.source[position])
    about = {"person": int(plan.person[position]), "image": slot.image, "role": slot.role}
    params, action = altered.params or json.dumps(about), "mask" if altered.mask else "draw"
    return LedgerRow(None, source, payload_hash(payload), action, altered.mask, params)


def draw_faces(spec: BenchmarkSpec, plan: BenchmarkPlan, first: int, stop: int) -> list[tuple[int, Altered]]:
    """Draw a stretch of the pictures of a plan; a person's are drawn one after another.

    Parameters
    ----------
    spec : BenchmarkSpec
    plan : BenchmarkPlan
        Of the spec.
    first, stop : int
        Positions, ``stop`` excluded.

    Returns
    -------
    list of (int, Altered)
        Position and picture.
    """
    found, easel, seed = [], None, benchmark_seed(spec)
    for position in range(first, stop):
        number = int(plan.person[position])
        if easel is None or easel.number != number:
            easel = Easel(seed, number, build_person(person_of(spec, number)), {})
        rng = alteration_rng(spec, position)
        found.append((position, alter(easel, plan.slots[plan.slot[position]], rng)))
    return found


def alter(easel: Easel, slot: Slot, rng: np.random.Generator) -> Altered:
    """Draw one picture of a person."""
    drawn, capture = easel.drawn(slot.image)
    image, quality, kind = drawn.image, capture.quality, slot.role.rpartition(" ")[0]
    if slot.role == BARE:
        return Altered(image, quality)
    if slot.role == MASKED:
        params = sample_mask(rng)
        worn = render_worn(image, drawn.vertices, params)
        return Altered(worn.image, quality, params.type, worn.params.to_json())
    if kind == "noise":
        noisy = image + slot.level * rng.standard_normal(image.shape, dtype=np.float32)
        return Altered(np.asarray((noisy + 0.5).clip(0, 255), np.uint8), quality)
    if kind == "blur":
        return Altered(np.asarray(cv2.GaussianBlur(image, (0, 0), slot.level), np.uint8), quality)
    if slot.role == "restyled light":
        return Altered(render(easel.person, relight(capture, rng)).image, quality)
    return Altered({"restyled colour": recolour, "restyled texture": retexture}[slot.role](image, rng), quality)
