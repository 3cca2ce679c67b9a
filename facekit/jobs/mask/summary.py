"""What a masking job did, counted from the ledger it left."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from facekit.jobs.inputs.ledger import count_outcomes
from facekit.jobs.mask.plan import MaskPlan
from facekit.jobs.mask.sheet import original
from facekit.run.ledger import LEDGER
from facekit.run.parquet import read_parquet

__all__ = ["MaskSummary", "summarise"]


@dataclass(frozen=True)
class MaskSummary:
    """The result of ``facekit mask``.

    Attributes
    ----------
    destination, ledger : str
        Where the pack and its ledger lie.
    contact : str or None
        Where the contact sheet lies; none where nothing was masked.
    layout : str
    source_images, images, identities, masked : int
        Pictures of the source and of the output, identities (classes) and how many pictures are masked.
    already_masked : int
        Those among the masked that came so, by the source's ledger.
    wanted : int
        Masked pictures asked for; with ``already_masked``, ``masked``, ``refused`` and ``errors`` add up to it.
    ratio : float
        Masked pictures / all pictures.
    by_type, refused, errors : dict from str to int
        Masked pictures by type; those that could not be, by the reason of the gate or by what went wrong.
    bytes : int
        Size of ``train.rec``.
    seconds, images_per_second : float
        Of this run; what an earlier one had finished is not counted.
    unaligned : int
        Where most of the chosen were refused: how many of a few of them that were looked at are no aligned crops; 0
        where it is not most of these.
    one_identity : bool
        The source is a folder of pictures without folders of people.
    """

    destination: str
    ledger: str
    contact: str | None
    layout: str
    source_images: int
    images: int
    identities: int
    masked: int
    already_masked: int
    wanted: int
    ratio: float
    by_type: dict[str, int]
    refused: dict[str, int]
    errors: dict[str, int]
    bytes: int
    seconds: float
    images_per_second: float
    unaligned: int = 0
    one_identity: bool = False


LOOKED_AT = 8
"""Refused pictures in which faces are looked for."""


def summarise(destination: Path, plan: MaskPlan, done: int, seconds: float) -> MaskSummary:
    """Count the ledger of a finished job; ``done`` records took ``seconds``."""
    import numpy as np

    counts: Counter[tuple[str | None, str | None]] = Counter()
    for (action, type, reason, _), count in count_outcomes(destination / LEDGER, "action", "type", "reason").items():
        counts[action, type or reason] += count
    types, refused, errors = (counts_of(counts, action) for action in ("mask", "refused", "error"))
    masked = sum(types.values())
    images = plan.pictures + (masked - plan.already_masked if plan.adds else 0)
    contact = destination / "contact.png"
    return MaskSummary(
        destination=str(destination),
        ledger=str(destination / LEDGER),
        contact=str(contact) if contact.exists() else None,
        layout=plan.layout,
        source_images=plan.pictures,
        images=images,
        identities=len(np.unique(plan.source.labels[plan.source.pictures])),
        masked=masked,
        already_masked=plan.already_masked,
        wanted=plan.wanted,
        ratio=masked / images,
        by_type=types,
        refused=refused,
        errors=errors,
        bytes=(destination / "train.rec").stat().st_size,
        seconds=seconds,
        images_per_second=done / seconds,
        unaligned=count_unaligned(destination, plan) if 2 * sum(refused.values()) > plan.wanted else 0,
        one_identity=bool(plan.source.files) and images > 1 and not any(os.sep in name for name in plan.source.files),
    )


def count_unaligned(destination: Path, plan: MaskPlan) -> int:
    """Of the first refused pictures, those that are photographs: their faces lie elsewhere than those of crops."""
    import pyarrow.compute as pc

    from facekit.masks.wear import unaligned

    rows = read_parquet(destination / LEDGER, ["source_key", "action"])
    keys = rows.filter(pc.equal(rows["action"], "refused"))["source_key"].unique()[:LOOKED_AT].to_pylist()
    found = sum(bool(unaligned(original(plan.source, key))) for key in keys)
    return found if 2 * found > len(keys) else 0


def counts_of(counts: Counter[tuple[str | None, str | None]], action: str) -> dict[str, int]:
    """The counts of one action, the largest first."""
    return {str(name): count for (what, name), count in counts.most_common() if what == action}
