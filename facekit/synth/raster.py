"""Triangles of the drawn figure: their normals, which one each sample sees, and the depth map of the key light.

Screen arrays are supersampled, [row, column]; screen points are (x, y, depth), depth growing toward the viewer. `ids`
holds the triangle seen in a sample, ``EMPTY``, or what `facekit.synth.strand_kernels` puts there. All is float32;
nothing here draws a random number.

None of synth's kernels is compiled with ``fastmath``: it lets the compiler reorder sums and fuse products, so that
another processor put the edges of strands into other samples (75 of 96 pictures, up to 16 levels in 1.2% of their
pixels), and saves no time that could be measured (12.3 ms a picture with it and without).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["rasterize", "shadow_triangles", "vertex_normals"]

_F = np.float32
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Scalar = np.floating[Any] | float
"""A number; compiled it is a float32 like everything else."""


@kernel(inner=True)
def _floor(x: Scalar) -> int:
    """As ``math.floor`` of anything finite: that calls the C library, and what is in registers has to leave them."""
    whole = int(x)
    return whole - int(x < _F(whole))


@kernel()
def vertex_normals(points: Floats, triangles: Ints, out: Floats) -> None:
    """Area-weighted vertex normals, not yet of unit length.

    Parameters
    ----------
    points : (V, 3) float32
    triangles : (T, 3) int32
    out : (V, 3) float32
        Written.
    """
    out[:] = _F(0)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz


@kernel()
def rasterize(
    screen: Floats, triangles: Ints, two_sided: NDArray[np.bool_], depth: Floats, ids: Ints, bary: Floats
) -> None:
    """Find the nearest triangle of every sample.

    Parameters
    ----------
    screen : (V, 3) float32
        x, y in samples, depth growing toward the viewer.
    triangles : (T, 3) int32
        Clockwise on the screen when seen from the front; others are skipped unless they are two-sided.
    two_sided : (T,) bool
    depth : (H, W) float32
        Written where a triangle is nearer.
    ids : (H, W) int32
        Number of the triangle.
    bary : (H, W, 2) float32
        Barycentric weights of its first two corners.
    """
    height, width = depth.shape
    low = _F(-1e-5)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > _F(-1e-6) and (not two_sided[t] or area < _F(1e-6)):
            continue
        x0 = max(0, -_floor(-min(ax, bx, cx)))
        x1 = min(width - 1, _floor(max(ax, bx, cx)))
        y0 = max(0, -_floor(-min(ay, by, cy)))
        y1 = min(height - 1, _floor(max(ay, by, cy)))
        inverse = _F(1) / area
        ux, vx = (by - cy) * inverse, (cy - ay) * inverse
        uy, vy = (cx - bx) * inverse, (ax - cx) * inverse
        za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
        for y in range(y0, y1 + 1):
            u = (_F(x0) - cx) * ux + (_F(y) - cy) * uy
            v = (_F(x0) - cx) * vx + (_F(y) - cy) * vy
            for x in range(x0, x1 + 1):
                w = _F(1) - u - v
                if (u >= low) & (v >= low) & (w >= low):
                    z = u * za + v * zb + w * zc
                    if z > depth[y, x]:
                        depth[y, x] = z
                        ids[y, x] = t
                        bary[y, x, 0] = u
                        bary[y, x, 1] = v
                elif (u < low and ux <= 0) or (v < low and vx <= 0) or (w < low and ux >= 0 and vx >= 0):
                    break  # rounded sums too never turn back: no later sample of the row is inside
                u += ux
                v += vx


@kernel()
def shadow_triangles(light: Floats, triangles: Ints, depth: Floats) -> None:
    """Add triangles to the depth map of the key light.

    Parameters
    ----------
    light : (V, 3) float32
        x, y in texels of the map, depth toward the light in cm.
    triangles : (T, 3) int32
    depth : (S, S) float32
        Written where a triangle is nearer to the light.
    """
    size = depth.shape[0]
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = light[a, 0], light[a, 1], light[b, 0], light[b, 1], light[c, 0], light[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < _F(1e-6):
            continue
        x0, x1 = max(0, -_floor(-min(ax, bx, cx))), min(size - 1, _floor(max(ax, bx, cx)))
        y0, y1 = max(0, -_floor(-min(ay, by, cy))), min(size - 1, _floor(max(ay, by, cy)))
        inverse = _F(1) / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                u = ((by - cy) * (_F(x) - cx) + (cx - bx) * (_F(y) - cy)) * inverse
                v = ((cy - ay) * (_F(x) - cx) + (ax - cx) * (_F(y) - cy)) * inverse
                w = _F(1) - u - v
                if (u >= 0) & (v >= 0) & (w >= 0):
                    z = u * light[a, 2] + v * light[b, 2] + w * light[c, 2]
                    if z > depth[y, x]:
                        depth[y, x] = z
