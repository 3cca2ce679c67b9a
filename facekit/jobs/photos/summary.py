"""What a job over photographs did, counted from the ledger it left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.jobs.photos.plan import CONTACT, LEDGER, PhotosPlan
from facekit.records.distinct import distinct_of
from facekit.run.parquet import parquet_batches

__all__ = ["PhotosSummary", "summarise"]


@dataclass(frozen=True)
class PhotosSummary:
    """The result of ``facekit mask --photos``.

    Attributes
    ----------
    destination, ledger : str
    contact : str or None
        Where the contact sheet lies; none where nothing was masked.
    pictures, changed : int
        Photographs, and how many of them have a masked face now; the others are byte for byte as they were.
    faces, masked, bare : int
        Faces found, masked, and left bare because they were not chosen.
    without_face : int
        Photographs in which none was found.
    by_type, refused, errors : dict from str to int
        Masked faces by type; faces that could not be masked by the reason of the gate; photographs that could not be
        opened by what went wrong.
    others : dict from str to int
        Files that are no pictures by their names and are not in the output, by suffix.
    seconds, pictures_per_second : float
        Of this run; what an earlier one had finished is not counted.
    """

    destination: str
    ledger: str
    contact: str | None
    pictures: int
    changed: int
    faces: int
    masked: int
    bare: int
    without_face: int
    by_type: dict[str, int]
    refused: dict[str, int]
    errors: dict[str, int]
    others: dict[str, int]
    seconds: float
    pictures_per_second: float


def summarise(destination: Path, plan: PhotosPlan, done: int, seconds: float) -> PhotosSummary:
    """Count the ledger of a finished job; ``done`` photographs took ``seconds``."""
    counts, changed = Counter[tuple[str, str | None]](), list[npt.NDArray[np.int64]]()
    for batch in parquet_batches(destination / LEDGER, ["key", "action", "type", "reason"]):
        actions, types, reasons = (batch[name].to_pylist() for name in ("action", "type", "reason"))
        counts.update(zip(actions, (t or r for t, r in zip(types, reasons, strict=True)), strict=True))
        changed.append(batch["key"].to_numpy()[[action == "mask" for action in actions]])
    types, refused, errors = (_of(counts, action) for action in ("mask", "refused", "error"))
    contact, bare = destination / CONTACT, sum(_of(counts, "bare").values())
    return PhotosSummary(
        destination=str(destination),
        ledger=str(destination / LEDGER),
        contact=str(contact) if contact.exists() else None,
        pictures=len(plan.files),
        changed=len(distinct_of(changed)),
        faces=sum(types.values()) + sum(refused.values()) + bare,
        masked=sum(types.values()),
        bare=bare,
        without_face=sum(_of(counts, "none").values()),
        by_type=types,
        refused=refused,
        errors=errors,
        others=plan.others,
        seconds=seconds,
        pictures_per_second=done / seconds,
    )


def _of(counts: Counter[tuple[str, str | None]], action: str) -> dict[str, int]:
    """The counts of one action, the largest first."""
    return {str(name): count for (what, name), count in counts.most_common() if what == action}
