"""What the gate lets through: real aligned faces it should, and pictures made from them and others that it should not.

    python benchmarks/gate_quality.py [--pack ../shared/data/faces] [--count 300]

No really masked face is at hand: crude masks are painted over the lower half in five colours, the last one skin.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from oracles import SHARED

from facekit import open_pack
from facekit.faces.gate import REASONS, gate
from facekit.faces.mesh import LiteRTMesh, pose

Picture = NDArray[np.uint8]
LEAST_ACCEPTED = 0.97
COLOURS = {"white": (225, 225, 228), "blue": (140, 180, 215), "black": (28, 28, 30), "red": (150, 60, 70)}
# Outline of a worn mask: under the eyes, over the bridge of the nose, along the jaw.
# fmt: off
OUTLINE = [
    234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323,
    454, 447, 346, 347, 277, 343, 412, 351, 6, 122, 188, 114, 47, 118, 117, 227,
]
# fmt: on


def no_faces(rng: np.random.Generator, count: int) -> dict[str, list[Picture]]:
    """Noise of every coarseness, flat colours, gradients, and what scikit-image shows besides a face."""
    import skimage.data

    noise = [rng.integers(0, 256, (n, n, 3), np.uint8) for n in rng.choice([3, 4, 6, 8, 12, 16, 32, 112], count)]
    ramps = np.linspace(-1, 1, 112)
    slopes = rng.uniform(-120, 120, (count, 2, 3))
    flat = [ramps[:, None, None] * a + ramps[None, :, None] * b + rng.uniform(30, 225, 3) for a, b in slopes]
    scenes = [skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket(), *map(_rgb, _grey_scenes())]
    return {
        "noise": [cv2.resize(n, (112, 112)) for n in noise],
        "flat": [np.clip(f, 0, 255).astype(np.uint8) for f in flat],
        "things": [_window(scenes[i % len(scenes)], rng) for i in range(count)],
    }


def _grey_scenes() -> list[Picture]:
    import skimage.data

    return [skimage.data.coins(), skimage.data.text(), skimage.data.page(), skimage.data.clock()]


def _rgb(grey: Picture) -> Picture:
    return np.repeat(grey[..., None], 3, axis=2)


def _window(scene: Picture, rng: np.random.Generator) -> Picture:
    side = int(rng.integers(60, min(scene.shape[:2])))
    y, x = (int(rng.integers(0, n - side + 1)) for n in scene.shape[:2])
    return _resized(scene[y : y + side, x : x + side])


def _resized(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (112, 112), interpolation=cv2.INTER_AREA), np.uint8)


def spoilt(face: Picture, vertices: NDArray[np.float32], rng: np.random.Generator) -> dict[str, Picture]:
    """One bare face in every state in which no mask may be put on it."""
    states = {
        "upside down": face[::-1].copy(),
        "lying": np.rot90(face).copy(),
        "corner": _resized(face[:30, :30]),
        "half outside": _moved(face, 1.0, 50.0, 0.0),
        "too small": _moved(face, 0.35, 36.0, 36.0),
        "too large": _moved(face, 2.5, -84.0, -84.0),
    }
    for name, value in (
        ("lower half flat", rng.integers(0, 256, 3)),
        ("lower half noise", rng.integers(0, 256, (50, 112, 3))),
    ):
        states[name] = face.copy()
        states[name][62:] = value
    forehead = vertices[[151, 108, 337], :2].mean(0).round().astype(int).clip(0, 111)
    skin = tuple(int(v) for v in face[forehead[1], forehead[0]])
    for name, colour in {**COLOURS, "skin": skin}.items():
        states[f"painted {name}"] = painted(face, vertices, colour, rng)
    return states


def _moved(face: Picture, scale: float, x: float, y: float) -> Picture:
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    return np.asarray(cv2.warpAffine(face, matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def painted(face: Picture, vertices: NDArray[np.float32], colour: tuple[int, ...], rng: np.random.Generator) -> Picture:
    """A crude worn mask: one colour, darker toward the sides and the bottom, with grain and a few soft blotches."""
    coverage = np.zeros((112, 112), np.float32)
    cv2.fillPoly(coverage, [np.round(vertices[OUTLINE, :2] * 8).astype(np.int32)], 1.0, cv2.LINE_AA, 3)
    opacity = cv2.GaussianBlur(coverage, (0, 0), 0.8)[..., None]
    y, x = np.mgrid[:112, :112].astype(np.float32)
    shade = 1 - 0.25 * ((x - vertices[1, 0]) / 40) ** 2 - 0.15 * (y - vertices[1, 1]) / 40
    blotches = cv2.resize(rng.normal(0, 14, (9, 9)).astype(np.float32), (112, 112))
    cloth = np.array(colour) * shade[..., None] + (blotches + rng.normal(0, 4, (112, 112)))[..., None]
    return np.clip(face * (1 - opacity) + cloth * opacity, 0, 255).astype(np.uint8)


def judge(images: list[Picture], estimator: LiteRTMesh) -> Counter[str]:
    return Counter(gate(estimator(image), image.shape) or "accepted" for image in images)


def print_line(name: str, counts: Counter[str]) -> None:
    total = sum(counts.values())
    shares = "".join(f"{counts[word] / total:>10.3f}" for word in ("accepted", *REASONS))
    print(f"{name:<18}{total:>7}{shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, default=SHARED / "data" / "faces")
    parser.add_argument("--count", type=int, default=300, help="pictures of each kind that should be refused")
    arguments = parser.parse_args()
    rng, estimator, pack = np.random.default_rng(0), LiteRTMesh(), open_pack(arguments.pack)
    faces = [pack.image(int(key)) for key in pack.keys]
    meshes = [estimator(face) for face in faces]
    reasons = [gate(mesh, face.shape) for mesh, face in zip(meshes, faces, strict=True)]
    print(f"{'':<18}{'n':>7}" + "".join(f"{word:>10}" for word in ("accepted", *REASONS)))
    turn = np.array([abs(pose(mesh.vertices).yaw) for mesh in meshes])
    ranges: dict[str, Callable[[float], bool]] = {
        "faces": lambda _: True,
        "yaw below 15": lambda yaw: yaw < 15,
        "yaw 15 to 30": lambda yaw: 15 <= yaw < 30,
        "yaw above 30": lambda yaw: yaw >= 30,
    }
    for name, inside in ranges.items():
        print_line(name, Counter(r or "accepted" for r, yaw in zip(reasons, turn, strict=True) if inside(yaw)))
    bare = [n for n in rng.permutation(len(faces)) if reasons[n] is None][: arguments.count]
    made: dict[str, list[Picture]] = no_faces(rng, arguments.count)
    for n in bare:
        for name, image in spoilt(faces[n], meshes[n].vertices, rng).items():
            made.setdefault(name, []).append(image)
    for name, images in made.items():
        print_line(name, judge(images, estimator))
    accepted = reasons.count(None) / len(reasons)
    print(f"\naccepts {accepted:.4f} of the faces (limit {LEAST_ACCEPTED})")
    sys.exit(0 if accepted >= LEAST_ACCEPTED else 1)


if __name__ == "__main__":
    main()
