"""Payloads -> vectors, without a folder for them: for test sets, which are small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facekit.embeddings import Engine, embed_pictures
from facekit.errors import PictureError
from facekit.images import decode
from facekit.jobs.inputs.model import ModelChoice

__all__ = ["embed_payloads"]


def embed_payloads(
    engine: Engine, model: ModelChoice, payloads: Sequence[bytes], name: str, skip: bool = False
) -> npt.NDArray[np.float32]:
    """Embed pictures as they are stored, taken for bare faces.

    Parameters
    ----------
    engine : Engine
    model : ModelChoice
        How the engine is used.
    payloads : sequence of bytes
        N of them.
    name : str
        Of what they are from, for messages.
    skip : bool
        What does not decode has a row of zeros; by default it is an error.

    Returns
    -------
    (N, D) float32
        Unit length; (0, 0) of none.

    Raises
    ------
    PictureError
        One cannot be decoded; names its place.
    """
    parts: list[npt.NDArray[np.float32]] = []
    for first in range(0, len(payloads), model.batch):
        some = payloads[first : first + model.batch]
        pictures = [_decoded(payload, f"{name}, picture {first + at}", skip) for at, payload in enumerate(some)]
        there = [picture for picture in pictures if picture is not None]
        if not there:
            parts.append(np.zeros((len(some), 0), np.float32))
            continue
        found = embed_pictures(engine, np.stack(there), np.zeros(len(there), np.bool_), flip=model.flip).vectors
        rows = np.zeros((len(some), found.shape[1]), np.float32)
        rows[[picture is not None for picture in pictures]] = found
        parts.append(rows)
    width = max((part.shape[1] for part in parts), default=0)
    whole = [part if part.shape[1] == width else np.zeros((len(part), width), np.float32) for part in parts]
    return np.concatenate(whole) if whole else np.zeros((0, 0), np.float32)


def _decoded(payload: bytes, place: str, skip: bool) -> npt.NDArray[np.uint8] | None:
    try:
        return decode(payload)
    except PictureError as error:
        if skip:
            return None
        raise PictureError(f"{place}: {error}") from error
