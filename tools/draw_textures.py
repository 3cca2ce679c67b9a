"""Draw the mask textures of assets/masks from nothing: every picture there is the project's own work.

    python tools/draw_textures.py [--out assets/masks] [--only NAME]

A texture is an RGBA picture in shell coordinates: s runs to the right across the mask, t down from the nose to the
chin. Alpha is coverage. These are `ink` textures: red is the tone of the cloth (linear, 1 = as bright as the base
colour), green and blue are how much of the first and the second ink lies on it. The colours themselves are drawn anew
for every mask that is worn. Deterministic: same bytes every time.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 512, 384
Plane = NDArray[np.float32]


class Cloth(NamedTuple):
    """The four planes (HEIGHT, WIDTH) float32 in [0, 1] of one texture."""

    tone: Plane
    first: Plane
    second: Plane
    alpha: Plane


S, T = np.meshgrid(
    (np.arange(WIDTH, dtype=np.float32) + 0.5) / WIDTH, (np.arange(HEIGHT, dtype=np.float32) + 0.5) / HEIGHT
)
X = 2 * S - 1  # -1 left edge, 1 right edge


def blurred(plane: Plane, sigma: float) -> Plane:
    return cv2.GaussianBlur(plane, (0, 0), sigma)


def noise(seed: int, sigma: float, stretch: float = 1.0) -> Plane:
    """Smooth noise of unit deviation; `stretch` > 1 draws it out along s."""
    raw = np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH)).astype(np.float32)
    smooth = cv2.GaussianBlur(raw, (0, 0), sigmaX=sigma * stretch, sigmaY=sigma)
    return smooth / smooth.std()


def ridge(distance: Plane, width: float) -> Plane:
    """1 on a line, falling to 0 at about `width` from it."""
    return np.exp(-((distance / width) ** 2)).astype(np.float32)


def step(distance: Plane, width: float) -> Plane:
    """0 below, 1 above, soft over `width`."""
    return (1 / (1 + np.exp(-np.clip(distance / width, -30, 30)))).astype(np.float32)


def rounded(left: float, top: float, bottom: float, radius: float, soft: float = 0.006) -> Plane:
    """Coverage of a rounded rectangle with equal margins `left` on both sides; radius in units of s."""
    aspect = HEIGHT / WIDTH
    half_x, half_y = 0.5 - left, (bottom - top) / 2 * aspect
    qx = np.abs(S - 0.5) - half_x + radius
    qy = np.abs(T - (top + bottom) / 2) * aspect - half_y + radius
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - radius
    return step(-outside, soft * 0.4)


def fibres(seed: int, amount: float = 0.02) -> Plane:
    """The mottling of nonwoven cloth."""
    return amount * (0.7 * noise(seed, 1.6) + 0.8 * noise(seed + 1, 5) + 0.6 * noise(seed + 2, 18))


def pleat(line: Plane, depth: float) -> Plane:
    """A fold that overhangs downward: a lit crest, then a narrow dark step, then a slow return."""
    below = np.maximum(line, 0)
    return depth * (
        0.25 * ridge(line + 0.012, 0.012) - 0.8 * ridge(line - 0.008, 0.011) - 0.3 * np.exp(-below / 0.05) * (line > 0)
    )


def surgical(seed: int, hem: float, binding: bool, stitched: bool) -> Cloth:
    """A panel without its pleats, which are drawn anew for every mask: hems, the wire in the upper one, side seams."""
    tone = 0.93 + fibres(seed)
    beads = 0.5 + 0.5 * np.sin(2 * np.pi * 70 * S) if stitched else np.ones_like(S)
    for edge, depth in ((T - 0.02, 0.16), (0.985 - T, 0.12)):
        tone = tone - depth * beads * ridge(edge - hem, 0.009) + 0.05 * step(hem - 0.006 - edge, 0.008)
    wire = ridge((T - 0.045) / 0.016, 1.0) * step(0.24 - np.abs(S - 0.5), 0.02)
    tone = tone + 0.07 * wire - 0.08 * np.roll(wire, 9, 0)
    sides = 1 - np.abs(X)
    welds = 0.5 + 0.5 * np.sin(2 * np.pi * 44 * T) if stitched else np.ones_like(S)
    tone = tone - 0.10 * welds * ridge(sides - 0.085, 0.012) + 0.05 * step(0.08 - sides, 0.01)
    band = np.maximum(step(0.075 - sides, 0.006), step(hem - (T - 0.02), 0.008))
    first = band if binding else np.zeros_like(S)
    return Cloth(tone, first, np.zeros_like(S), rounded(0.012, 0.018, 0.985, 0.03))


def lettering(seed: int, left: float, top: float, rows: int, height: float, width: float) -> Plane:
    """Rows of marks that look like print from afar and are no letters of any script; 1 where there is ink."""
    rng, ink = np.random.default_rng(seed), np.zeros_like(S)
    for row in range(rows):
        t, s, end = top + 1.7 * row * height, left, left + width * rng.uniform(0.6, 1.0)
        while s < end:
            wide = height * rng.uniform(0.35, 0.6)
            inside = (np.abs(S - s - wide / 2) <= wide / 2) & (np.abs(T - t - height / 2) <= height / 2)
            u, v = (S - s) / wide, (T - t) / height
            bars = [np.abs(u - at) < 0.16 for at in (0.15, 0.85)] + [np.abs(v - at) < 0.13 for at in (0.12, 0.5, 0.88)]
            for k in rng.permutation(5)[:3]:
                ink = np.where(inside & bars[k], np.float32(1), ink)
            s += 1.4 * wide + (0.5 * height if rng.random() < 0.2 else 0)
    return blurred(ink.astype(np.float32), 0.6)


def dome(seed: int, clip: bool, ribs: bool) -> Cloth:
    """A moulded cup: a flat rim, one or two pressed ribs, an optional metal clip on the nose."""
    tone = 0.92 + fibres(seed, 0.025)
    reach = np.sqrt((X / 0.97) ** 2 + ((T - 0.5) / 0.485) ** 2)
    tone = tone - 0.10 * ridge(reach - 0.90, 0.012) + 0.05 * ridge(reach - 0.875, 0.016)
    dots = 0.5 + 0.5 * np.sin(140 * np.arctan2(T - 0.5, X))
    tone = tone - 0.05 * dots * ridge(reach - 0.945, 0.014)
    if ribs:
        for at in (0.36, 0.68):
            line = T - at - 0.05 * (X**2)
            tone = tone + (0.05 * ridge(line + 0.012, 0.014) - 0.07 * ridge(line - 0.012, 0.014)) * step(
                0.82 - reach, 0.03
            )
    first = np.zeros_like(S)
    if clip:
        bar = ridge((T - 0.075 - 0.10 * X**2) / 0.026, 1.0) ** 0.7 * step(0.20 - np.abs(S - 0.5), 0.008)
        first = np.clip(1.3 * bar, 0, 1)
        tone = tone + 0.06 * first - 0.06 * np.roll(first, 8, 0) * (1 - first)
    tone = tone - 0.3 * lettering(seed + 3, 0.56, 0.60, 3, 0.028, 0.14)
    squareness = (np.abs(X) / 0.985) ** 2.6 + (np.abs(T - 0.5) / 0.49) ** 2.6
    return Cloth(tone, first, np.zeros_like(S), step(1 - squareness, 0.012))


def valve(base: Cloth, centre: tuple[float, float], square: bool) -> Cloth:
    """An exhalation valve: a raised plastic cover with slots."""
    x, y = (S - centre[0]) / 0.105, (T - centre[1]) / 0.125
    reach = (np.abs(x) ** 4 + np.abs(y) ** 4) ** 0.25 if square else np.hypot(x, y)
    cover = step(1 - reach, 0.03)
    shade = (
        0.10 * np.clip(-y, -1, 1) * cover
        - 0.2 * ridge(reach - 0.97, 0.07)
        - 0.2 * ridge(reach - 0.97, 0.07) * (y > 0)
        + 0.10 * ridge(reach - 0.93, 0.05) * (y < 0)
    )
    slots = sum(ridge(y - at, 0.05) for at in (-0.45, -0.15, 0.15, 0.45)) * step(0.62 - np.abs(x), 0.05) * cover
    drop = blurred(np.roll(cover, 8, 0), 6) * (1 - cover)
    return base._replace(tone=base.tone + shade - 0.32 * slots - 0.16 * drop, second=cover)


def folded(seed: int, weld: bool, panel: bool, bar: bool) -> Cloth:
    """A KN95: two flat halves welded on the middle line, dotted welds along the edges."""
    tone = 0.92 + fibres(seed, 0.025) + 0.02 * noise(seed + 9, 30)
    tone = tone - 0.10 * ridge(X, 0.008) + 0.05 * ridge(np.abs(X) - 0.022, 0.012)
    beads = 0.5 + 0.5 * np.sin(2 * np.pi * 46 * S)
    for edge in (T - 0.035, 0.965 - T):
        tone = tone - (0.03 + 0.07 * beads) * ridge(edge - 0.02, 0.010) - 0.05 * ridge(edge - 0.05, 0.006)
    if weld:
        line = T - 0.20 - 0.16 * np.abs(X)
        tone = tone - 0.06 * (0.6 + 0.4 * beads) * ridge(line, 0.008)
    if panel:
        for at in (0.36, 0.66):
            line = T - at + 0.10 * (np.abs(X) - 0.4) * np.sign(at - 0.5)
            tone = tone - 0.07 * ridge(line, 0.008) + 0.03 * ridge(line + 0.02, 0.014)
    if bar:
        wire = step(0.10 - np.abs(S - 0.5), 0.006) * ridge((T - 0.085 - 0.1 * np.abs(X)) / 0.022, 1.0)
        tone = tone - 0.16 * wire + 0.10 * np.roll(wire, -7, 0) * (1 - wire)
    tone = tone - 0.4 * lettering(seed + 3, 0.60, 0.56, 3, 0.03, 0.16)
    side = 1 - np.abs(X)
    tone = tone - 0.06 * (0.5 + 0.5 * np.sin(2 * np.pi * 30 * T)) * ridge(side - 0.05, 0.012)
    return Cloth(tone, np.zeros_like(S), np.zeros_like(S), rounded(0.012, 0.016, 0.985, 0.075))


def sewn(seed: int, seam: bool, pleats: bool) -> tuple[Plane, Plane]:
    """Tone and coverage of a cotton mask: weave, hems with stitches, a middle seam or two deep pleats."""
    weave = 0.012 * np.sign(np.sin(2 * np.pi * 128 * S) * np.sin(2 * np.pi * 96 * T)).astype(np.float32)
    tone = 0.90 + blurred(weave, 0.8) + fibres(seed, 0.02) + 0.03 * noise(seed + 5, 34)
    stitches = (np.sin(2 * np.pi * 60 * S) > 0).astype(np.float32)
    hem = np.minimum(T - 0.018, 0.985 - T)
    tone = tone - 0.07 * stitches * ridge(hem - 0.05, 0.006) - 0.05 * ridge(hem - 0.058, 0.012)
    tone = tone - 0.05 * ridge(1 - np.abs(X) - 0.09, 0.014)
    if seam:
        tone = tone - 0.14 * ridge(X, 0.010) + 0.05 * ridge(np.abs(X) - 0.03, 0.014)
    if pleats:
        for at in (0.38, 0.60):
            tone = tone + pleat(T - at + 0.03 * noise(seed + 7, 60) * 0.3, 0.40)
    return tone, rounded(0.012, 0.018, 0.985, 0.085 if seam else 0.05)


def stripes(seed: int) -> tuple[Plane, Plane]:
    turn = np.random.default_rng(seed).uniform(-0.5, 0.5)
    along = S * np.cos(turn) + T * 0.75 * np.sin(turn)
    thin = 0.32 * step(np.sin(2 * np.pi * 23 * along) - 0.3, 0.3)  # bold ones are taken for anything but masks
    return thin, 0.24 * step(np.sin(2 * np.pi * 5.75 * along + 2.2) - 0.85, 0.05)


def gingham(seed: int) -> tuple[Plane, Plane]:
    a, b = step(np.sin(2 * np.pi * 17 * S), 0.1), step(np.sin(2 * np.pi * 12.5 * T), 0.1)
    return 0.5 * (a + b), np.zeros_like(S)


def tartan(seed: int) -> tuple[Plane, Plane]:
    def bands(x: Plane, n: float) -> Plane:
        return 0.6 * step(np.sin(2 * np.pi * n * x) - 0.2, 0.05) + 0.4 * step(np.sin(4 * np.pi * n * x + 1) - 0.8, 0.05)

    lines = step(np.sin(2 * np.pi * 9 * S + 2.5) - 0.97, 0.01) + step(np.sin(2 * np.pi * 6.75 * T + 2.5) - 0.97, 0.01)
    return np.clip(0.55 * (bands(S, 9) + bands(T, 6.75)), 0, 1), np.clip(lines, 0, 1)


def blossoms(seed: int) -> tuple[Plane, Plane]:
    rng = np.random.default_rng(seed)
    first, second = np.zeros_like(S), np.zeros_like(S)
    for _ in range(150):
        cx, cy, r, turn = rng.random(), rng.random(), rng.uniform(0.014, 0.032), rng.uniform(0, 6.3)
        dx, dy = S - cx, (T - cy) * 0.75
        angle, reach = np.arctan2(dy, dx) + turn, np.hypot(dx, dy)
        petal = step(r * (0.72 + 0.28 * np.cos(5 * angle)) - reach, 0.0025)
        leaf = (
            step(0.008 - np.abs(dx * np.sin(turn) - dy * np.cos(turn)), 0.002)
            * step(2.2 * r - reach, 0.004)
            * (reach > r)
        )
        first = np.maximum(first * (1 - leaf), petal)
        second = np.maximum(second * (1 - petal), np.maximum(0.8 * leaf, step(0.3 * r - reach, 0.002)))
    return first, second


def camouflage(seed: int) -> tuple[Plane, Plane]:
    a, b = noise(seed, 9, 1.3), noise(seed + 1, 8, 1.3)
    return 0.6 * step(a - 0.25, 0.05), 0.5 * step(b - 0.75, 0.05)


def chevrons(seed: int) -> tuple[Plane, Plane]:
    wave = np.abs((S * 14) % 1 - 0.5) * 0.10
    return step(np.sin(2 * np.pi * 12 * (T + wave)), 0.12), np.zeros_like(S)


def flecked(seed: int) -> tuple[Plane, Plane]:
    """Melange cloth: short threads of other colours along t and s."""
    along, across = noise(seed, 1.6, 5), noise(seed + 1, 1.6, 5)
    return step(along - 0.4, 0.25), step(across - 1.1, 0.2)


def plain(seed: int) -> tuple[Plane, Plane]:
    return np.zeros_like(S), np.zeros_like(S)


def cloth(seed: int, pattern: Callable[[int], tuple[Plane, Plane]], seam: bool, pleats: bool = False) -> Cloth:
    tone, alpha = sewn(seed, seam, pleats)
    first, second = pattern(seed + 50)
    return Cloth(tone, first, second, alpha)


def sponge(seed: int, *holes: tuple[float, float, float, float]) -> Cloth:
    """A moulded foam mask of two halves: broad arms reach back to the ears, which stand in the holes between them.

    `holes` are one for both sides, or left and right: |X| and T of the middle, and half of the width and height there.
    Most are open behind, where the arms meet at the ear.
    """
    tone = 0.8 + 0.03 * noise(seed, 1.7) + 0.012 * noise(seed + 2, 4) + 0.02 * noise(seed + 1, 14)
    out = np.clip((np.abs(X) - 0.70) / 0.30, 0, 1)
    top, bottom = 0.02 + 0.13 * out**2, 0.98 - 0.20 * out**2
    alpha = step(np.minimum(T - top, bottom - T), 0.006) * step(0.985 - np.abs(X), 0.006)
    tone = tone + 0.18 * ridge(T - top - 0.012, 0.016) + 0.1 * ridge(bottom - T - 0.012, 0.016)
    for side, (x, t, wide, high) in zip((-1, 1), (holes[0], holes[-1]), strict=True):
        hole = (np.abs((side * X - x) / wide) ** 2.3 + np.abs((T - t) / high) ** 2.3) ** (1 / 2.3)
        alpha = alpha * step(hole - 1, 0.015)
        tone = tone + 0.16 * ridge((hole - 1) * wide / 2 - 0.006, 0.014)  # cut edges curl toward the light
    return Cloth(tone, np.zeros_like(S), np.zeros_like(S), alpha)


def creases(seed: int, side: int = 256) -> NDArray[np.uint8]:
    """Slopes (side, side, 2) of crumpled cloth along s and t, periodic, 128 = flat, 40 levels a deviation.

    Crumpled cloth is made of facets with sharp ridges between them: sums of the absolute values of smooth periodic
    noise.
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side) * side, np.fft.fftfreq(side) * side))
    height = np.zeros((side, side))
    for band, weight in ((3.0, 1.0), (6.0, 0.55), (12.0, 0.25)):
        spectrum = np.fft.fft2(rng.standard_normal((side, side))) * np.exp(-(((frequency - band) / (0.5 * band)) ** 2))
        field = np.fft.ifft2(spectrum).real
        height += weight * np.abs(field / field.std()) / band * 3
    slopes = np.stack([np.roll(height, -1, axis) - np.roll(height, 1, axis) for axis in (1, 0)], -1)
    slopes /= slopes.std()
    slopes = np.stack(
        [np.fft.ifft2(np.fft.fft2(slopes[..., k]) * np.exp(-((frequency / 40) ** 2))).real for k in (0, 1)], -1
    )
    return np.round(np.clip(128 + 40 * slopes, 0, 255)).astype(np.uint8)


