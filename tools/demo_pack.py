"""Make a small pack to try facekit on, from the one face that scikit-image ships (NASA's portrait of Eileen Collins).

    python tools/demo_pack.py demo/faces

The crops differ in scale, tilt, turn, light, colour, grain and compression, as photographs do. They are all the same
person: good for looking at masks, useless for training.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facekit import Header, PackWriter
from facekit.faces.align import TEMPLATE, similarity
from facekit.images import encode_jpeg

POINTS = np.array([[202.9, 100.8], [246.7, 103.4], [222.2, 128.5], [200.5, 138.5], [245.5, 141.4]])
"""(x, y) of eyes, nose and mouth corners in the 512 x 512 photograph."""

SIDE = 112
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """How one crop differs from the photograph. Angles in degrees, light and grain as fractions of full brightness."""

    scale: float
    tilt: float
    turn: float
    shift: tuple[float, float]
    gain: float
    gamma: float
    slope: tuple[float, float]
    cast: tuple[float, float, float]
    blur: float
    grain: float
    grey: bool
    mirrored: bool
    quality: int


def sample_look(rng: np.random.Generator) -> Look:
    """Draw everything random about one crop."""
    uniform = rng.uniform
    return Look(
        scale=uniform(0.92, 1.1),
        tilt=uniform(-12, 12),
        turn=uniform(-25, 25),
        shift=(uniform(-3, 3), uniform(-3, 3)),
        gain=uniform(0.55, 1.15),
        gamma=uniform(0.75, 1.35),
        slope=(uniform(-0.5, 0.5), uniform(-0.3, 0.3)),
        cast=(uniform(0.85, 1.1), uniform(0.92, 1.04), uniform(0.8, 1.15)),
        blur=max(0.0, uniform(-0.6, 1.0)),
        grain=uniform(0, 0.04),
        grey=bool(rng.random() < 0.12),
        mirrored=bool(rng.random() < 0.5),
        quality=int(rng.integers(70, 97)),
    )


def render(photograph: Picture, look: Look, rng: np.random.Generator) -> Picture:
    """The aligned crop of the face with a look. Returns (112, 112, 3) uint8 RGB."""
    import cv2

    matrix = _turned(similarity(POINTS, TEMPLATE), look)
    crop = cv2.warpAffine(photograph, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
    values = (crop / 255.0) ** look.gamma * look.gain * np.asarray(look.cast)
    y, x = np.mgrid[-0.5 : 0.5 : SIDE * 1j, -0.5 : 0.5 : SIDE * 1j]
    values *= (1 + look.slope[0] * x + look.slope[1] * y)[..., None]
    if look.grey:
        values[:] = values @ np.array([0.299, 0.587, 0.114])[:, None]
    if look.blur > 0:
        values = cv2.GaussianBlur(values, (0, 0), look.blur)
    values = values + look.grain * rng.standard_normal((SIDE, SIDE, 1))
    if look.mirrored:
        values = values[:, ::-1]
    return np.clip(values * 255, 0, 255).round().astype(np.uint8)


def _turned(matrix: npt.NDArray[np.float64], look: Look) -> npt.NDArray[np.float64]:
    """The alignment followed by the look's scale, tilt, shift, and a turn, which narrows the face about its middle."""
    centre = np.array([56.0, 72.0])
    angle = np.radians(look.tilt)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    change = turn @ np.diag([look.scale * np.cos(np.radians(look.turn)), look.scale])
    linear = change @ matrix[:, :2]
    return np.column_stack([linear, change @ (matrix[:, 2] - centre) + centre + look.shift])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", help="folder to write")
    parser.add_argument("--people", type=int, default=12, help="labels (default 12)")
    parser.add_argument("--pictures", type=int, default=8, help="pictures a label (default 8)")
    given = parser.parse_args()
    from skimage.data import astronaut

    photograph = astronaut()
    with PackWriter(given.pack, "insightface", overwrite=True) as pack:
        for label in range(given.people):
            for number in range(given.pictures):
                rng = np.random.default_rng([label, number])
                look = sample_look(rng)
                payload = encode_jpeg(render(photograph, look, rng), look.quality)
                pack.write(Header(0, float(label), pack.next_key, 0), payload)


if __name__ == "__main__":
    main()
