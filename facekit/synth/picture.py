"""One person, one picture: rendered, developed and compressed as its record will be."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.images import decode, encode_jpeg
from facekit.synth.lens import develop
from facekit.synth.person import Person, build_person
from facekit.synth.radiance import Truth, render_radiance
from facekit.synth.sampling import CaptureParams, sample_capture, sample_identity

__all__ = ["DrawnFace", "draw_person", "render", "render_compressed"]

Array = NDArray[np.floating[Any]]


class DrawnFace(NamedTuple):
    """A drawn picture.

    Attributes
    ----------
    image : (112, 112, 3) uint8
        RGB, aligned to the ArcFace template.
    vertices : (468, 3) float32
        Pixels: x right, y down, pixel centres at integers, z toward the viewer (0 at the middle of the head).
    truth : Truth
    """

    image: NDArray[np.uint8]
    vertices: Array
    truth: Truth


def render_compressed(person: Person, capture: CaptureParams) -> DrawnFace:
    """One picture of a person after JPEG at the quality of the capture: the pixels that decoding its record would give.

    Parameters
    ----------
    person : Person
    capture : CaptureParams

    Returns
    -------
    DrawnFace
    """
    image, vertices, truth = render(person, capture)
    return DrawnFace(decode(encode_jpeg(image, capture.quality)), vertices, truth)


def render(person: Person, capture: CaptureParams) -> DrawnFace:
    """One picture of a person before compression.

    Parameters
    ----------
    person : Person
    capture : CaptureParams

    Returns
    -------
    DrawnFace
    """
    light, vertices, truth = render_radiance(person, capture)
    return DrawnFace(develop(light, capture), vertices, truth)


@lru_cache(maxsize=2)
def _recent_person(seed: int, identity: int) -> Person:
    return build_person(sample_identity(seed, identity))


def draw_person(seed: int, identity: int, image: int) -> DrawnFace:
    """Draw picture number `image` of the person number `identity` of `seed`.

    Everything follows from the three numbers; the same three always give the same picture. Building the person costs as
    much as several pictures, so ask for one person's pictures one after another: the last two people are kept.

    Parameters
    ----------
    seed, identity, image : int
        None of them negative.

    Returns
    -------
    DrawnFace
        As the JPEG of its record decodes.

    Raises
    ------
    ConfigError
        A number is negative.
    """
    if min(seed, identity, image) < 0:
        raise ConfigError(f"seed, identity and image must not be negative; {seed}, {identity}, {image} were given")
    return render_compressed(_recent_person(seed, identity), sample_capture(seed, identity, image))
