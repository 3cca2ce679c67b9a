"""A contact sheet: pictures before and after, side by side, in a group for each kind."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

__all__ = ["Pair", "as_png", "contact_sheet"]

Picture = npt.NDArray[np.uint8]

SIDE, GAP, MARGIN, TITLE, CAPTION = 144, 14, 28, 44, 22
PAPER, INK, FAINT, RULE = (250, 250, 248), (32, 34, 37), (128, 132, 138), (222, 222, 218)


class Pair(NamedTuple):
    """A picture before and after.

    Attributes
    ----------
    before, after : (H, W, 3) uint8
        RGB, of any size each.
    caption : str
    """

    before: Picture
    after: Picture
    caption: str


def contact_sheet(groups: Mapping[str, Sequence[Pair]], columns: int = 4) -> bytes:
    """Draw a contact sheet.

    Parameters
    ----------
    groups : mapping from str to sequence of Pair
        In the order in which they are to stand; the names are their headings.
    columns : int
        Pairs in a row.

    Returns
    -------
    bytes
        A PNG.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = [-(-len(pairs) // columns) for pairs in groups.values()]
    width = 2 * MARGIN + columns * (2 * SIDE) + (columns - 1) * GAP
    height = 2 * MARGIN - GAP + sum(TITLE + count * (SIDE + CAPTION + GAP) for count in rows)
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    heading, small = ImageFont.load_default(20), ImageFont.load_default(12)
    top = MARGIN - GAP // 2
    for name, pairs in groups.items():
        _draw_heading(pen, name, len(pairs), top, width, heading, small)
        top += TITLE
        for number, pair in enumerate(pairs):
            column, row = number % columns, number // columns
            place = MARGIN + column * (2 * SIDE + GAP), top + row * (SIDE + CAPTION + GAP)
            _draw_pair(sheet, pen, pair, place, small)
        top += -(-len(pairs) // columns) * (SIDE + CAPTION + GAP)
    return as_png(np.asarray(sheet))


def as_png(sheet: Picture) -> bytes:
    """Encode a sheet, quickly rather than small.

    Parameters
    ----------
    sheet : (H, W, 3) uint8
        RGB.

    Returns
    -------
    bytes
        A PNG.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG", compress_level=3)
    return file.getvalue()


def _draw_heading(
    pen: ImageDraw.ImageDraw,
    name: str,
    count: int,
    top: int,
    width: int,
    heading: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    small: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    pen.line([(MARGIN, top), (width - MARGIN, top)], RULE)
    pen.text((MARGIN, top + 10), name, INK, heading)
    pen.text((width - MARGIN, top + 16), f"{count} shown, before and after", FAINT, small, anchor="ra")


def _draw_pair(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    pair: Pair,
    place: tuple[int, int],
    small: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    left, top = place
    sheet.paste(_fitted(pair.before), (left, top))
    sheet.paste(_fitted(pair.after), (left + SIDE, top))
    pen.text((left, top + SIDE + 4), pair.caption, FAINT, small)


def _fitted(picture: Picture) -> Image.Image:
    """The picture in a square of the sheet, whole and undistorted."""
    from PIL import Image, ImageOps

    return ImageOps.pad(Image.fromarray(picture), (SIDE, SIDE), Image.Resampling.LANCZOS, color=PAPER)
