"""Addresses: ``s3://bucket/key``, ``https://host/path``, ``hf://datasets/OWNER/NAME/path``; and WebDataset's braces."""

from __future__ import annotations

import itertools
import re
from urllib.parse import unquote

from facekit.errors import ConfigError

__all__ = ["expand_braces", "is_address", "local_path"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_NAMES = 1_000_000


def is_address(name: str) -> bool:
    """Whether a name is an address of a store, and no path on the disk.

    >>> is_address("s3://faces/ms1mv3"), is_address("faces/ms1mv3"), is_address("file:///faces")
    (True, False, False)
    """
    found = _SCHEME.match(name)
    return found is not None and found.group().lower() not in ("file://", "local://")


def local_path(name: str) -> str:
    """The path that a name means: itself, or what stands behind ``file://``.

    >>> local_path("file:///faces/a%20b"), local_path("faces")
    ('/faces/a b', 'faces')
    """
    found = _SCHEME.match(name)
    if found is None or is_address(name):
        return name
    return unquote(name[found.end() :])


def expand_braces(name: str) -> list[str]:
    """The names that WebDataset's notation stands for: ``{0000..0099}`` counts, ``{a,b}`` lists.

    Parameters
    ----------
    name : str

    Returns
    -------
    list of str
        The name itself where it has no braces.

    Raises
    ------
    ConfigError
        It stands for more than a million names, or a range runs backwards.

    >>> expand_braces("ms1mv3-{08..10}.tar")
    ['ms1mv3-08.tar', 'ms1mv3-09.tar', 'ms1mv3-10.tar']
    """
    pieces = _BRACES.split(name)
    choices = [_choices(piece, name) if place % 2 else [piece] for place, piece in enumerate(pieces)]
    count = 1
    for some in choices:
        count *= len(some)
    if count > _MOST_NAMES:
        raise ConfigError(f"{name} stands for {count:,} names; more than {_MOST_NAMES:,} are none: mend the range")
    return ["".join(parts) for parts in itertools.product(*choices)]


def _choices(inside: str, name: str) -> list[str]:
    found = _RANGE.fullmatch(inside)
    if found is None:
        return inside.split(",") if "," in inside else [f"{{{inside}}}"]
    first, last = found.groups()
    if int(last) < int(first):
        raise ConfigError(f"{name}: the range {inside} runs backwards; write the smaller number first")
    if int(last) - int(first) >= _MOST_NAMES:
        raise ConfigError(f"{name}: the range {inside} has more than {_MOST_NAMES:,} numbers: mend it")
    width = len(first) if first.startswith("0") or len(first) == len(last) else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]
