"""Findings beside the method: faces that are in a test set, pictures that are there again, pictures of low quality."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.centres import unit
from facekit.clean.decisions import ACTIONS, REASONS
from facekit.clean.folders import read_rows
from facekit.clean.overrides import renumber
from facekit.clean.pairs import pairs_between
from facekit.embeddings import is_features, open_features
from facekit.errors import ConfigError, FacekitError, PictureError
from facekit.images import decode
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.features import FaceVectors
from facekit.jobs.clean.tables import DecisionTable
from facekit.jobs.clean.write import take
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.inputs.source import Source, open_source, read_records

__all__ = ["find", "quality_floor", "same_picture"]

CANDIDATE, SAME_PICTURE = 0.85, 0.98
QUALITY_DEVIATIONS = 4.0


class Unseen(NamedTuple):
    """Vectors of the pictures of a test set, and hashes of their bytes where they are known."""

    name: str
    vectors: npt.NDArray[np.float32]  # (T, D) unit length
    hashes: frozenset[bytes]


def find(config: CleanConfig, source: Source, faces: FaceVectors, table: DecisionTable) -> DecisionTable:
    """Add the findings that were asked for."""
    for path in config.exclude:
        table = _exclude(config, open_test_set(config, path), source, faces, table)
    if config.low_quality:
        table = _low_quality(faces, table)
    if config.near_duplicates:
        table = _near_duplicates(source, faces, table)
    return dataclasses.replace(table, new_label=renumber(table.new_label))


def drop(table: DecisionTable, rows: npt.NDArray[np.int64], reason: str, evidence: list[str]) -> DecisionTable:
    """Drop some of the faces that are kept or moved so far."""
    action, code = table.action_code.copy(), table.reason_code.copy()
    new, text = table.new_label.copy(), table.evidence.copy()
    action[rows], code[rows], new[rows] = ACTIONS.index("drop"), REASONS.index(reason), -1
    text[rows] = evidence
    return dataclasses.replace(table, action_code=action, reason_code=code, new_label=new, evidence=text)


def open_test_set(config: CleanConfig, path: str) -> Unseen:
    """Open a test set: vectors as they are, pictures through the model.

    Raises
    ------
    ConfigError
        Pictures, and no model to embed them.
    """
    name = Path(path).name
    if is_features(Path(path)):
        return Unseen(name, unit(open_features(path).load().vectors), frozenset())
    if config.model is None:
        raise ConfigError(f"--exclude {path} holds pictures: give the --model that made the features to embed them")
    from facekit.run.ledger import payload_hash

    payloads = _payloads(path)
    pictures = []
    for at, payload in enumerate(payloads):
        try:
            pictures.append(decode(payload))
        except PictureError as error:
            raise PictureError(f"{path}, picture {at}: {error}") from error
    return Unseen(name, _embed(config.model, pictures), frozenset(payload_hash(p) for p in payloads))


def _embed(model: ModelChoice, pictures: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    from facekit.embeddings import embed_pictures
    from facekit.jobs.inputs.model import open_engine

    engine = open_engine(model)
    parts = []
    for first in range(0, len(pictures), model.batch):
        some = np.stack(pictures[first : first + model.batch])
        parts.append(embed_pictures(engine, some, np.zeros(len(some), np.bool_), flip=model.flip).vectors)
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def _payloads(path: str) -> list[bytes]:
    if path.endswith(".bin"):
        from facekit.records.bins import read_bins

        return [bytes(payload) for payload in read_bins(path).payloads]
    source, _ = open_source(path, layout="flat")
    return [record.payload for record, _ in read_records(source)]


def _exclude(
    config: CleanConfig, test: Unseen, source: Source, faces: FaceVectors, table: DecisionTable
) -> DecisionTable:
    """Drop identities whose centre is near a test picture, and single faces that are nearly one."""
    if not len(test.vectors) or test.vectors.shape[1] != faces.vectors.shape[1]:
        raise FacekitError(
            f"{test.name} has vectors of {test.vectors.shape}, the faces of {faces.vectors.shape}: other model"
        )
    inside = np.flatnonzero(table.new_label >= 0)
    if not len(inside):
        return table
    groups = table.new_label[inside]
    centres = np.zeros((int(groups.max()) + 1, test.vectors.shape[1]))
    best = np.full(len(inside), -1.0)
    for first in range(0, len(inside), 65536):
        rows = unit(read_rows(faces.vectors, inside[first : first + 65536]))
        np.add.at(centres, groups[first : first + 65536], rows)
        near = pairs_between(rows, test.vectors, config.exclude_image)
        np.maximum.at(best, near.left + first, near.similarity)
    near = pairs_between(unit(centres.astype(np.float32)), test.vectors, config.exclude_identity)
    closest = np.full(len(centres), -1.0)
    np.maximum.at(closest, near.left, near.similarity)
    known = np.array([table.payload_hash[row].tobytes() in test.hashes for row in inside.tolist()], bool)
    person, picture = closest[groups] > -1, (best > -1) | known
    out = person | picture
    texts = [
        f"the same picture is in {test.name}" if same
        else f"its identity is in {test.name} (similarity {c:.3f})" if whole
        else f"nearly a picture of {test.name} (similarity {b:.3f})"
        for same, whole, c, b in zip(known[out], person[out], closest[groups][out], best[out])
    ]  # fmt: skip
    return drop(table, inside[out], "excluded", texts)


def quality_floor(norms: npt.NDArray[np.float32]) -> float:
    """Return the norm below which a face is far below the others: four robust deviations below the median, in
    logarithms."""
    logs = np.log(np.maximum(norms[np.isfinite(norms)], 1e-6))
    middle = np.median(logs)
    below = middle - np.quantile(logs, 0.1587)
    return float(np.exp(middle - QUALITY_DEVIATIONS * below))


def _low_quality(faces: FaceVectors, table: DecisionTable) -> DecisionTable:
    if faces.norms is None or np.ptp(faces.norms[np.isfinite(faces.norms)]) < 1e-3:
        raise ConfigError(
            "--low-quality reads the norms of the vectors, and these have none: use what facekit embed wrote"
        )
    floor = quality_floor(faces.norms)
    rows = np.flatnonzero((table.new_label >= 0) & (faces.norms < floor))
    return drop(table, rows, "low_quality", [f"norm {n:.2f} below {floor:.2f}" for n in faces.norms[rows]])


def same_picture(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Return how much two pictures are the same one: the correlation of their 32 x 32 grey versions, mirrored or not.

    Brightness, contrast, size and coding do not matter.
    """
    x, y = _thumbnail(a), _thumbnail(b)
    return float(max((x * y).sum(), (x * y[:, ::-1]).sum()))


