"""What a sample of a pack's pictures looks like, what its masks give away, and how much of it is noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import Action
from facekit.clean.settings import CleanSettings
from facekit.errors import FacekitError, PictureError
from facekit.evaluate.leaks import Leak, codec_features, codec_leak, type_leak
from facekit.images import decode
from facekit.jobs.clean.features import open_vectors
from facekit.jobs.clean.job import decide
from facekit.jobs.inputs.ledger import already_masked, read_flags
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import read_records

__all__ = ["audit_masks", "estimate_noise", "picture_statistics"]

POINTS = (0.05, 0.25, 0.5, 0.75, 0.95)
REPLICATES = 1000
MOST_TYPES = 200_000
GREY = np.array([0.299, 0.587, 0.114], np.float32)
Rows = npt.NDArray[np.int64]


def picture_statistics(source: Source, sample: int) -> dict[str, Any]:
    """Brightness and sharpness of pictures spread evenly over a pack.

    Parameters
    ----------
    source : Source
    sample : int

    Returns
    -------
    dict
        ``brightness``: mean luma, 0 to 255; ``sharpness``: standard deviation of the Laplacian of the luma. Quantiles.
    """
    import cv2

    rows = np.unique(np.linspace(0, len(source) - 1, min(sample, len(source))).astype(np.int64))
    brightness, sharpness = [], []
    for _, picture in _decoded(source, rows):
        luma = picture.astype(np.float32) @ GREY
        brightness.append(float(luma.mean()))
        sharpness.append(float(cv2.Laplacian(luma, cv2.CV_32F).std()))
    said = {"pictures": len(brightness), "unreadable": len(rows) - len(brightness)}
    return {**said, "brightness": _quantiles(brightness), "sharpness": _quantiles(sharpness)}


def _decoded(source: Source, rows: Rows) -> list[tuple[int, npt.NDArray[np.uint8]]]:
    found = []
    for row, (record, _) in zip(rows.tolist(), read_records(source.select_rows(rows)), strict=True):
        try:
            found.append((row, decode(record.payload)))
        except PictureError:
            continue
    return found


def _quantiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        f"{point:g}": round(float(value), 3) for point, value in zip(POINTS, np.quantile(values, POINTS), strict=True)
    }


def audit_masks(source: Source, sample: int, seed: int) -> dict[str, Any]:
    """The audits of a masked pack: what its coding and the types of its masks give away.

    Parameters
    ----------
    source : Source
    sample : int
        Pictures of each kind whose upper faces are compared.
    seed : int

    Returns
    -------
    dict
        ``codecLeak`` and ``typeLeak``, or a sentence that says why there is none.
    """
    flags = read_flags(source).masked
    if not flags.any():
        return {}
    rng = np.random.default_rng([seed, len(source)])
    chosen = np.sort(np.concatenate([_some(np.flatnonzero(kind), sample // 2, rng) for kind in (flags, ~flags)]))
    found: dict[str, Any] = {}
    try:
        rows, features = [], []
        for row, picture in _decoded(source, chosen):
            rows.append(row)
            features.append(codec_features(np.rint(picture.astype(np.float32) @ GREY).astype(np.uint8)))
        kept = np.array(rows, np.int64)
        leak = codec_leak(np.array(features), flags[kept], source.labels[kept], seed)
        found["codecLeak"] = {"auc": round(leak.value, 4), "interval": [round(leak.low, 4), round(leak.high, 4)],
                              "pictures": leak.pictures}  # fmt: skip
    except FacekitError as error:
        found["codecLeak"] = str(error)
    leak = _type_leak(source, flags, rng, seed)
    found["typeLeak"] = {"bits": round(leak.value, 4), "chance": round(leak.high, 4), "p": round(leak.p, 4),
                         "pictures": leak.pictures}  # fmt: skip
    return found


def _type_leak(source: Source, flags: npt.NDArray[np.bool_], rng: np.random.Generator, seed: int) -> Leak:
    import pyarrow.compute as pc

    masks = already_masked(Path(source.path))
    assert masks is not None
    rows = _some(np.flatnonzero(flags), MOST_TYPES, rng)
    said = masks.said(np.searchsorted(masks.keys, source.keys[rows]))["type"].combine_chunks()
    kinds = pc.dictionary_encode(said.cast("string"), null_encoding="encode").indices.to_numpy()
    return type_leak(source.labels[rows], kinds.astype(np.int64), seed)


def _some(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= count else np.sort(rng.choice(rows, count, replace=False))


def estimate_noise(source: Source, features: str, seed: int) -> dict[str, Any]:
    """The share of pictures that robust cleaning would drop or move, with an interval over identities.

    Parameters
    ----------
    source : Source
    features : str
        Vectors of the pack.
    seed : int
    """
    faces = open_vectors(features, source)
    decisions = decide(faces, CleanSettings(mode="robust"))
    wrong = decisions.action_code != Action.KEEP
    _, person = np.unique(source.labels, return_inverse=True)
    person = person.reshape(-1)
    all_of, wrong_of = np.bincount(person).astype(np.float64), np.bincount(person, wrong)
    rng, drawn = np.random.default_rng([seed, len(all_of)]), []
    for _ in range(REPLICATES):
        times = np.bincount(rng.integers(len(all_of), size=len(all_of)), minlength=len(all_of))
        drawn.append(float(times @ wrong_of) / float(times @ all_of))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"share": round(float(wrong.mean()), 5), "interval": [round(float(low), 5), round(float(high), 5)],
            "by": "facekit clean --mode robust", "model": faces.model}  # fmt: skip
