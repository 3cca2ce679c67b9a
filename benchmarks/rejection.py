"""Error against reject rate: how many genuine pairs are missed when the faces of least quality are left out.

    python benchmarks/rejection.py FEATURES                        # of |mu| and |sigma|, as JSON
    python benchmarks/rejection.py FEATURES --draw sigma.svg       # |sigma| of bare and of masked faces

FEATURES is what ``facekit embed`` wrote of a pack that ``facekit mask`` made. All genuine masked-to-bare pairs count.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.embeddings import Embedded, open_features
from facekit.evaluate import FaceSet, misses_after_rejecting
from facekit.report.score_charts import density_svg

__all__ = ["SHARES", "qualities", "quality_of"]

SHARES = (0.0, 0.1, 0.3, 0.5)
Values = NDArray[np.float64]
Found = dict[str, dict[str, Any]]


def qualities(embedded: Embedded) -> dict[str, Values]:
    """What rejects: the length of mu, and minus that of sigma where a network has one."""
    found = {"|mu|": np.asarray(embedded.norms, np.float64)}
    if embedded.uncertainty is not None:
        found["|sigma|"] = -np.asarray(embedded.uncertainty, np.float64)
    return found


def quality_of(embedded: Embedded, worn: FaceSet, bare: FaceSet, masked: NDArray[np.bool_], far: float) -> Found:
    """Medians over bare and masked faces, and misses by share rejected, of |mu| and |sigma|.

    Parameters
    ----------
    embedded : Embedded
        N faces.
    worn, bare : FaceSet
        Those of them that wear masks, and the others.
    masked : (N,) bool
    far : float
    """
    found: Found = {}
    for name, quality in qualities(embedded).items():
        sides = quality[masked], quality[~masked]
        found[name] = {
            "median masked": abs(float(np.median(sides[0]))),
            "median bare": abs(float(np.median(sides[1]))),
            "misses": misses_after_rejecting(worn, bare, sides, far, SHARES),
        }
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", help="what facekit embed wrote of a pack with a ledger")
    parser.add_argument("--far", type=float, default=1e-2)
    parser.add_argument("--draw", type=Path, help="draw the densities of |sigma| of bare and masked faces, as SVG")
    parser.add_argument("--title", default="")
    options = parser.parse_args(argv)
    features = open_features(options.features)
    masked, loaded = features.masked, features.load()
    if options.draw is not None:
        sides = {"bare": features.uncertainty[~masked], "masked": features.uncertainty[masked]}
        options.draw.write_text(density_svg(sides, options.title, "|sigma|"), encoding="utf-8")
        return
    faces = FaceSet(loaded.vectors, features.labels, features.sources)
    embedded = Embedded(loaded.vectors, features.norms, features.uncertainty)
    print(json.dumps(quality_of(embedded, faces.take(masked), faces.take(~masked), masked, options.far)))


if __name__ == "__main__":
    main()
