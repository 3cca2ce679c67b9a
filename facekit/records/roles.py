"""The records of a file -> what they mean together, and what contradicts: header, identity ranges, labels, property."""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.records.distinct import ascends, blocks, distinct_of
from facekit.records.findings import Findings
from facekit.records.label_sidecar import labels_path, load_labels
from facekit.records.layout import EXACT_FLOAT32, whole_labels
from facekit.records.structure import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RecordRoles", "check_kept_labels", "read_property", "read_roles"]


class RecordRoles(NamedTuple):
    """What the records are.

    Attributes
    ----------
    layout : str
        ``insightface`` or ``flat``.
    images : (N,) bool
        Records whose header can be read and that are no dataset header and no identity.
    sound : (N,) bool
        Images with a payload and a label that is a whole number from 0 on: those that can be saved.
    labels : (N,) int64
        -1 where not sound.
    """

    layout: str
    images: NDArray[np.bool_]
    sound: NDArray[np.bool_]
    labels: NDArray[np.int64]


def read_roles(records: Structure, property_path: Path, found: Findings) -> RecordRoles:
    """Say what the records are, and note what contradicts.

    Parameters
    ----------
    records : Structure
    property_path : Path
        May be missing.
    found : Findings
        Takes what contradicts.

    Returns
    -------
    RecordRoles
    """
    readable = records.payload_bytes >= 0
    empty_pair = readable & (records.flag == 2) & (records.payload_bytes == 0)
    head = empty_pair & (records.keys == 0) & (records.label > 1) & (records.second >= records.label)
    head &= np.isfinite(records.second)
    identities = empty_pair & ~head
    layout = "insightface" if head.any() or identities.any() else "flat"
    images = readable & ~head & ~identities
    sound, labels = _check_images(records, images, found)
    if head.any():
        _check_head(records, int(head.argmax()), images, identities, found)
    elif identities.any():
        found.add("header_missing", f"{int(identities.sum())} identity records and no record 0 that says so", 0)
    if layout == "insightface" and len(records.keys) <= EXACT_FLOAT32:
        _check_ranges(records, images, identities, labels, found)
    _check_labels(records, sound, labels, property_path, found)
    return RecordRoles(layout, images, sound, labels)


