"""Templates: one vector for several pictures of a person, as IJB and TinyFace compare them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError

__all__ = ["AGGREGATIONS", "Templates", "aggregate"]

AGGREGATIONS = ("mean", "norm")


class Templates(NamedTuple):
    """Vectors of templates.

    Attributes
    ----------
    ids : (T,) int64, ascending
    vectors : (T, D) float32
        Unit norm.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


def aggregate(
    vectors: NDArray[np.floating],
    templates: NDArray[np.int64],
    media: NDArray[np.int64],
    weights: NDArray[np.floating] | None = None,
) -> Templates:
    """Pictures to templates: the mean over the pictures of a medium (a video's frames), then the sum over media.

    So does the public script for IJB (``image2template_feature``).

    Parameters
    ----------
    vectors : (N, D) floating
        Unit norm.
    templates, media : (N,) int64
        Of each picture; media are numbered over all templates or inside each.
    weights : (N,) floating, optional
        Norms before normalisation, for ``norm``: a face of high quality then counts more. None: ``mean``.

    Returns
    -------
    Templates

    Raises
    ------
    ConfigError
        Shapes that do not belong together, or a template whose vectors cancel.
    """
    count = len(vectors)
    given = (templates, media) if weights is None else (templates, media, weights)
    if vectors.ndim != 2 or any(np.shape(one) != (count,) for one in given):
        raise ConfigError(f"vectors {vectors.shape} need as many templates, media and weights")
    scaled = vectors.astype(np.float64) * (1.0 if weights is None else np.asarray(weights, np.float64)[:, None])
    both, place = np.unique(np.stack([templates, media]), axis=1, return_inverse=True)
    sums, pictures = np.zeros((both.shape[1], vectors.shape[1])), np.zeros(both.shape[1])
    np.add.at(sums, place.reshape(-1), scaled)
    np.add.at(pictures, place.reshape(-1), 1)
    ids, of_medium = np.unique(both[0], return_inverse=True)
    total = np.zeros((len(ids), vectors.shape[1]))
    np.add.at(total, of_medium.reshape(-1), sums / pictures[:, None])
    norms = np.linalg.norm(total, axis=1)
    if not (norms > 0).all():
        raise ConfigError(f"template {ids[int((norms <= 0).argmax())]}: its vectors cancel, and have no direction")
    return Templates(ids, (total / norms[:, None]).astype(np.float32))
