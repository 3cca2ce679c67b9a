"""Findings beside the method: faces that are in a test set, pictures that are there again, pictures of low quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import Action, Reason
from facekit.clean.pairs import Pairs, pairs_between
from facekit.clean.vectors import Vectors, read_unit_rows, unit
from facekit.errors import ConfigError, FacekitError, PictureError
from facekit.images import decode
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.exclusion import ExclusionSet, hashes_of
from facekit.jobs.clean.features import CleanInputs, FaceVectors
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import read_records
from facekit.records.distinct import ascends
from facekit.records.key_rows import row_lookup

__all__ = ["add_findings", "quality_floor", "same_picture"]

CANDIDATE, SAME_PICTURE = 0.85, 0.98
QUALITY_DEVIATIONS = 4.0
BLOCK_ROWS = 16384
CANDIDATES = 1 << 20
"""Pairs of faces of one label that are looked for near duplicates at once."""


def add_findings(table: DecisionTable, inputs: CleanInputs, config: CleanConfig) -> DecisionTable:
    """Add the findings that were asked for; new labels may have gaps afterwards.

    Parameters
    ----------
    table : DecisionTable
    inputs : CleanInputs
    config : CleanConfig
        `exclude_identity`, `exclude_image`, `low_quality` and `near_duplicates` are read.

    Raises
    ------
    ConfigError
        Quality was asked for, and the vectors have no norms.
    FacekitError
        A test set was embedded by another model.
    """
    for test in inputs.exclusion_sets:
        table = _exclude(table, test, inputs.faces.vectors, config)
    if config.low_quality:
        table = _low_quality(table, inputs.faces)
    if config.near_duplicates:
        table = _near_duplicates(table, inputs)
    return table


def drop(table: DecisionTable, rows: npt.NDArray[np.int64], reason: Reason, evidence: list[str]) -> DecisionTable:
    """Drop some of the faces that are kept or moved so far.

    Parameters
    ----------
    table : DecisionTable
    rows : (n,) int64
    reason : Reason
    evidence : list of str
        A sentence about each.
    """
    action, code, new = table.action_code.copy(), table.reason_code.copy(), table.new_label.copy()
    action[rows], code[rows], new[rows] = Action.DROP, reason, -1
    return dataclasses.replace(table, action_code=action, reason_code=code, new_label=new).explained(rows, evidence)


def _exclude(table: DecisionTable, test: ExclusionSet, vectors: Vectors, config: CleanConfig) -> DecisionTable:
    """Drop identities whose centre is near a test picture, and single faces that are nearly one."""
    if not len(test.vectors) or test.vectors.shape[1] != vectors.shape[1]:
        raise FacekitError(
            f"{test.name} has vectors of {test.vectors.shape}, the faces of {vectors.shape}: other model"
        )
    inside = _by_label(table, np.flatnonzero(table.new_label >= 0))
    known = row_lookup(test.hashes)
    out, texts = [np.zeros(0, np.int64)], []
    for part in _whole_labels(table, inside):
        rows = inside[part]
        some, names, which = read_unit_rows(vectors, rows), *_numbered(table.new_label[rows])
        centres = np.zeros((len(names), some.shape[1]))
        np.add.at(centres, which, some)
        near = pairs_between(unit(centres.astype(np.float32)), test.vectors, config.exclude_identity)
        person = _closest(near, len(centres))[which]
        picture = _closest(pairs_between(some, test.vectors, config.exclude_image), len(rows))
        same = known(hashes_of(table.payload_hash[rows])) >= 0
        found = (person > -1) | (picture > -1) | same
        out.append(rows[found])
        texts += _exclusions(test.name, same[found], person[found], picture[found])
    return drop(table, np.concatenate(out), Reason.EXCLUDED, texts)


def _by_label(table: DecisionTable, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows in the order of their new labels, those of one label in the order of the table."""
    labels = table.new_label[rows]
    return rows if ascends(labels) else rows[np.argsort(labels, kind="stable")]


