"""Children: a sampled person made young. The drawing has no children of its own; its people are 18 and older."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facekit.synth.modes import MODES
from facekit.synth.sampling import Identity

__all__ = ["YOUTH", "as_child"]

YOUTH = {
    "lower face length": 1.2, "jaw width": -1.0, "chin length": -1.0, "chin width": -0.6, "cheek fullness": 1.4,
    "eye size": 1.3, "eye height": -0.8, "brow ridge": -1.2, "nose length": -1.0, "nose projection": -1.2,
    "nose width": -0.5, "nose bridge": -1.2, "nose upturn": 0.9, "mouth width": -0.7, "forehead height": 0.8,
    "forehead slope": 0.9,
}  # fmt: skip
"""Standard deviations by which a child's shape modes lie from an adult's: a large round forehead, large eyes, a small
nose and jaw (the proportions that growth changes; Farkas, Anthropometry of the Head and Face, 1994). Set by eye."""
YOUNGEST, OLDEST = 5.0, 12.0


def as_child(identity: Identity, rng: np.random.Generator) -> Identity:
    """Make a sampled person a child of 5 to 12 years, with what else makes them a person kept.

    Parameters
    ----------
    identity : Identity
    rng : numpy.random.Generator
        Decides the age.

    Returns
    -------
    Identity
        The older the child, the nearer its shape is to the adult's.
    """
    age = float(rng.uniform(YOUNGEST, OLDEST))
    share = 1.0 - 0.5 * (age - YOUNGEST) / (OLDEST - YOUNGEST)
    shifts = [share * YOUTH.get(mode.name, 0.0) for mode in MODES]
    return replace(
        identity,
        age=age,
        modes=tuple(value + shift for value, shift in zip(identity.modes, shifts, strict=True)),
        roughness=0.4 * identity.roughness,
        lipstick=0.0,
        liner=0.0,
        grey=0.0,
        hair_style="crop" if identity.hair_style == "bald" else identity.hair_style,
        hairline=min(identity.hairline, 0.3),
        beard="none",
    )
