"""Sheets of worn masks to look at. They show photographs of real people: write them outside the project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mask_measures import luminance
from numpy.typing import NDArray

from facekit.masks import MaskOptions, render_worn, sample_params

ZOOM = 2
WORST = 6


def _patch(face: Any, vertices: Sequence[int], radius: int = 3) -> NDArray[np.float32]:
    """Luminance around the mean of some vertices, held inside the picture."""
    height, width = face.image.shape[:2]
    x, y = np.round(face.vertices[list(vertices), :2].mean(0)).astype(int).clip(0, [width - 1, height - 1])
    return luminance(face.image[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1])


def _spectacles(face: Any) -> float:
    """Vertical contrast between and under the eyes, where frames run."""
    spots = [[168], [6, 168], [119, 118], [348, 347], [31], [261]]
    patches = [_patch(face, spot, 4) for spot in spots]
    return float(np.mean([np.abs(np.diff(p, axis=0)).mean() if p.shape[0] > 1 else 0 for p in patches]))


def _beard(face: Any) -> float:
    """How much darker the chin is than the forehead, in a picture that is not dark."""
    return float(_patch(face, [151, 9]).mean() - _patch(face, [199, 175, 200]).mean()) if abs(face.yaw) < 25 else -1e9


def _grey(face: Any) -> float:
    return -float(np.ptp(face.image.astype(int), axis=2).mean())


GROUPS: dict[str, tuple[int, Callable[[Any], float]]] = {
    "frontal": (3, lambda f: -abs(f.yaw)),
    "profile": (4, lambda f: abs(f.yaw)),
    "dark": (2, lambda f: -float(f.image.mean())),
    "bright": (2, lambda f: float(f.image.mean())),
    "grey": (2, _grey),
    "glasses": (4, _spectacles),
    "beard": (3, _beard),
    "blurred": (2, lambda f: -float(np.abs(cv2.Laplacian(luminance(f.image), cv2.CV_32F)).mean())),
}
"""Columns of a sheet: the faces with the highest score, each face once."""


def choose_groups(faces: list[Any]) -> list[tuple[str, Any]]:
    """(group, face) for every column of the sheet."""
    columns: list[tuple[str, Any]] = []
    taken: set[int] = set()
    for name, (count, score) in GROUPS.items():
        ranked = sorted((f for f in faces if f.key not in taken), key=score, reverse=True)[:count]
        taken |= {f.key for f in ranked}
        columns += [(name, f) for f in ranked]
    return columns


def sheet(columns: list[tuple[str, Any]], types: list[str], path: Path) -> None:
    """One row a type under a row of bare faces; two seeds a type."""
    rows = [[_tile(face.image, f"{name} {face.key}") for name, face in columns]]
    for kind in types:
        for seed in (7, 8):
            rows.append([_tile(_wear(face, kind, seed), kind if seed == 7 else "") for _, face in columns])
    _write(rows, path)


def worst(trials: dict[str, list[Any]], path: Path) -> None:
    """One row a type: the largest leak, the least covered, the deepest into eyes and brows, the least shaded, those
    that the detector takes for bare faces."""
    measures: dict[str, Callable[[Any], float]] = {
        "leak": lambda t: t.leak,
        "uncovered": lambda t: sum(n - k for k, n in t.covered.values()),
        "eyes": lambda t: t.eyes + 0.5 * t.brows,
        "shading": lambda t: -np.nan_to_num(t.shading, nan=1),
        "undetected": lambda t: not t.detected,
    }
    rows = []
    for kind, tried in trials.items():
        row = []
        for name, score in measures.items():
            ranked = sorted(tried, key=score, reverse=True)[: WORST // 2]
            row += [_tile(t.image, f"{kind[-6:]} {name} {score(t):.2f}") for t in ranked]
        rows.append(row)
    _write(rows, path)


def _wear(face: Any, kind: str, seed: int) -> NDArray[np.uint8]:
    params = sample_params(np.random.default_rng([seed, face.key]), kind, MaskOptions())
    return render_worn(face.image, face.vertices, params).image


def _tile(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    large = cv2.resize(image, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    cv2.putText(large, text, (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 2, cv2.LINE_AA)
    return cv2.putText(large, text, (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 90), 1, cv2.LINE_AA).astype(
        np.uint8
    )


def _write(rows: list[list[NDArray[np.uint8]]], path: Path) -> None:
    cv2.imwrite(str(path), np.vstack([np.hstack(row) for row in rows])[..., ::-1])
    print(f"wrote {path}")
