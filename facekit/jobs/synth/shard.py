"""What a worker does with one shard of a drawing job: planned records in; framed records and rows of truth out."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from facekit.images import encode_jpeg
from facekit.jobs.synth.config import SynthConfig
from facekit.records import Header, pack_record
from facekit.records.framing import frame
from facekit.run.ledger import LedgerRow, payload_hash, table
from facekit.run.shard_file import ShardWriter
from facekit.run.shards import Shard
from facekit.synth import DrawnFace, Person, build_person, sample_capture, sample_identity
from facekit.synth.picture import render
from facekit.synth.plan import PlannedRecord, make_roster, plan_records
from facekit.synth.sampling import degrade, near_duplicate

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TRUTH_VERTICES", "SynthTask", "SynthWorker", "WearMask", "start_worker"]

TRUTH_VERTICES = 3 * 468
_ALTERATIONS = 7
"""Tag of the random stream that alters a sampled capture; :mod:`facekit.synth.plan` has the others."""


class WearMask(Protocol):
    """Puts a mask on a drawn face: picture, vertices, generator -> picture, mask type, parameters as JSON."""

    def __call__(
        self, image: NDArray[np.uint8], vertices: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], str, str]: ...


class SynthWorker(NamedTuple):
    """What every worker of a job is given."""

    config: SynthConfig
    wear: Callable[[], WearMask]


class SynthTask(NamedTuple):
    """One shard and where its result goes."""

    shard: Shard
    path: Path

    def __repr__(self) -> str:
        return f"shard {self.shard.number} (records {self.shard.first} to {self.shard.stop})"


class DrawnRecord(NamedTuple):
    """A record that was drawn, its entry in the ledger and what is true of it."""

    payload: bytes
    row: LedgerRow
    plan: PlannedRecord
    drawn: DrawnFace
    mask: str | None


def start_worker(worker: SynthWorker) -> Callable[[SynthTask], Shard]:
    """Plan the labels once, and return what is done with a task."""
    import cv2

    cv2.setNumThreads(1)
    spec = worker.config.spec
    roster = make_roster(spec)
    wear = worker.wear() if spec.masked else None

    @lru_cache(maxsize=2)
    def person(identity: int) -> Person:
        return build_person(sample_identity(spec.seed, identity))

    def work(task: SynthTask) -> Shard:
        with ShardWriter(task.path) as out:
            rows = ShardRows()
            for plan in plan_records(spec, roster, task.shard.first, task.shard.stop):
                # A stranger's one picture must not push out the person whose label this is.
                build = person if plan.identity == roster.person[plan.label] else person.__wrapped__
                made = draw_record(plan, spec.seed, build(plan.identity), wear)
                header = Header(0, float(plan.label), plan.position, 0)
                rows.append(made, out.write(frame(pack_record(header, made.payload))))
            out.finish(rows.table())
        return task.shard

    return work


def draw_record(plan: PlannedRecord, seed: int, person: Person, wear: WearMask | None) -> DrawnRecord:
    """Draw a planned record."""
    capture = sample_capture(seed, plan.identity, plan.image)
    rng = np.random.default_rng([_ALTERATIONS, seed, plan.position])
    if plan.kind == "near_duplicate":
        capture = near_duplicate(capture, rng)
    if plan.kind == "low_quality":
        capture = degrade(capture, rng)
    drawn, mask = render(person, capture), None
    params = json.dumps({"identity": plan.identity, "image": plan.image, "kind": plan.kind})
    if plan.kind == "masked" and wear is not None:
        image, mask, params = wear(drawn.image, drawn.vertices, rng)
        drawn = drawn._replace(image=image)
    payload = encode_jpeg(drawn.image, capture.quality)
    action = "mask" if mask else "draw"
    return DrawnRecord(payload, LedgerRow(None, None, payload_hash(payload), action, mask, params), plan, drawn, mask)


class ShardRows:
    """The rows of a shard: ledger columns, columns of the truth, and where each record starts."""

    def __init__(self) -> None:
        self._rows: list[LedgerRow] = []
        self._made: list[tuple[PlannedRecord, DrawnFace, str | None]] = []
        self._offsets: list[int] = []

    def append(self, made: DrawnRecord, offset: int) -> None:
        """Add a record that was written at an offset of the shard."""
        self._rows.append(made.row)
        self._made.append((made.plan, made.drawn._replace(image=np.empty(0, np.uint8)), made.mask))
        self._offsets.append(offset)

    def table(self) -> pa.Table:
        """Everything as an Arrow table."""
        import pyarrow as pa

        rows = table(self._rows).append_column("offset", pa.array(self._offsets, pa.int64()))
        plans, drawn, masks = zip(*self._made, strict=True)
        for name in ("position", "label", "canonical_label", "identity", "image", "source"):
            rows = rows.append_column(name, pa.array([getattr(p, name) for p in plans], pa.int64()))
        rows = rows.append_column("kind", pa.array([p.kind for p in plans], pa.string()))
        rows = rows.append_column("mask", pa.array(masks, pa.string()))
        for name in ("yaw", "pitch", "roll"):
            rows = rows.append_column(name, pa.array([getattr(d.truth, name) for d in drawn], pa.float32()))
        rows = rows.append_column("light", _vectors([d.truth.light for d in drawn], 3))
        rows = rows.append_column("expression", _vectors([d.truth.expression for d in drawn], 7))
        return rows.append_column("mesh", _vectors([d.vertices.ravel() for d in drawn], TRUTH_VERTICES))


def _vectors(values: list[tuple[float, ...]] | list[NDArray[np.float32]], length: int) -> pa.Array:
    import pyarrow as pa

    flat = np.asarray(values, np.float32).ravel()
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), length)
