"""A person: sampled parameters made into shape, skin and strands, which all their pictures share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.synth.anatomy import OVAL
from facekit.synth.facehair import face_hair, glasses
from facekit.synth.sampling import Identity
from facekit.synth.shape import Skull, build_skull
from facekit.synth.skin import paint_atlas, to_linear
from facekit.synth.strands import Strands, hair_colour, scalp_hair

__all__ = ["Person", "build_person"]

Array = NDArray[np.floating[Any]]


class Person(NamedTuple):
    """What all pictures of a person share; building it costs as much as several pictures.

    Attributes
    ----------
    identity : Identity
    skull : Skull
    atlas : (388, 256, 5) float32
        See `facekit.synth.skin.paint_atlas`.
    hair, face_hair : Strands
    glasses : (Strands, (2, 40, 3) float32) or None
        See `facekit.synth.facehair.glasses`.
    """

    identity: Identity
    skull: Skull
    atlas: Array
    hair: Strands
    face_hair: Strands
    glasses: tuple[Strands, Array] | None


def build_person(identity: Identity) -> Person:
    """Shape, paint and comb a person.

    Parameters
    ----------
    identity : Identity

    Returns
    -------
    Person
    """
    skull = build_skull(identity)
    colour = hair_colour(identity)
    shade = colour * (1 - identity.grey) + to_linear((170, 168, 165)) * identity.grey
    atlas = paint_atlas(identity, np.asarray(shade, np.float32), skull.face[OVAL])
    return Person(identity, skull, atlas, scalp_hair(identity, skull), face_hair(identity), glasses(identity, skull))
