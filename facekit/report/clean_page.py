"""What the cleaning page shows -> one HTML file that opens without a server, or that `facekit.report.review` serves."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from facekit.report.charts import PAGE_STYLE
from facekit.report.clean_charts import clean_charts

__all__ = ["build_page", "picture_type"]

_DRAWN = ("histogram", "sizes", "sweep")
"""Parts of the content that the charts show and the script does not need."""
_SCRIPTS = ("clean_move.js", "clean_list.js", "clean.js")
_SIGNATURES = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"RI": "image/webp", b"BM": "image/bmp"}


def picture_type(payload: bytes) -> str:
    """Media type of an encoded picture, from its first two bytes.

    Parameters
    ----------
    payload : bytes

    Returns
    -------
    str
        ``application/octet-stream`` where it is none of JPEG, PNG, WebP and BMP.
    """
    return _SIGNATURES.get(payload[:2], "application/octet-stream")


def build_page(content: dict[str, Any], pictures: Mapping[int, bytes], review: bool = False) -> str:
    """Build the page.

    Parameters
    ----------
    content : dict
        From `facekit.report.clean_content.build_content`.
    pictures : mapping from int to bytes
        Encoded pictures by key, put into the page as they are; with `review` others come from ``/picture/KEY``.
    review : bool
        Whether a server is there to give pictures and to take overrides.

    Returns
    -------
    str
        HTML; nothing in it refers to anything outside.
    """
    room = files("facekit.report")
    encoded = {str(key): f"data:{picture_type(p)};base64,{base64.b64encode(p).decode()}" for key, p in pictures.items()}
    parts = {
        "/*STYLE*/": (room / "clean.css").read_text("utf-8") + PAGE_STYLE,
        "/*CHARTS*/": "".join(clean_charts(content)),
        "/*CONTENT*/": _script_json({**content, "pictures": encoded, "review": review}),
        "/*SCRIPT*/": "".join((room / name).read_text("utf-8") for name in _SCRIPTS),
    }
    # Split before anything is put in: a text of the data may hold a placeholder.
    pieces = re.split("(" + "|".join(map(re.escape, parts)) + ")", (room / "clean.html").read_text("utf-8"))
    return "".join(parts.get(piece, piece) for piece in pieces)


def _script_json(content: dict[str, Any]) -> str:
    """JSON that may stand in a script element: no text in it can end the element or open another, as ``<!--`` would."""
    shown = {name: value for name, value in content.items() if name not in _DRAWN}
    return json.dumps(shown, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
