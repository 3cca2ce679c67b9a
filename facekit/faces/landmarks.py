"""Vertices of the face mesh by name: the one place where their numbers stand.

Left and right are the picture's everywhere in facekit: LEFT is the side of smaller x, which is the right side of a
person who looks into the camera. The mesh itself is described in `facekit.faces.topology`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BROWS",
    "CHIN",
    "CHIN_FRONT",
    "EYES",
    "FIVE_POINTS",
    "FOREHEAD",
    "HAIRLINE",
    "LEFT_EDGE",
    "LEFT_EYE_CORNER",
    "LEFT_MOUTH_CORNER",
    "LIPS",
    "LIPS_OUTLINE",
    "LOWER_LIP_INNER",
    "NOSE_ROOT",
    "NOSE_TIP",
    "OVAL",
    "RIGHT_EDGE",
    "RIGHT_EYE_CORNER",
    "RIGHT_MOUTH_CORNER",
    "UPPER_LIP",
    "UPPER_LIP_INNER",
    "Brow",
    "Eye",
]

LEFT_EDGE, RIGHT_EDGE = 234, 454
"""The border of the mesh in front of the ears."""
HAIRLINE, CHIN = 10, 152
"""The border of the mesh on the middle line: its highest and its lowest vertex."""
NOSE_TIP, UPPER_LIP, CHIN_FRONT = 4, 13, 199
"""On the middle line: tip of the nose, lower edge of the upper lip, the chin where it stands out farthest."""
NOSE_ROOT = 168
"""On the middle line between the eyes."""
LEFT_EYE_CORNER, RIGHT_EYE_CORNER = 33, 263
"""Outer corners."""
LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER = 61, 291


class Brow(NamedTuple):
    """Lower and upper edge of a brow, five vertices each, from the outer end to the inner one."""

    lower: tuple[int, ...]
    upper: tuple[int, ...]


BROWS = (
    Brow((46, 53, 52, 65, 55), (70, 63, 105, 66, 107)),
    Brow((276, 283, 282, 295, 285), (300, 293, 334, 296, 336)),
)
"""The left brow, then the right one."""


class Eye(NamedTuple):
    """Vertices of one eye, nine a row, from the outer corner to the inner one.

    Attributes
    ----------
    upper, lower : nine of int
        The lids' edges; both corners are in both.
    fold, bag : nine of int
        The rings above the upper and below the lower lid.
    """

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    fold: tuple[int, ...]
    bag: tuple[int, ...]

    @property
    def outline(self) -> tuple[int, ...]:
        """Once around the opening, each vertex once: upper lid inward, lower lid outward."""
        return self.upper + self.lower[-2:0:-1]


EYES = (
    Eye(
        (LEFT_EYE_CORNER, 246, 161, 160, 159, 158, 157, 173, 133),
        (LEFT_EYE_CORNER, 7, 163, 144, 145, 153, 154, 155, 133),
        (130, 247, 30, 29, 27, 28, 56, 190, 243),
        (130, 25, 110, 24, 23, 22, 26, 112, 243),
    ),
    Eye(
        (RIGHT_EYE_CORNER, 466, 388, 387, 386, 385, 384, 398, 362),
        (RIGHT_EYE_CORNER, 249, 390, 373, 374, 380, 381, 382, 362),
        (359, 467, 260, 259, 257, 258, 286, 414, 463),
        (359, 255, 339, 254, 253, 252, 256, 341, 463),
    ),
)
"""The left eye, then the right one."""

UPPER_LIP_INNER = (78, 191, 80, 81, 82, UPPER_LIP, 312, 311, 310, 415, 308)
LOWER_LIP_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Edges of the mouth's opening, from left to right; both corners are in both."""

LIPS_OUTLINE = (
    LEFT_MOUTH_CORNER, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    RIGHT_MOUTH_CORNER, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
"""The outer edge of the lips once around, each vertex once: along the upper lip, back along the lower one."""

LIPS = frozenset(
    (
        0, 11, 12, 13, 14, 15, 16, 17, 37, 38, 39, 40, 41, 42, 61, 62, 72, 73, 74, 76, 77, 78, 80, 81, 82, 84, 85,
        86, 87, 88, 89, 90, 91, 95, 96, 146, 178, 179, 180, 181, 183, 184, 185, 191, 267, 268, 269, 270, 271, 272,
        291, 292, 302, 303, 304, 306, 307, 308, 310, 311, 312, 314, 315, 316, 317, 318, 319, 320, 321, 324, 325,
        375, 402, 403, 404, 405, 407, 408, 409, 415,
    )
)  # fmt: skip
"""Every vertex on the lips, the outer edge included."""

FOREHEAD = (151, 108, 337, 107, 336, 69, 299, 9, 67, 297, 104, 333, 103, 332)

OVAL = (
    HAIRLINE, 338, 297, 332, 284, 251, 389, 356, RIGHT_EDGE, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    CHIN, 148, 176, 149, 150, 136, 172, 58, 132, 93, LEFT_EDGE, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The border of the mesh once around, each vertex once: from the hairline down the right side and up the left one."""

FIVE_POINTS = (
    (LEFT_EYE_CORNER, 133, 159, 145),
    (RIGHT_EYE_CORNER, 362, 386, 374),
    (1, 1, NOSE_TIP, NOSE_TIP),
    (LEFT_MOUTH_CORNER,) * 4,
    (RIGHT_MOUTH_CORNER,) * 4,
)
"""One row a point, in the order of `facekit.faces.align.ARCFACE_TEMPLATE`: the vertices whose mean it is. They were
chosen for the smallest offset from an independent five-point detector."""
