"""What the cleaning page shows -> one HTML file that opens without a server, or that `facekit.report.review` serves."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

__all__ = ["build_page", "picture_type"]

_SIGNATURES = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"RI": "image/webp", b"BM": "image/bmp"}


def picture_type(payload: bytes) -> str:
    """Return the media type of an encoded picture, from its first two bytes."""
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
    given = {**content, "pictures": encoded, "review": review}
    # "</" would end the script element, wherever it stands in a text.
    data = json.dumps(given, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    page = (room / "clean.html").read_text("utf-8")
    page = page.replace("/*STYLE*/", (room / "clean.css").read_text("utf-8"))
    head, tail = page.split("/*SCRIPT*/")
    first, second = head.split("/*CONTENT*/")
    return first + data + second + (room / "clean.js").read_text("utf-8") + tail
