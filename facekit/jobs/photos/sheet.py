"""Which faces the contact sheet of a job over photographs shows."""

from __future__ import annotations

import heapq
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.images import open_picture_file
from facekit.jobs.photos.plan import PhotosPlan

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FaceSample", "draw_sheet"]

PAIRS_A_TYPE = 8
AROUND = 0.5
"""Of a box's longer side: what is shown around it."""


class Candidate(NamedTuple):
    """A masked face that may be shown; the smallest hashes are."""

    hash: bytes
    face: int
    key: int
    box: list[float]


class FaceSample:
    """For each type the masked faces of the files with the smallest hashes: a fair choice, and always the same one."""

    def __init__(self) -> None:
        self.types: dict[str, list[Candidate]] = {}

    def take(self, entries: pa.Table) -> None:
        """Consider the rows of a shard."""
        columns = (entries[name].to_pylist() for name in ("payload_hash", "face", "key", "box", "type"))
        for hash, face, key, box, type in zip(*columns, strict=True):
            if type is not None:
                shown = self.types.setdefault(type, [])
                shown[:] = heapq.nsmallest(PAIRS_A_TYPE, [*shown, Candidate(hash, face, key, box)])


def draw_sheet(plan: PhotosPlan, sample: FaceSample, folder: Path, path: Path) -> None:
    """Draw what was sampled, each beside the face as it was; nothing where nothing was masked."""
    from facekit.report.contact import Pair, contact_sheet

    groups = {
        type: [Pair(*before_and_after(plan, folder, face), f"{face.key}, face {face.face}") for face in shown]
        for type, shown in sorted(sample.types.items())
    }
    if groups:
        path.write_bytes(contact_sheet(groups))


def before_and_after(
    plan: PhotosPlan, folder: Path, face: Candidate
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The part around the face of the source's photograph and of the output's."""
    name = plan.files[face.key - 1]
    photos = (open_picture_file(Path(root, name).read_bytes()).image for root in (plan.root, folder))
    left, top, right, bottom = face.box
    reach = AROUND * max(right - left, bottom - top)
    rows = slice(max(math.floor(top - reach), 0), math.ceil(bottom + reach))
    columns = slice(max(math.floor(left - reach), 0), math.ceil(right + reach))
    before, after = (photo[rows, columns] for photo in photos)
    return before, after
