"""How often facekit tells a worn mask from a bare face (`--branch auto`), and the fit of the rule that does.

    python benchmarks/worn_masks.py measure REAL/masked REAL/bare [--bare PACK]
    python benchmarks/worn_masks.py fit PACK --faces 3000

measure  Packs of really masked and of bare faces; with --bare how many of another pack of bare faces are taken for
         masked.
fit      Three quarters of the faces, bare and with a mask rendered, each also shifted, stretched, lit, blurred and
         sharpened: a logistic regression writes assets/faces/worn_mask.npy. One in three hundred bare faces of the
         other quarter lies above the limit. Nothing of really worn masks is used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit import open_pack
from facekit.faces.gate import gate
from facekit.faces.mesh import LiteRTMesh, rounded
from facekit.faces.worn import mask_features, mask_scores
from facekit.masks import MaskOptions, render_worn, sample_params
from facekit.masks.catalogue import AS_WORN

ASSET = Path(__file__).resolve().parents[1] / "assets" / "faces" / "worn_mask.npy"
VARIANTS = 3
BARE_ABOVE = 1 / 300
Pictures = NDArray[np.uint8]


def pictures_of(path: str, count: int | None = None, skip: int = 0) -> list[Pictures]:
    """Pictures of a pack, a random but fixed choice."""
    with open_pack(path) as pack:
        keys = np.random.default_rng(18).permutation(pack.keys)[skip:][:count]
        return [pack.image(int(key)) for key in np.sort(keys)]


def changed(image: Pictures, rng: np.random.Generator) -> Pictures:
    """Another crop, light and sharpness of the same picture."""
    turn = np.vstack([cv2.getRotationMatrix2D((56, 60), rng.normal(0, 2), 1), [0, 0, 1]])
    wide, high = rng.uniform(0.95, 1.05, 2)
    right, down = rng.normal(0, 1.5, 2)
    stretch = np.array([[wide, 0, 56 - 56 * wide + right], [0, high, 60 - 60 * high + down], [0, 0, 1]])
    moved = cv2.warpAffine(image, (stretch @ turn)[:2], (112, 112), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    kind = rng.random()
    if kind < 0.3:
        moved = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.4, 1.3))
    elif kind < 0.6:
        moved += 0.6 * (moved - cv2.GaussianBlur(moved, (0, 0), 1.2))
    return np.clip(moved * rng.uniform(0.7, 1.25), 0, 255).astype(np.uint8)


def masked(images: list[Pictures]) -> list[Pictures | None]:
    """Each with a mask, of types as people wear them; None where the face is refused."""
    estimator, names, odds = LiteRTMesh(), list(AS_WORN), np.array(list(AS_WORN.values()), float)
    found: list[Pictures | None] = []
    for place, image in enumerate(images):
        mesh, rng = rounded(estimator(image)), np.random.default_rng([18, place])
        kind = str(rng.choice(names, p=odds / odds.sum()))
        worn = None if gate(mesh, image.shape) else render_worn(
            image, mesh.vertices, sample_params(rng, kind, MaskOptions())
        ).image  # fmt: skip
        found.append(worn)
    return found


def table_of(images: list[Pictures], rng: np.random.Generator) -> NDArray[np.float32]:
    """Features of pictures and of their variants."""
    every = images + [changed(image, rng) for image in images for _ in range(VARIANTS)]
    return np.stack([mask_features(image) for image in every])


def fit(path: str, count: int) -> None:
    from sklearn.linear_model import LogisticRegression

    images, rng = pictures_of(path, count), np.random.default_rng(1)
    worn, known = masked(images), count * 3 // 4
    sides = table_of(images[:known], rng), table_of([one for one in worn[:known] if one is not None], rng)
    x, y = np.concatenate(sides), np.repeat([0, 1], [len(side) for side in sides])
    mean, spread = x.mean(0), x.std(0) + 1e-6
    model = LogisticRegression(C=0.1, max_iter=200).fit((x - mean) / spread, y)
    weights = model.coef_[0] / spread
    held = np.stack([mask_features(image) for image in images[known:]]) @ weights
    limit = np.quantile(held, 1 - BARE_ABOVE)
    np.save(ASSET, np.r_[weights, -limit].astype(np.float32))
    found = mask_scores(np.stack([one for one in worn[known:] if one is not None])) > 0
    print(f"{len(x):,} pictures; of rendered masks that were not fitted to {found.mean():.1%} are found")


def measure(worn: str, bare: str, others: str | None) -> None:
    right = 0
    for name, path, above in (("masked", worn, True), ("bare", bare, False)):
        found = (mask_scores(np.stack(pictures_of(path))) > 0) == above
        right += int(found.sum())
        print(f"{name}: {found.sum()} of {len(found)} are told ({found.mean():.1%})")
    if others:
        wrong = mask_scores(np.stack(pictures_of(others))) > 0
        print(f"other bare faces taken for masked: {wrong.sum()} of {len(wrong)} ({wrong.mean():.2%})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["measure", "fit"])
    parser.add_argument("packs", nargs="+")
    parser.add_argument("--bare")
    parser.add_argument("--faces", type=int, default=3000)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.what == "fit":
        fit(options.packs[0], options.faces)
    else:
        measure(options.packs[0], options.packs[1], options.bare)


if __name__ == "__main__":
    main()
