"""Draw docs/masks.jpg, drawn people bare and in each type of mask: ``python tools/draw_readme_picture.py [FILE]``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import facekit
from facekit.images import encode_jpeg
from facekit.masks import TYPES

PICTURE = Path(__file__).parents[1] / "docs" / "masks.jpg"
GAP = 4


def pairs(pack: facekit.Pack) -> list[npt.NDArray[np.uint8]]:
    """For each type one person who can wear it, bare above masked; a person is shown once."""
    columns, shown = [], set[int]()
    for type in TYPES:
        for key, label in zip(pack.keys.tolist(), pack.labels.tolist()):
            if label in shown:
                continue
            try:
                worn = facekit.wear_mask(pack.image(key), type=type, seed=key, rims=True)
            except facekit.NoFace:
                continue
            shown.add(label)
            columns.append(np.concatenate([padded(pack.image(key)), padded(worn.image), named(type)]))
            break
    return columns


def padded(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture with a thin white margin."""
    return np.pad(image, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)


def named(type: str) -> npt.NDArray[np.uint8]:
    """The name of a type, in the middle of a white strip as wide as a padded picture."""
    strip, font, size = np.full((18, 112 + 2 * GAP, 3), 255, np.uint8), cv2.FONT_HERSHEY_SIMPLEX, 0.42
    (width, _), _ = cv2.getTextSize(type, font, size, 1)
    cv2.putText(strip, type, ((strip.shape[1] - width) // 2, 12), font, size, (40, 40, 40), 1, cv2.LINE_AA)
    return strip


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        drawn = ["--identities", "30", "--images", "3", "--seed", "8"]
        command = [sys.executable, "-m", "facekit", "synth", f"{scratch}/people", *drawn]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with facekit.open_pack(f"{scratch}/people") as pack:
            picture = np.concatenate(pairs(pack), axis=1)
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE).write_bytes(encode_jpeg(picture, 92, "4:4:4"))


if __name__ == "__main__":
    main()
