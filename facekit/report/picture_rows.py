"""Pictures in rows with a heading each: what is in a pack, seen at a glance."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Row", "picture_rows"]

SIDE, GAP, MARGIN, TITLE = 112, 6, 24, 22
PAPER, INK, FAINT = (250, 250, 248), (32, 34, 37), (128, 132, 138)


class Row(NamedTuple):
    """Pictures under a heading.

    Attributes
    ----------
    heading : str
    pictures : sequence of ((H, W, 3) uint8 or None)
        RGB, of any size each; None where one does not decode.
    """

    heading: str
    pictures: Sequence[npt.NDArray[np.uint8] | None]


def picture_rows(title: str, rows: Sequence[Row], columns: int = 8, abreast: int = 1) -> bytes:
    """Draw rows of pictures.

    Parameters
    ----------
    title : str
    rows : sequence of Row
        At most ``columns`` pictures of each are drawn.
    columns : int
        Pictures in a row.
    abreast : int
        Rows side by side.

    Returns
    -------
    bytes
        A PNG.
    """
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    wide = columns * (SIDE + GAP) + GAP
    tall = TITLE + SIDE + GAP
    size = 2 * MARGIN + abreast * wide, 2 * MARGIN + 2 * TITLE + -(-len(rows) // abreast) * tall
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), title, INK, ImageFont.load_default(20))
    small = ImageFont.load_default(12)
    for number, row in enumerate(rows):
        left = MARGIN + number % abreast * wide
        top = MARGIN + 2 * TITLE + number // abreast * tall
        pen.text((left, top), row.heading, FAINT, small)
        for place, picture in enumerate(row.pictures[:columns]):
            at = left + place * (SIDE + GAP), top + TITLE - 4
            if picture is None:
                pen.rectangle((*at, at[0] + SIDE - 1, at[1] + SIDE - 1), outline=FAINT)
                continue
            fitted = ImageOps.pad(Image.fromarray(picture), (SIDE, SIDE), Image.Resampling.LANCZOS, color=PAPER)
            sheet.paste(fitted, at)
    file = io.BytesIO()
    sheet.save(file, "PNG", compress_level=3)
    return file.getvalue()
