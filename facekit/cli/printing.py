"""What the command line prints: text in which names from data cannot steer the terminal."""

from __future__ import annotations

import re

import click

__all__ = ["echo", "printable"]

# Controls but for tab and newline; marks that reorder text or end a line; half a surrogate pair, as a name that is not
# UTF-8 has.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Text that a terminal shows and does not obey, whatever names it was made from.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        With control characters (but tab and newline), bidirectional marks and bytes that are not UTF-8 written out.

    Examples
    --------
    >>> printable("pack\x1b]0;title\x07.rec")
    'pack\\x1b]0;title\\x07.rec'
    >>> printable("caf\udce9")
    'caf\\xe9'
    """
    return _UNPRINTABLE.sub(lambda found: _written_out(ord(found.group())), text)


def echo(text: str, err: bool = False) -> None:
    """Print a line that is `printable`, the only way in which anything is printed."""
    click.echo(printable(text), err=err)


def _written_out(code: int) -> str:
    byte = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{byte:02x}" if byte < 0x100 else f"\\u{byte:04x}"
