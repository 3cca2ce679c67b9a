"""Hair styles: what each asks of its strands."""

from __future__ import annotations

from typing import NamedTuple

from facekit.synth.sampling import Identity

__all__ = ["Style", "style_of"]


class Style(NamedTuple):
    """What a hair style asks of its strands.

    Attributes
    ----------
    top, side : float
        Length in cm above and beside.
    lift : float
        How steeply hair leaves the scalp, 0 to 1.
    volume : float
        Height in cm at which it lies.
    comb : (3,) float
        Direction in head axes; x is taken away from the parting.
    fall : float
        Pull of gravity for each cm.
    curl : float
        Radius of the curls, cm.
    hug : float
        How strongly hair above is drawn down to its height, 0 to 1.
    """

    top: float
    side: float
    lift: float
    volume: float
    comb: tuple[float, float, float]
    fall: float
    curl: float
    hug: float = 0.0


def style_of(identity: Identity) -> Style:
    """What a person's hair style asks of its strands.

    Parameters
    ----------
    identity : Identity

    Returns
    -------
    Style
    """
    length, volume = identity.hair_length, identity.hair_volume
    wave = identity.hair_wave
    curl = 0.30 * wave
    styles = {
        "bald": Style(0.6, 1.0 + length, 0.3, 0.15, (0, -0.3, -1), 0.1, 0.0),
        "buzz": Style(0.35 + 0.5 * length, 0.3 + 0.3 * length, 0.8, 0.3, (0, -0.2, 0.3), 0.0, 0.0),
        "crop": Style(
            2.4 + 2.0 * length, 1.2 + length, 0.22, 0.25 + 0.45 * volume, (0.45, 0.0, 0.75), 0.14, curl * 0.6, 0.5
        ),
        "quiff": Style(
            4.5 + 2.5 * length, 1.4 + length, 0.38, 0.6 + 0.9 * volume, (0.3, 0.1, -0.95), 0.12, curl * 0.6, 0.35
        ),
        "parted": Style(
            6.5 + 3 * length, 2.2 + 2 * length, 0.35, 0.5 + 0.8 * volume, (1.0, 0.1, 0.1), 0.12, curl * 0.7, 0.5
        ),
        "fringe": Style(
            4.2 + 1.8 * length, 3.5 + 6 * length, 0.35, 0.5 + 0.5 * volume, (0.25, 0.0, 1.0), 0.16, curl * 0.5, 0.4
        ),
        "curly": Style(
            6 + 5 * length, 5 + 7 * length, 0.5, 0.8 + 1.2 * volume, (0.4, 0.2, 0.2), 0.12, 0.32 + 0.15 * wave, 0.15
        ),
        "afro": Style(2.5 + 4.5 * length, 2.0 + 4.0 * length, 1.0, 1.5 + 4.0 * length, (0.0, 0.15, 0.0), 0.0, 0.22),
        "bob": Style(15 + 3 * length, 13 + 3 * length, 0.35, 0.5 + 0.7 * volume, (1.0, -0.1, -0.05), 0.16, curl, 0.5),
        "long": Style(24 + 6 * length, 24 + 6 * length, 0.35, 0.5 + 0.7 * volume, (1.0, -0.1, -0.15), 0.16, curl, 0.5),
        "tied": Style(13.0, 12.0, 0.15, 0.3 + 0.2 * volume, (0.05, 0.1, -1.0), 0.0, 0.0, 0.8),
    }
    return styles[identity.hair_style]
