"""WebP and AVIF written as another file of their kind was: lossless where it is, else with about its quality."""

from __future__ import annotations

import io
from typing import Any

__all__ = ["saved_like"]

_KEEP_LOSSLESS = {"lossless": True, "quality": 60, "exact": True}
_QUALITIES = 7  # halvings of 1 to 100


def saved_like(new: Any, old: Any, content: bytes, kind: str, **kept: Any) -> bytes:
    """Encode a picture as another one was.

    Parameters
    ----------
    new, old : PIL.Image.Image
        What is to be encoded, and what the other file shows.
    content : bytes
        The other file.
    kind : str
        ``WEBP`` or ``AVIF``.
    **kept
        Metadata, as Pillow's ``save`` takes it.
    """
    options = _KEEP_LOSSLESS if _is_lossless_webp(content) else {"quality": _quality(content, kind, old, kept)}
    return _saved(new, kind, **options, **kept)


def _quality(content: bytes, kind: str, picture: Any, kept: dict[str, Any]) -> int:
    """The quality at which the picture takes as many bytes as its file: a codec does not say which it was."""
    low, high = 1, 100
    for _ in range(_QUALITIES):
        middle = (low + high) // 2
        if len(_saved(picture, kind, quality=middle, **kept)) < len(content):
            low = min(middle + 1, high)
        else:
            high = middle
    return high


def _saved(picture: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _is_lossless_webp(content: bytes) -> bool:
    """Whether its pixels stand in a chunk VP8L (RFC 9649)."""
    at = 12
    while content.startswith(b"RIFF") and at + 8 <= len(content):
        name, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if name in (b"VP8L", b"VP8 "):
            return name == b"VP8L"
        at += 8 + length + length % 2
    return False
