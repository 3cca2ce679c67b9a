"""What can be measured on one worn mask. All lengths are in pixels of a 112 px crop, scaled for others."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.faces import landmarks

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

# fmt: off
NOSE = [1, 2, 4, 5, 19, 44, 45, 48, 64, 94, 97, 98, 115, 220, 274, 275, 278, 294, 326, 327, 344, 440]
MOUTH = [0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191, 267, 269, 270, 291,
         308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415]
CHIN = [148, 152, 171, 175, 176, 199, 200, 201, 208, 377, 396, 400, 421, 428]
# fmt: on
EYES = [list(eye.outline) for eye in landmarks.EYES]
BROWS = [[*brow.lower, *reversed(brow.upper)] for brow in landmarks.BROWS]
PARTS = {"nose": NOSE, "mouth": MOUTH, "chin": CHIN}
DEPTH_SLACK = 1.0  # px by which a vertex may lie behind the surface and still count as visible
OUTLINE_SLACK = 2.0  # px beyond the mesh that still count as face: it ends before the jaw's silhouette does
LOW_PASS = 6.0  # px, standard deviation: what is left is light, not lips and nostrils


class Seen(NamedTuple):
    """What of a face can be seen.

    Attributes
    ----------
    visible : (468,) bool
        Inside the picture and not behind another part of the mesh.
    inside : (H, W) bool
        The convex hull of the mesh, dilated by `OUTLINE_SLACK`.
    """

    visible: Flags
    inside: Flags


def look_at(vertices: Floats, triangles: NDArray[np.int32], shape: tuple[int, ...]) -> Seen:
    """Visible vertices and outline of a mesh (x right, y down, z toward the viewer)."""
    height, width = shape[:2]
    x, y = vertices[:, 0], vertices[:, 1]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    return Seen(inside & ~_hidden(vertices, triangles, height / 112), outline(vertices, shape))


def _hidden(vertices: Floats, triangles: NDArray[np.int32], scale: float) -> Flags:
    """(468,) bool: some triangle that the vertex is no corner of covers it, and is nearer by more than the slack."""
    a, b, c = (vertices[triangles[:, k]].astype(np.float64) for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    solid = np.abs(area) > 1e-9  # a triangle seen edge-on covers nothing
    a, b, c, area, triangles = a[solid], b[solid], c[solid], area[solid], triangles[solid]
    hidden = np.zeros(len(vertices), bool)
    for index in sorted({i for part in [*PARTS.values(), *EYES, *BROWS] for i in part}):
        px, py, pz = vertices[index]
        u = ((b[:, 0] - px) * (c[:, 1] - py) - (b[:, 1] - py) * (c[:, 0] - px)) / area
        v = ((c[:, 0] - px) * (a[:, 1] - py) - (c[:, 1] - py) * (a[:, 0] - px)) / area
        w = 1 - u - v
        nearer = u * a[:, 2] + v * b[:, 2] + w * c[:, 2] > pz + DEPTH_SLACK * scale
        hidden[index] = ((u >= 0) & (v >= 0) & (w >= 0) & nearer & ~(triangles == index).any(1)).any()
    return hidden


def outline(vertices: Floats, shape: tuple[int, ...]) -> Flags:
    """(H, W) bool: the convex hull of the mesh, dilated by `OUTLINE_SLACK`."""
    height, width = shape[:2]
    hull = cv2.convexHull(np.round(16 * vertices[:, :2]).astype(np.int32))
    region = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(region, hull, 1, cv2.LINE_8, 4)
    size = 2 * round(OUTLINE_SLACK * height / 112) + 1
    return cv2.dilate(region, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0


def at(coverage: Floats, points: NDArray[np.floating]) -> Floats:
    """Coverage at (N, 2) points (x, y), bilinear; 0 outside the picture."""
    xy = points.astype(np.float32).reshape(1, -1, 2)
    sampled = cv2.remap(
        coverage, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    return np.asarray(sampled, np.float32)[0]


def covered(coverage: Floats, vertices: Floats, visible: Flags) -> dict[str, tuple[int, int]]:
    """Of each part: visible vertices under the mask (coverage of at least one half), and all visible ones."""
    counts = {}
    for name, part in PARTS.items():
        seen = np.array(part)[visible[part]]
        counts[name] = (int((at(coverage, vertices[seen, :2]) >= 0.5).sum()) if len(seen) else 0, len(seen))
    return counts


def leak(coverage: Floats, inside: Flags) -> float:
    """Share of the coverage outside the outline."""
    return float(coverage[~inside].sum() / max(float(coverage.sum()), 1e-6))


def intrusion(coverage: Floats, vertices: Floats, visible: Flags, rings: list[list[int]]) -> float:
    """Mean coverage of the worst of the polygons (eyes, brows) more than half of whose corners are visible."""
    worst = 0.0
    for ring in rings:
        if visible[ring].mean() > 0.5:
            region = np.zeros(coverage.shape, np.uint8)
            cv2.fillPoly(region, [np.round(16 * vertices[ring, :2]).astype(np.int32)], 1, cv2.LINE_8, 4)
            worst = max(worst, float(coverage[region > 0].mean()) if region.any() else 0.0)
    return worst


def shading_correlation(bare: NDArray[np.uint8], worn: NDArray[np.uint8], coverage: Floats) -> float:
    """Pearson correlation of the low-pass luminance of both pictures where the mask is opaque.

    The low pass is a Gaussian of `LOW_PASS` px that sees only pixels with coverage above .95 (normalised convolution),
    so that nothing outside the mask, which both pictures share, can help.
    """
    inside = (coverage > 0.95).astype(np.float32)
    if inside.sum() < 100:
        return float("nan")
    sigma = LOW_PASS * len(coverage) / 112
    weight = cv2.GaussianBlur(inside, (0, 0), sigma)
    smooth = [cv2.GaussianBlur(luminance(image) * inside, (0, 0), sigma)[inside > 0] for image in (bare, worn)]
    first, second = (plane / weight[inside > 0] for plane in smooth)
    return float(np.corrcoef(first, second)[0, 1])


def luminance(image: NDArray[np.uint8]) -> Floats:
    """(H, W) float32 Rec. 601 luma of an RGB picture."""
    return np.asarray(image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))
