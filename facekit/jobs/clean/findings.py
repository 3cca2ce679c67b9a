"""Findings beside the method: faces that are in a test set, pictures that are there again, pictures of low quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import Action, Reason
from facekit.clean.pairs import Pairs, pairs_above, pairs_between
from facekit.clean.vectors import Vectors, read_unit_rows, unit
from facekit.errors import ConfigError, FacekitError, PictureError
from facekit.images import decode
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.exclusion import ExclusionSet, hashes_of
from facekit.jobs.clean.features import CleanInputs, FaceVectors
from facekit.jobs.clean.tables import DecisionTable
from facekit.jobs.inputs.source import Source, read_records
from facekit.records.key_rows import rows_of

__all__ = ["add_findings", "quality_floor", "same_picture"]

CANDIDATE, SAME_PICTURE = 0.85, 0.98
QUALITY_DEVIATIONS = 4.0
BLOCK_ROWS = 65536


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
    inside = np.flatnonzero(table.new_label >= 0)
    if not len(inside):
        return table
    groups = table.new_label[inside]
    centres = np.zeros((int(groups.max()) + 1, test.vectors.shape[1]))
    picture = np.full(len(inside), -1.0)
    for first in range(0, len(inside), BLOCK_ROWS):
        rows = read_unit_rows(vectors, inside[first : first + BLOCK_ROWS])
        np.add.at(centres, groups[first : first + BLOCK_ROWS], rows)
        near = pairs_between(rows, test.vectors, config.exclude_image)
        np.maximum.at(picture, near.left + first, near.similarity)
    near = pairs_between(unit(centres.astype(np.float32)), test.vectors, config.exclude_identity)
    person = _closest(near, len(centres))[groups]
    same = rows_of(test.hashes, hashes_of(table.payload_hash[inside])) >= 0
    out = (person > -1) | (picture > -1) | same
    return drop(table, inside[out], Reason.EXCLUDED, _exclusions(test.name, same[out], person[out], picture[out]))


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
    x, y = _thumbnail(a), _thumbnail(b)
    return float(max((x * y).sum(), (x * y[:, ::-1]).sum()))


def _thumbnail(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    import cv2

    grey = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32).mean(2)
    grey -= grey.mean()
    return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6), np.float32)


def _near_duplicates(table: DecisionTable, inputs: CleanInputs) -> DecisionTable:
    """Inside each new identity, drop what is the same picture as an earlier one; masked copies do not count."""
    inside = np.flatnonzero((table.new_label >= 0) & ~inputs.faces.masked)
    inside = inside[np.argsort(table.new_label[inside], kind="stable")]
    cuts = np.flatnonzero(np.diff(table.new_label[inside])) + 1
    rows, texts = [], []
    for group in np.split(inside, cuts):
        for row, first, value in _repeated(inputs.source, inputs.faces.vectors, group):
            rows.append(row)
            texts.append(f"the same picture as key {int(table.keys[first])} ({value:.3f})")
    return drop(table, np.array(rows, np.int64), Reason.NEAR_DUPLICATE, texts)


def _repeated(source: Source, vectors: Vectors, group: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, float]]:
    """Yield each row that repeats an earlier one, that one, and how similar the pictures are."""
    some = read_unit_rows(vectors, group)
    near = pairs_above(some, CANDIDATE)
    if not len(near.left):
        return
    wanted = np.unique(np.concatenate([near.left, near.right]))
    records = read_records(source.select_rows(group[wanted]))
    pictures = {int(at): _picture(record.payload) for at, (record, _) in zip(wanted, records, strict=True)}
    dropped: set[int] = set()
    for i, j in zip(near.left.tolist(), near.right.tolist(), strict=True):
        a, b = pictures[i], pictures[j]
        if i in dropped or j in dropped or a is None or b is None:
            continue
        value = same_picture(a, b)
        if value >= SAME_PICTURE:
            dropped.add(j)
            yield int(group[j]), int(group[i]), value


def _picture(payload: bytes) -> npt.NDArray[np.uint8] | None:
    try:
        return decode(payload)
    except PictureError:
        return None
