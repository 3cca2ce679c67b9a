"""What an evaluation does to pictures before they are embedded: a worn mask, a blur."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from facekit.errors import NoFace
from facekit.faces.gate import gate
from facekit.faces.mesh import LiteRTMesh, MeshEstimator
from facekit.images import blurred
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Alter
from facekit.masks import render_worn, sample_params

__all__ = ["alterations"]

Picture = npt.NDArray[np.uint8]


def alterations(
    config: EvalConfig, estimator: Callable[[], MeshEstimator] = LiteRTMesh
) -> tuple[Alter | None, Alter | None]:
    """What is done to the first picture of a pair (the gallery) and to the second (the probes); None: nothing."""
    blur = _blurring(config.blur) if config.blur else None
    if config.wear is None:
        return blur, blur
    wear = _wearing(config.wear, config.seed, estimator(), blur)
    return (wear if config.side == "both" else blur), wear


def _blurring(sigma: float) -> Alter:
    return Alter(lambda _, picture: blurred(picture, sigma))


def _wearing(type: str, seed: int, estimate: MeshEstimator, after: Alter | None) -> Alter:
    def wear(number: int, picture: Picture) -> Picture:
        mesh = estimate(picture)
        reason = gate(mesh, picture.shape)
        if reason is not None:
            raise NoFace(reason)
        params = sample_params(np.random.default_rng([seed, number]), type)
        worn = render_worn(picture, mesh.vertices, params).image
        return worn if after is None else after(number, worn)

    return Alter(wear, wears=True)
