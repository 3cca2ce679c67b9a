"""From what each sample sees to the light of each pixel: skin, cloth, eyes, teeth and what is behind them.

Arrays and axes are those of `facekit.synth.raster`, and why nothing is compiled with ``fastmath`` stands there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["EMPTY", "STRAND", "resolve"]

EMPTY, STRAND = -1, -2
"""What `ids` says where nothing is seen, or a strand."""
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


@kernel(inner=True)
def _to_light(x: Scalar, y: Scalar, z: Scalar, matrix: Floats) -> tuple[Scalar, Scalar, Scalar]:
    return (
        matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3],
        matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3],
        matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3],
    )


@kernel(inner=True, forceinline=True)
def _soft_shadow(x: Scalar, y: Scalar, z: Scalar, matrix: Floats, depth: Floats, bias: Scalar) -> Scalar:
    """Share of the key light that reaches a point: a box of 4 x 4 texels at any place, fading over depth."""
    size = depth.shape[0]
    u, v, w = _to_light(x, y, z, matrix)
    left, top = _floor(u - _F(1.5)), _floor(v - _F(1.5))
    if left < 0 or top < 0 or left + 4 >= size or top + 4 >= size:
        return _F(1)
    fx, fy = u - _F(1.5) - _F(left), v - _F(1.5) - _F(top)
    lit = _F(0)
    for j in range(5):
        weight = _F(1) - fy if j == 0 else (fy if j == 4 else _F(1))
        row = _F(0)
        for i in range(5):
            gap = depth[top + j, left + i] - w - bias
            tap = min(_F(1), max(_F(0), _F(1) - gap * _F(1.6)))
            row += tap * (_F(1) - fx if i == 0 else (fx if i == 4 else _F(1)))
        lit += row * weight
    return lit * _F(1.0 / 16)


@kernel(inner=True, forceinline=True)
def _texel(atlas: Floats, u: Scalar, v: Scalar, out: Floats) -> None:
    """Bilinear sample of the atlas at texel coordinates."""
    x = min(max(u, _F(0)), _F(atlas.shape[1] - 1.001))
    y = min(max(v, _F(0)), _F(atlas.shape[0] - 1.001))
    column, row = int(x), int(y)
    fx, fy = x - _F(column), y - _F(row)
    a, b = (_F(1) - fx) * (_F(1) - fy), fx * (_F(1) - fy)
    c, d = (_F(1) - fx) * fy, fx * fy
    for k in range(5):
        out[k] = (
            a * atlas[row, column, k]
            + b * atlas[row, column + 1, k]
            + c * atlas[row + 1, column, k]
            + d * atlas[row + 1, column + 1, k]
        )


@kernel(inner=True)
def _smoothstep(low: Scalar, high: Scalar, x: Scalar) -> Scalar:
    t = min(_F(1), max(_F(0), (x - low) / (high - low)))
    return t * t * (_F(3) - _F(2) * t)


@kernel(inner=True)
def _hash(a: Scalar, b: Scalar) -> Scalar:
    """A fixed pattern in [0, 1) from two coordinates."""
    h = math.sin(_F(a) * _F(12.9898) + _F(b) * _F(78.233)) * _F(43758.547)
    return h - _floor(h)


@kernel(inner=True)
def _eye(
    x: Scalar, y: Scalar, z: Scalar, shade: Scalar, eyes: Floats, side: int, view: Floats, lights: Floats, out: Floats
) -> None:
    """Radiance of the eyeball seen through a point of the lid opening.

    eyes (2, 6, 3): centre, gaze, up (unit, camera axes), iris colour, (iris radius, pupil radius, redness), sclera.
    """
    cx, cy, cz = eyes[side, 0, 0], eyes[side, 0, 1], eyes[side, 0, 2]
    gx, gy, gz = eyes[side, 1, 0], eyes[side, 1, 1], eyes[side, 1, 2]
    ox, oy, oz = x - cx, y - cy, z - cz
    vx, vy, vz = view[0], view[1], view[2]
    along = ox * vx + oy * vy + oz * vz
    reach = _F(1.22) * _F(1.22) - (ox * ox + oy * oy + oz * oz - along * along)
    t = -along - math.sqrt(max(reach, _F(0)))
    nx, ny, nz = ox + vx * t, oy + vy * t, oz + vz * t
    norm = _F(1) / math.sqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx * norm, ny * norm, nz * norm
    cosine = nx * gx + ny * gy + nz * gz
    px, py, pz = nx - gx * cosine, ny - gy * cosine, nz - gz * cosine
    rho = _F(1.22) * math.sqrt(px * px + py * py + pz * pz) if cosine > 0 else _F(1.2)
    iris, pupil, red = eyes[side, 4, 0], eyes[side, 4, 1], eyes[side, 4, 2]
    inside = _F(1) - _smoothstep(iris - _F(0.05), iris + _F(0.03), rho)
    if inside > 0:
        rise = px * eyes[side, 2, 0] + py * eyes[side, 2, 1] + pz * eyes[side, 2, 2]
        angle = math.asin(min(_F(1), max(_F(-1), rise / (rho / _F(1.22) + _F(1e-6)))))
        fibre = _F(0.8) + _F(0.4) * _hash(_floor(angle * _F(6)), _F(3)) * _smoothstep(pupil, iris, rho)
        ring = _smoothstep(iris * _F(0.72), iris, rho)
        dark = _smoothstep(pupil - _F(0.03), pupil + _F(0.04), rho)
        caustic = _F(1) + _F(0.5) * max(_F(0), -rise) / iris
    facing = nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2]
    light = max(_F(0), facing * _F(0.7) + _F(0.3))
    kx, ky, kz = nx + px * _F(0.9) * inside, ny + py * _F(0.9) * inside, nz + pz * _F(0.9) * inside
    norm = _F(1) / math.sqrt(kx * kx + ky * ky + kz * kz)
    hx, hy, hz = lights[0, 0] - vx, lights[0, 1] - vy, lights[0, 2] - vz
    hnorm = _F(1) / math.sqrt(hx * hx + hy * hy + hz * hz)
    mirror = (kx * hx + ky * hy + kz * hz) * norm * hnorm
    spark = _smoothstep(_F(0.982), _F(0.992), mirror) * _F(0.8) + _smoothstep(_F(0.8), _F(1), mirror) * _F(0.03)
    cover = (
        _F(1) - _F(0.75) * _smoothstep(_F(0.25), _F(1), shade) - _F(0.25) * _smoothstep(_F(0.75), _F(1), _F(1) - shade)
    )
    sky = _F(0.5) + _F(0.5) * ny
    for c in range(3):
        white = eyes[side, 5, c] * (_F(1) - red * (_F(0.25) if c > 0 else _F(0.0)) * _smoothstep(_F(0.6), _F(1.2), rho))
        colour = white
        if inside > 0:
            tone = eyes[side, 3, c] * fibre * caustic * (_F(1) - _F(0.75) * ring)
            tone = tone * dark + _F(0.004) * (_F(1) - dark)
            colour = white * (_F(1) - inside) + tone * inside
        ambient = lights[4, c] * sky + lights[5, c] * (_F(1) - sky)
        out[c] = colour * cover * (ambient + lights[1, c] * light) + spark * lights[1, c] * cover * _F(0.55)


@kernel(inner=True)
def _teeth(
    x: Scalar, y: Scalar, z: Scalar, shade: Scalar, mouth: Floats, view: Floats, lights: Floats, out: Floats
) -> None:
    """Radiance of teeth, gums and tongue seen through a point of the mouth opening.

    mouth (6, 3): origin, right, up, forward (camera axes), (drop of the jaw, width of a tooth, brightness), tooth.
    """
    dx, dy, dz = x - mouth[0, 0], y - mouth[0, 1], z - mouth[0, 2]
    right = dx * mouth[1, 0] + dy * mouth[1, 1] + dz * mouth[1, 2]
    up = dx * mouth[2, 0] + dy * mouth[2, 1] + dz * mouth[2, 2]
    forward = dx * mouth[3, 0] + dy * mouth[3, 1] + dz * mouth[3, 2]
    sx = view[0] * mouth[1, 0] + view[1] * mouth[1, 1] + view[2] * mouth[1, 2]
    sy = view[0] * mouth[2, 0] + view[1] * mouth[2, 1] + view[2] * mouth[2, 2]
    sz = min(_F(-0.3), view[0] * mouth[3, 0] + view[1] * mouth[3, 1] + view[2] * mouth[3, 2])
    t = max(_F(0), forward + _F(0.35) + _F(0.16) * right * right) / -sz
    right, up = right + sx * t, up + sy * t
    drop, width = mouth[4, 0], mouth[4, 1]
    inner = _F(1) - _smoothstep(_F(1.2), _F(2.3), abs(right))
    cell = abs(right) / width
    gap = abs(cell - _floor(cell + _F(0.5)))
    seam = _F(0.78) + _F(0.22) * _smoothstep(_F(0.0), _F(0.14), gap)
    edge = _F(-0.42) - _F(0.05) * (_floor(cell) % 2) + _F(0.06) * cell
    upper = _smoothstep(edge - _F(0.05), edge + _F(0.05), up)
    low_top = edge - _F(0.08) - drop
    lower = (_F(1) - _smoothstep(low_top - _F(0.05), low_top + _F(0.05), up)) * _F(0.75)
    tooth = max(upper, lower)
    gum = _smoothstep(_F(0.42), _F(0.6), up)
    deep = (
        _F(0.9) - _F(0.65) * _smoothstep(_F(0.6), _F(1), shade) - _F(0.45) * _smoothstep(_F(0.6), _F(1), _F(1) - shade)
    )
    for c in range(3):
        flesh = _F(0.16) if c == 0 else _F(0.05)
        bone = mouth[5, c] * seam * (_F(1) - gum) + gum * (_F(0.3) if c == 0 else _F(0.12))
        hollow = flesh * _F(0.5)
        colour = (
            (bone * tooth * mouth[4, 2] + hollow * (_F(1) - tooth))
            * (_F(0.25) + _F(0.75) * inner)
            * max(_F(0.12), deep)
        )
        out[c] = colour * (
            lights[4, c] * _F(0.35) + lights[5, c] * _F(0.35) + lights[1, c] * _F(0.5) * max(_F(0.1), lights[0, 2])
        )


@kernel(inner=True, forceinline=True)
def _surface(
    group: Floats, cloth: bool, eye: Floats, lights: Floats, matrix: Floats, shadow: Floats, out: Floats
) -> None:
    """Radiance of skin or cloth. group: normal (3), point (3), albedo (3), openness, gloss, all already averaged.

    The diffuse term wraps round the terminator, furthest in red, for light that travelled through the skin.
    """
    nx, ny, nz = group[0], group[1], group[2]
    norm = _F(1) / math.sqrt(nx * nx + ny * ny + nz * nz + _F(1e-12))
    nx, ny, nz = nx * norm, ny * norm, nz * norm
    x, y, z = group[3], group[4], group[5]
    vx, vy, vz = eye[0] - x, eye[1] - y, eye[2] - z
    norm = _F(1) / math.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * norm, vy * norm, vz * norm
    facing = max(_F(0.02), nx * vx + ny * vy + nz * vz)
    open_, gloss = group[9], group[10] * (_F(0) if cloth else _F(1))
    lit = _soft_shadow(x + nx * _F(0.25), y + ny * _F(0.25), z + nz * _F(0.25), matrix, shadow, _F(0.26))
    rim = (_F(1) - facing) ** 3
    sky = _F(0.5) + _F(0.5) * ny
    for c in range(3):
        out[c] = group[6 + c] * open_ * (lights[4, c] * sky + lights[5, c] * (_F(1) - sky))
        out[c] += rim * gloss * _F(0.10) * lights[4, c] * open_
    for k in range(2):
        lx, ly, lz = lights[2 * k, 0], lights[2 * k, 1], lights[2 * k, 2]
        cosine = nx * lx + ny * ly + nz * lz
        share = lit if k == 0 else open_
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        hnorm = _F(1) / math.sqrt(hx * hx + hy * hy + hz * hz + _F(1e-6))
        mirror = max(_F(0), (nx * hx + ny * hy + nz * hz) * hnorm)
        m2 = mirror * mirror
        m8 = m2 * m2 * m2 * m2
        m32 = m8 * m8 * m8 * m8
        shine = gloss * (_F(0.055) * m8 * m2 + _F(0.10) * m32) * max(_F(0), min(_F(1), cosine * _F(4)))
        for c in range(3):
            wrap = _F(0.1) if cloth else (_F(0.34) if c == 0 else (_F(0.16) if c == 1 else _F(0.10)))
            diffuse = max(_F(0), (cosine + wrap) / (_F(1) + wrap))
            pass_ = share if cloth else (share ** (_F(0.75) if c == 0 else _F(1)))
            out[c] += lights[2 * k + 1, c] * pass_ * (group[6 + c] * diffuse * (_F(0.6) + _F(0.4) * open_) + shine)


@kernel(allocates=True)
def resolve(
    ids: Ints,
    bary: Floats,
    rgb: Floats,
    triangles: Ints,
    materials: NDArray[np.uint8],
    vertices: Floats,
    atlas: Floats,
    eyes: Floats,
    mouth: Floats,
    lights: Floats,
    matrix: Floats,
    shadow: Floats,
    eye: Floats,
    ground: Floats,
    cloth: Floats,
    factor: int,
    out: Floats,
) -> None:
    """Shade and average the samples: colour at every sample, light once a pixel and material.

    Parameters
    ----------
    ids : (H * factor, W * factor) int32
    bary : (H * factor, W * factor, 2) float32
    rgb : (H * factor, W * factor, 3) float32
        Radiance of strands.
    triangles : (T, 3) int32
    materials : (T,) uint8
        0 skin, 1 cloth, 2 and 3 eyes, 4 mouth.
    vertices : (V, 9) float32
        Normal, point (camera axes, cm), texel (u, v), shade of the opening.
    atlas : (A, B, 5) float32
        Linear red, green, blue, openness, gloss.
    eyes : (2, 6, 3) float32
        See `_eye`.
    mouth : (6, 3) float32
        See `_teeth`.
    lights : (6, 3) float32
        Key direction and colour, fill direction and colour, sky, floor.
    matrix, shadow : (3, 4) and (M, M) float32
        The key light's map.
    eye : (3,) float32
        The camera.
    ground : (H, W, 3) float32
        What is behind the figure.
    cloth : (3,) float32
    factor : int
        Samples along each side of a pixel.
    out : (H, W, 3) float32
        Linear radiance, written.
    """
    height, width = out.shape[0], out.shape[1]
    texel = np.zeros(5, np.float32)
    group = np.zeros((2, 11), np.float32)
    count = np.zeros(2, np.float32)
    colour = np.zeros(3, np.float32)
    view = np.zeros(3, np.float32)
    share = _F(1) / _F(factor * factor)
    for row in range(height):
        for column in range(width):
            red, green, blue = _F(0), _F(0), _F(0)
            empty = 0
            count[:] = _F(0)
            group[:] = _F(0)
            for j in range(factor):
                for i in range(factor):
                    r, c = row * factor + j, column * factor + i
                    t = ids[r, c]
                    if t == EMPTY:
                        empty += 1
                        continue
                    if t == STRAND:
                        red += rgb[r, c, 0]
                        green += rgb[r, c, 1]
                        blue += rgb[r, c, 2]
                        continue
                    a, b, d = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                    u, v = bary[r, c, 0], bary[r, c, 1]
                    w = _F(1) - u - v
                    material = materials[t]
                    if material >= 2:
                        x = u * vertices[a, 3] + v * vertices[b, 3] + w * vertices[d, 3]
                        y = u * vertices[a, 4] + v * vertices[b, 4] + w * vertices[d, 4]
                        z = u * vertices[a, 5] + v * vertices[b, 5] + w * vertices[d, 5]
                        shade = u * vertices[a, 8] + v * vertices[b, 8] + w * vertices[d, 8]
                        view[0], view[1], view[2] = x - eye[0], y - eye[1], z - eye[2]
                        norm = _F(1) / math.sqrt(view[0] * view[0] + view[1] * view[1] + view[2] * view[2])
                        view[0], view[1], view[2] = view[0] * norm, view[1] * norm, view[2] * norm
                        if material == 4:
                            _teeth(x, y, z, shade, mouth, view, lights, colour)
                        else:
                            _eye(x, y, z, shade, eyes, material - 2, view, lights, colour)
                        red += colour[0]
                        green += colour[1]
                        blue += colour[2]
                        continue
                    count[material] += _F(1)
                    for k in range(6):
                        group[material, k] += u * vertices[a, k] + v * vertices[b, k] + w * vertices[d, k]
                    tu = u * vertices[a, 6] + v * vertices[b, 6] + w * vertices[d, 6]
                    tv = u * vertices[a, 7] + v * vertices[b, 7] + w * vertices[d, 7]
                    _texel(atlas, tu, tv, texel)
                    for k in range(5):
                        group[material, 6 + k] += texel[k]
            for m in range(2):
                if count[m] > 0:
                    scale = _F(1) / count[m]
                    for k in range(11):
                        group[m, k] *= scale
                    if m == 1:
                        for k in range(3):
                            group[m, 6 + k] *= cloth[k]
                    _surface(group[m], m == 1, eye, lights, matrix, shadow, colour)
                    red += colour[0] * count[m]
                    green += colour[1] * count[m]
                    blue += colour[2] * count[m]
            out[row, column, 0] = (red + ground[row, column, 0] * empty) * share
            out[row, column, 1] = (green + ground[row, column, 1] * empty) * share
            out[row, column, 2] = (blue + ground[row, column, 2] * empty) * share
