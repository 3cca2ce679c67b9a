"""Decisions -> rows of a table: what the pack adds, what a person says, and how much there is of what."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

import facekit
from facekit.clean.decisions import REASONS, Action, Decisions, Reason
from facekit.clean.overrides import OverrideArrays, override, renumber
from facekit.jobs.clean.config import CleanSummary
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.inputs.source import Source
from facekit.jobs.outputs.payload_hashes import hash_payloads
from facekit.records.distinct import blocks, count_codes, distinct, distinct_of

__all__ = ["override_table", "summarise", "tabulate"]

_CLUSTERS = ("in its largest cluster", "in another cluster", "in no cluster")
"""By `Decisions.cluster`; -1 takes the last."""


def tabulate(decisions: Decisions, source: Source, model: str, round_number: int) -> DecisionTable:
    """Add what only the pack knows: keys and payload hashes.

    Parameters
    ----------
    decisions : Decisions
        Of the N images of the source.
    source : Source
    model : str
        Hash of what made the vectors.
    round_number : int
    """
    about = {
        "facekit": facekit.__version__,
        "source": {"layout": source.layout, "content": source.content, "images": len(source)},
        "model": model,
        "settings": decisions.settings,
    }
    codes, sentences = _evidence(decisions)
    return DecisionTable(
        keys=source.keys,
        payload_hash=hash_payloads(source),
        old_label=decisions.old_label,
        new_label=decisions.new_label,
        action_code=decisions.action_code,
        reason_code=decisions.reason_code,
        similarity=decisions.similarity,
        threshold=decisions.threshold,
        nearest=decisions.nearest,
        cluster=decisions.cluster,
        round=np.broadcast_to(np.int32(round_number), len(source)),
        evidence_code=codes,
        sentences=sentences,
        about=about,
    )


def _evidence(decisions: Decisions) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Say of each face which centre decided, and whether the face is in its identity's own cluster."""

    def combined(part: slice) -> npt.NDArray[np.int64]:
        centre = decisions.nearest[part].astype(np.int64)
        return np.asarray(centre * len(_CLUSTERS) + decisions.cluster[part] % len(_CLUSTERS))

    found = distinct_of(combined(part) for part in blocks(len(decisions)))
    codes = np.empty(len(decisions), np.int32)
    for part in blocks(len(decisions)):
        codes[part] = np.searchsorted(found, combined(part))
    sentences = tuple(
        f"{f'centre of label {label}' if label >= 0 else 'a new identity'}; {_CLUSTERS[cluster]}"
        for label, cluster in zip(*(part.tolist() for part in np.divmod(found, len(_CLUSTERS))), strict=True)
    )
    return codes, sentences


def override_table(table: DecisionTable, given: OverrideArrays) -> DecisionTable:
    """Apply what a person decided, and number the labels through.

    Parameters
    ----------
    table : DecisionTable
    given : OverrideArrays

    Raises
    ------
    FacekitError
        A key or label that the decisions do not know.
    """
    if not any(map(len, given)):
        return dataclasses.replace(table, new_label=renumber(table.new_label))
    found = override(given, table.keys, table.old_label, table.action_code, table.reason_code, table.new_label)
    changed = dataclasses.replace(
        table, action_code=found.action_code, reason_code=found.reason_code, new_label=renumber(found.new_label)
    )
    return changed.explained(found.reason_code == Reason.OVERRIDE, ["a person decided"])


def summarise(destination: str, table: DecisionTable, seconds: float) -> CleanSummary:
    """Count what happened.

    Parameters
    ----------
    destination : str
    table : DecisionTable
    seconds : float
        That it took.
    """
    kept, moved, dropped, review = count_codes(table.action_code, len(Action)).tolist()
    counts = count_codes(table.reason_code, len(Reason)).tolist()
    images, classes = int(np.count_nonzero(table.new_label >= 0)), int(table.new_label.max(initial=-1)) + 1
    return CleanSummary(
        destination=destination,
        images=len(table),
        identities=len(distinct(table.old_label)),
        kept=kept,
        moved=moved,
        dropped=dropped,
        review=review,
        reasons={reason: count for reason, count in zip(REASONS, counts, strict=True) if count},
        images_out=images,
        identities_out=int((distinct(table.new_label) >= 0).sum()),
        settings=dict(table.about.get("settings", {})),
        config=f"config.num_classes = {classes}\nconfig.num_image = {images}",
        seconds=seconds,
    )