def _whole_labels(table: DecisionTable, rows: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Runs of all rows of some labels, at least `BLOCK_ROWS` where there are as many."""
    first = 0
    while first < len(rows):
        stop = min(first + BLOCK_ROWS, len(rows))
        while stop < len(rows) and table.new_label[rows[stop]] == table.new_label[rows[stop - 1]]:
            stop += 1
        yield slice(first, stop)
        first = stop


def _numbered(labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct labels, and which of them each row has."""
    names, which = np.unique(labels, return_inverse=True)
    return names, which.reshape(-1)


def _closest(near: Pairs, count: int) -> npt.NDArray[np.float64]:
    """The largest similarity of each left row, (count,), -1 where it is in no pair."""
    closest = np.full(count, -1.0)
    np.maximum.at(closest, near.left, near.similarity)
    return closest


def _exclusions(
    name: str, same: npt.NDArray[np.bool_], person: npt.NDArray[np.float64], picture: npt.NDArray[np.float64]
) -> list[str]:
    return [
        f"the same picture is in {name}" if known
        else f"its identity is in {name} (similarity {whole:.3f})" if whole > -1
        else f"nearly a picture of {name} (similarity {single:.3f})"
        for known, whole, single in zip(same, person, picture, strict=True)
    ]  # fmt: skip


def quality_floor(norms: npt.NDArray[np.float32]) -> float:
    """Return the norm below which a face is far below the others: four robust deviations below the median, in
    logarithms.

    Parameters
    ----------
    norms : (N,) float32
        Of the vectors before normalisation; what is not finite does not count. The norm as a quality: Meng et al.,
        MagFace, CVPR 2021.
    """
    logs = np.log(np.maximum(norms[np.isfinite(norms)], 1e-6))
    middle = np.median(logs)
    below = middle - np.quantile(logs, 0.1587)
    return float(np.exp(middle - QUALITY_DEVIATIONS * below))


def _low_quality(table: DecisionTable, faces: FaceVectors) -> DecisionTable:
    if faces.norms is None or np.ptp(faces.norms[np.isfinite(faces.norms)]) < 1e-3:
        raise ConfigError(
            "--low-quality reads the norms of the vectors, and these have none: use what facekit embed wrote"
        )
    floor = quality_floor(faces.norms)
    rows = np.flatnonzero((table.new_label >= 0) & (faces.norms < floor))
    return drop(table, rows, Reason.LOW_QUALITY, [f"norm {n:.2f} below {floor:.2f}" for n in faces.norms[rows]])


def same_picture(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Return how much two pictures are the same one: the correlation of their 32 x 32 grey versions, mirrored or not.

    Brightness, contrast, size and coding do not matter.

    Parameters
    ----------
    a, b : (H, W, 3) uint8
        RGB, of any two sizes.
    """
    return _same_thumbnail(_thumbnail(a), _thumbnail(b))


def _same_thumbnail(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> float:
    return float(max((x * y).sum(), (x * y[:, ::-1]).sum()))


def _thumbnail(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    import cv2

    grey = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32).mean(2)
    grey -= grey.mean()
    return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6), np.float32)


def _near_duplicates(table: DecisionTable, inputs: CleanInputs) -> DecisionTable:
    """Inside each new identity, drop what is the same picture as an earlier one; masked copies do not count."""
    inside = _by_label(table, np.flatnonzero((table.new_label >= 0) & ~inputs.faces.masked))
    cuts = np.flatnonzero(np.diff(table.new_label[inside])) + 1
    rows, texts = [], []
    for first, stop in zip(np.append(0, cuts).tolist(), np.append(cuts, len(inside)).tolist(), strict=True):
        for row, earlier, value in _repeated(inputs.source, inputs.faces.vectors, inside[first:stop]):
            rows.append(row)
            texts.append(f"the same picture as key {int(table.keys[earlier])} ({value:.3f})")
    return drop(table, np.array(rows, np.int64), Reason.NEAR_DUPLICATE, texts)


def _repeated(source: Source, vectors: Vectors, group: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, float]]:
    """Yield each row that repeats an earlier one, that one, and how similar the pictures are.

    Some rows at a time are compared with all that come after them: what is there at once grows with the label, and not
    with its square. What is dropped is compared with nothing any more.
    """
    some = read_unit_rows(vectors, group)
    thumbnails: dict[int, npt.NDArray[np.float32] | None] = {}
    dropped = np.zeros(len(group), np.bool_)
    step = max(CANDIDATES // max(len(group), 1), 1)
    for first in range(0, len(group), step):
        left = first + np.flatnonzero(~dropped[first : first + step])
        right = first + np.flatnonzero(~dropped[first:])
        near = pairs_between(some[left], some[right], CANDIDATE)
        one, two = left[near.left], right[near.right]
        one, two = one[one < two], two[one < two]
        _look_at(source, group, np.unique(np.concatenate([one, two])), thumbnails)
        for i, j in zip(one.tolist(), two.tolist(), strict=True):
            a, b = thumbnails[i], thumbnails[j]
            if dropped[i] or dropped[j] or a is None or b is None:
                continue
            value = _same_thumbnail(a, b)
            if value >= SAME_PICTURE:
                dropped[j] = True
                yield int(group[j]), int(group[i]), value


def _look_at(
    source: Source,
    group: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
    thumbnails: dict[int, npt.NDArray[np.float32] | None],
) -> None:
    """Add the thumbnails, of 4 KB, that are not there yet; None: it is no picture."""
    missing = np.array([at for at in wanted.tolist() if at not in thumbnails], np.int64)
    records = read_records(source.select_rows(group[missing]))
    for at, (record, _) in zip(missing.tolist(), records, strict=True):
        try:
            thumbnails[at] = _thumbnail(decode(record.payload))
        except PictureError:
            thumbnails[at] = None
