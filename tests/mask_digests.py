"""What is pinned of masks: pixels from fixed parameters, mesh and picture, one strip a type; and the choices of a plan.

    python tests/mask_digests.py            makes tests/golden/masks anew

It refuses where pixels differ from the golden ones and `VERSION` in facekit/masks/params.py is the same: a ledger of
that version would no longer give the pictures that it gave. Raise the version, and say why in the commit.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.images import decode, encode_like
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.plan import copies_of
from facekit.jobs.mask.shard import draw_type
from facekit.masks import TYPES, MaskParams, render_worn, sample_params
from facekit.masks.params import VERSION

Picture = npt.NDArray[np.uint8]

FOLDER = Path(__file__).parent / "golden" / "masks"
HEIGHT, WIDTH = 76, 64
STEP = 1 / 16  # pixels; the mesh is kept in whole steps, so that it is the same everywhere
LEVELS = 1  # by which a pixel may differ
PLANS = {"replace": 0.3, "add": 0.6}
SEED = 2024


def picture() -> Picture:
    """Skin lit from the upper left with a little grain; made of whole numbers only."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.int64)
    grain = ((x * 7919 + y * 104729 + x * y * 31) * 2654435761 >> 13) % 7 - 3
    light = 118 - 36 * y // HEIGHT - 26 * x // WIDTH
    colour = np.array([190, 142, 118])
    return (light[..., None] * colour // 100 + grain[..., None]).clip(0, 255).astype(np.uint8)


def kept() -> dict[str, Any]:
    """The golden file: version, mesh in steps of 1/16 pixel, parameters a type, plans."""
    return dict(json.loads((FOLDER / "masks.json").read_text("utf-8")))


def strips() -> dict[str, Picture]:
    """The golden pixels, (HEIGHT, WIDTH, 3) a type."""
    sheet = decode((FOLDER / "masks.png").read_bytes())
    return dict(zip(TYPES, np.split(sheet, len(TYPES), axis=1), strict=True))


def rendered(row: dict[str, Any], type: str) -> Picture:
    """The picture under the mask of a type, as this machine draws it now."""
    vertices = (np.array(row["mesh"], np.float32) * np.float32(STEP)).reshape(-1, 3)
    return render_worn(picture(), vertices, MaskParams.from_json(json.dumps(row["params"][type]))).image


def distance(one: Picture, other: Picture) -> int:
    """Levels by which two pictures differ at most."""
    return int(np.abs(one.astype(int) - other).max())


def chosen(mode: str) -> list[str]:
    """Key, copy and mask type of everything that a plan masks, for keys of every size."""
    keys = np.array([1, 2, 3, 1 << 40, (1 << 63) - 1, *(k * k * k + 5 for k in range(1, 60))], np.int64)
    config = MaskConfig("a", "b", seed=SEED, mode=mode, ratio=PLANS[mode])
    copies = copies_of(keys, SEED, PLANS[mode], mode)
    return [
        f"{key} {copy} {draw_type(np.random.default_rng([SEED, key, copy]), config.types)}"
        for key, count in zip(keys.tolist(), copies.tolist(), strict=True)
        for copy in range(count)
    ]


def fresh() -> dict[str, Any]:
    """What goes into a golden file that is made today."""
    from mask_faces import turned

    mesh = np.rint(turned(14, -6, 3.1, (31.5, 38.5)) / STEP).astype(int).ravel().tolist()
    drawn = {type: sample_params(np.random.default_rng([SEED, i]), type) for i, type in enumerate(TYPES)}
    params = {type: json.loads(one.to_json()) for type, one in drawn.items()}
    return {"version": VERSION, "mesh": mesh, "params": params, "plans": {mode: chosen(mode) for mode in PLANS}}


def main() -> None:
    """Make the golden files anew."""
    if (FOLDER / "masks.json").exists():
        old, pixels = kept(), strips()
        same = old["version"] == VERSION
        changed = [type for type in TYPES if same and distance(rendered(old, type), pixels[type]) > LEVELS]
        if changed:
            sys.exit(f"pixels of {', '.join(changed)} differ; raise VERSION in facekit/masks/params.py and say why")
    row = fresh()
    FOLDER.mkdir(parents=True, exist_ok=True)
    sheet = np.concatenate([rendered(row, type) for type in TYPES], axis=1)
    (FOLDER / "masks.png").write_bytes(encode_like(sheet, b"\x89PNG\r\n\x1a\n" + b"\0" * 17 + b"\2" + b"\0" * 8))
    (FOLDER / "masks.json").write_text(json.dumps(row, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