def _check_images(
    records: Structure, images: NDArray[np.bool_], found: Findings
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    empty = images & (records.payload_bytes == 0)
    found.add_rows("empty_payload", "an image without a payload", empty, records.keys, records.offsets)
    value, whole = records.label, np.empty(len(images), np.bool_)
    for part in blocks(len(images)):
        whole[part] = whole_labels(value[part]) & (value[part] >= 0)
    for row in np.flatnonzero(images & ~whole)[:1000].tolist():
        found.add(
            "label_not_whole",
            f"the label {value[row]} is not a whole number from 0 on",
            records.keys[row],
            records.offsets[row],
        )
    found.counts["label_not_whole"] += max(int((images & ~whole).sum()) - 1000, 0)
    found.counts += type(found.counts)()  # without zeros
    sound = images & whole & ~empty
    labels = np.empty(len(images), np.int64)
    for part in blocks(len(images)):
        labels[part] = np.where(sound[part], value[part], np.float32(-1))
    return sound, labels


def _check_head(
    records: Structure, row: int, images: NDArray[np.bool_], identities: NDArray[np.bool_], found: Findings
) -> None:
    """Record 0 says [N + 1, N + 1 + M]; above 2**24 these are rounded, which is no fault of the pack."""
    first, second = int(records.label[row]), int(records.second[row])
    known = records.keys >= 0
    lost = records.lost
    count = int((images & known).sum()) + int(((lost >= 1) & (lost < first)).sum())
    groups = int((identities & known).sum()) + int(((lost >= first) & (lost < second)).sum())
    if first > EXACT_FLOAT32:
        if np.float32(count + 1) != records.label[row]:
            found.add("header_record", f"it says about {first - 1} images, {count} are there", 0, records.offsets[row])
        return
    if (count, groups) != (first - 1, second - first):
        problem = f"it declares {first - 1} images and {second - first} identities; {count} and {groups} are there"
        found.add("header_record", problem, 0, records.offsets[row])
    outside = known & (
        (images & ((records.keys < 1) | (records.keys >= first))) | (identities & (records.keys < first))
    )
    outside |= known & identities & (records.keys >= second)
    found.add_rows(
        "key_range", f"record 0 says that images have keys 1 to {first - 1} and identities {first} to {second - 1}",
        outside, records.keys, records.offsets,
    )  # fmt: skip


def _check_ranges(
    records: Structure,
    images: NDArray[np.bool_],
    identities: NDArray[np.bool_],
    labels: NDArray[np.int64],
    found: Findings,
) -> None:
    rows = np.flatnonzero(images & (records.keys >= 0))
    keys = records.keys[rows]
    if not ascends(keys):
        order = np.argsort(keys, kind="stable")
        rows, keys = rows[order], keys[order]
        del order
    ranges = np.flatnonzero(identities)
    ranges = ranges[np.argsort(records.keys[ranges], kind="stable")]
    pairs = np.stack([records.label[ranges], records.second[ranges]], axis=1).astype(np.float64)
    proper = np.isfinite(pairs).all(axis=1) & (pairs[:, 0] < pairs[:, 1]) & (pairs >= 1).all(axis=1)
    proper &= (pairs < EXACT_FLOAT32 + 2).all(axis=1) & (np.where(np.isfinite(pairs), pairs, 0) % 1 == 0).all(axis=1)
    bounds = np.where(proper[:, None], pairs, 1).astype(np.int64)
    at, to = np.searchsorted(keys, bounds[:, 0]), np.searchsorted(keys, bounds[:, 1])
    runs = _run_numbers(labels, rows)
    held = proper & (to > at)
    complete = held & (to - at == bounds[:, 1] - bounds[:, 0])
    single = held.copy()
    single[held] = runs[at[held]] == runs[to[held] - 1]
    for row in np.flatnonzero(~(complete & single))[:1000].tolist():
        _report_range(records, int(ranges[row]), bool(proper[row]), bool(complete[row]), found)
    found.counts["identity_range"] += max(int((~(complete & single)).sum()) - 1000, 0)
    found.counts += type(found.counts)()
    del runs
    cover = np.zeros(len(keys) + 1, np.int32)
    np.add.at(cover, at[held], 1)
    np.add.at(cover, to[held], -1)
    times = np.cumsum(cover[:-1], dtype=np.int32, out=cover[:-1])
    for wrong, problem in ((times < 1, "no identity's range has this image"), (times > 1, "two identities have it")):
        if wrong.any():
            found.add_rows("identity_missing", problem, wrong, keys, records.offsets[rows])


def _run_numbers(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """(n,) int32: the number of the run of equal labels that each of some rows is in; (1,) where there are none."""
    runs = np.zeros(max(len(rows), 1), np.int32)
    for part in blocks(len(rows) - 1):
        runs[part.start + 1 : part.stop + 1] = labels[rows[part.start + 1 : part.stop + 1]] != labels[rows[part]]
    return np.cumsum(runs, dtype=np.int32, out=runs)


def _report_range(records: Structure, row: int, proper: bool, complete: bool, found: Findings) -> None:
    span = f"[{records.label[row]:.9g}, {records.second[row]:.9g})"
    if not proper:
        problem = f"{span} is no range of keys"
    else:
        problem = f"the images of {span} have several labels" if complete else f"not all keys of {span} are images"
    found.add("identity_range", problem, records.keys[row], records.offsets[row])


def _check_labels(
    records: Structure, sound: NDArray[np.bool_], labels: NDArray[np.int64], property_path: Path, found: Findings
) -> None:
    rounded = sound & (labels > EXACT_FLOAT32)
    found.add_rows("label_rounded", "a label above 2**24 may be another number", rounded, records.keys, records.offsets)
    known = distinct_of(labels[part][sound[part]] for part in blocks(len(labels)))
    classes = int(known[-1]) + 1 if len(known) else 0
    if classes > len(known):
        edges = np.concatenate([[-1], known])
        after = np.flatnonzero(np.diff(edges) > 1)
        spans = [(int(edges[row]) + 1, int(edges[row + 1]) - 1) for row in after[:10].tolist()]
        shown = ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in spans)
        more = " and others" if len(after) > 10 else ""
        found.add("label_gap", f"{classes - len(known)} of {classes} labels have no image: {shown}{more}")
    _check_property(records, sound, labels, classes, property_path, found)


def check_kept_labels(rec: Path, idx: Path, records: Structure, roles: RecordRoles, found: Findings) -> None:
    """Note where the labels that are kept beside a pack, and pass for it, are not those of its records.

    Parameters
    ----------
    rec, idx : Path
    records : Structure
    roles : RecordRoles
    found : Findings
        Takes the differences.
    """
    kept = load_labels(rec, idx)
    if kept is None:
        return
    rows = np.flatnonzero(roles.images & (records.keys >= 0))
    if len(kept) != len(rows):
        found.add("label_stale", f"{labels_path(rec).name} has {len(kept)} labels for {len(rows)} images: delete it")
        return
    wrong = np.zeros(len(records.keys), np.bool_)
    for part in blocks(len(rows)):
        wrong[rows[part]] = kept[part] != records.label[rows[part]]
    problem = f"{labels_path(rec).name} says another label than the record: delete it"
    found.add_rows("label_stale", problem, wrong, records.keys, records.offsets)


def read_property(path: Path) -> tuple[int, int, int] | None:
    """``NUM_CLASSES, H, W`` of the first line, or None where it does not say so.

    Parameters
    ----------
    path : Path
        InsightFace's ``property``.

    Returns
    -------
    (int, int, int) or None
        Number of classes, height and width in pixels.
    """
    try:
        line = path.read_bytes()[:200].removeprefix(BOM_UTF8).split(b"\n")[0]
        classes, height, width = (int(word) for word in line.split(b","))
    except (OSError, ValueError):
        return None
    return classes, height, width


def _check_property(
    records: Structure,
    sound: NDArray[np.bool_],
    labels: NDArray[np.int64],
    classes: int,
    path: Path,
    found: Findings,
) -> None:
    if not path.exists():
        return
    declared = read_property(path)
    if declared is None or min(declared) < 0:
        found.add("property", f"{path.name} is not one line NUM_CLASSES,H,W")
    elif classes > declared[0]:
        beyond = sound & (labels >= declared[0])
        found.add_rows(
            "label_range", f"{path.name} declares {declared[0]} classes", beyond, records.keys, records.offsets
        )  # fmt: skip
    elif classes < declared[0]:
        found.add("property", f"{path.name} declares {declared[0]} classes, the largest label is {classes - 1}")