def _thumbnail(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    import cv2

    grey = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32).mean(2)
    grey -= grey.mean()
    return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6), np.float32)


def _near_duplicates(source: Source, faces: FaceVectors, table: DecisionTable) -> DecisionTable:
    """Inside each new identity, drop what is the same picture as an earlier one; masked copies do not count."""
    inside = np.flatnonzero((table.new_label >= 0) & ~faces.masked)
    inside = inside[np.argsort(table.new_label[inside], kind="stable")]
    cuts = np.flatnonzero(np.diff(table.new_label[inside])) + 1
    rows, texts = [], []
    for group in np.split(inside, cuts):
        for row, first, value in _again(source, faces, group):
            rows.append(row)
            texts.append(f"the same picture as key {int(source.keys[first])} ({value:.3f})")
    return drop(table, np.array(rows, np.int64), "near_duplicate", texts)


def _again(source: Source, faces: FaceVectors, group: npt.NDArray[np.int64]) -> list[tuple[int, int, float]]:
    vectors = unit(read_rows(faces.vectors, group))
    left, right = np.nonzero(np.triu(vectors @ vectors.T >= CANDIDATE, 1))
    if not len(left):
        return []
    wanted = np.unique(np.concatenate([left, right]))
    pictures = {
        int(at): _picture(record.payload) for at, (record, _) in zip(wanted, read_records(take(source, group[wanted])))
    }
    out, gone = [], set()
    for i, j in sorted(zip(left.tolist(), right.tolist())):
        a, b = pictures[i], pictures[j]
        if i in gone or j in gone or a is None or b is None:
            continue
        value = same_picture(a, b)
        if value >= SAME_PICTURE:
            gone.add(j)
            out.append((int(group[j]), int(group[i]), value))
    return out


def _picture(payload: bytes) -> npt.NDArray[np.uint8] | None:
    try:
        return decode(payload)
    except PictureError:
        return None