TEXTURES: dict[str, Callable[[], Cloth]] = {
    "surgical-a": lambda: surgical(11, 0.065, False, False),
    "surgical-b": lambda: surgical(12, 0.08, True, False),
    "surgical-c": lambda: surgical(13, 0.055, False, True),
    "n95-plain": lambda: dome(21, False, False),
    "n95-ribbed": lambda: dome(22, False, True),
    "n95-clip": lambda: dome(23, True, False),
    "n95-valve-middle": lambda: valve(dome(24, False, True), (0.5, 0.60), True),
    "n95-valve-side": lambda: valve(dome(25, True, False), (0.635, 0.53), False),
    "n95-valve-round": lambda: valve(dome(26, False, False), (0.5, 0.57), False),
    "kn95-a": lambda: folded(31, True, False, True),
    "kn95-b": lambda: folded(32, False, False, False),
    "kn95-fish": lambda: folded(33, False, True, True),
    "cloth-plain-seam": lambda: cloth(41, plain, True),
    "cloth-plain-pleats": lambda: cloth(42, plain, False, True),
    "cloth-stripes": lambda: cloth(43, stripes, True),
    "cloth-gingham": lambda: cloth(44, gingham, False, True),
    "cloth-tartan": lambda: cloth(45, tartan, True),
    "cloth-blossoms": lambda: cloth(46, blossoms, False, True),
    "cloth-camouflage": lambda: cloth(47, camouflage, True),
    "cloth-chevrons": lambda: cloth(48, chevrons, True),
    "cloth-flecked": lambda: cloth(49, flecked, False),
    "sponge-a": lambda: sponge(51, (1.08, 0.42, 0.40, 0.19), (1.06, 0.43, 0.36, 0.18)),
    "sponge-b": lambda: sponge(52, (0.90, 0.43, 0.13, 0.15)),
    "sponge-c": lambda: sponge(53, (1.12, 0.42, 0.42, 0.21)),
    "sponge-d": lambda: sponge(54, (1.10, 0.40, 0.40, 0.17), (1.14, 0.41, 0.46, 0.19)),
    "sponge-e": lambda: sponge(55, (1.15, 0.45, 0.36, 0.20)),
    "sponge-f": lambda: sponge(56, (1.16, 0.41, 0.44, 0.18), (1.10, 0.41, 0.42, 0.17)),
    "sponge-g": lambda: sponge(57, (1.08, 0.42, 0.28, 0.16)),
    "sponge-h": lambda: sponge(58, (1.20, 0.40, 0.42, 0.20)),
}


def png(texture: Cloth) -> bytes:
    """The texture as RGBA PNG with the highest compression."""
    planes = [texture.second, texture.first, texture.tone, texture.alpha]  # cv2 writes BGRA
    picture = np.stack([np.round(np.clip(p, 0, 1) * 255).astype(np.uint8) for p in planes], -1)
    picture[..., :3][picture[..., 3] == 0] = 0
    done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done
    return encoded.tobytes()


def creases_png() -> bytes:
    """The crease map as PNG: red the slope along s, green along t."""
    slopes = creases(61)
    done, encoded = cv2.imencode(
        ".png", np.stack([np.full_like(slopes[..., 0], 128), slopes[..., 1], slopes[..., 0]], -1)
    )
    assert done
    return encoded.tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets" / "masks")
    parser.add_argument("--only", choices=sorted(TEXTURES))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, draw in TEXTURES.items():
        if arguments.only in (None, name):
            blob = png(draw())
            (arguments.out / f"{name}.png").write_bytes(blob)
            print(f"{name}: {len(blob)} bytes, crc {zlib.crc32(blob):08x}")
    if arguments.only is None:
        (arguments.out / "creases.png").write_bytes(creases_png())


if __name__ == "__main__":
    main()
