"""Where networks run: ``cpu``, ``cuda`` (every card that is there) or cards by number, such as ``cuda:0,cuda:1``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from facekit.errors import ConfigError, did_you_mean

__all__ = ["card_number", "check_devices", "parse_devices"]

_NAMED = re.compile(r"cuda:\d{1,3}(,cuda:\d{1,3})*")


def check_devices(text: str) -> None:
    """Refuse what names no devices; whether they are there is not looked at.

    Raises
    ------
    ConfigError
        Says what is allowed.
    """
    if text not in ("cpu", "cuda") and _NAMED.fullmatch(text) is None:
        near = did_you_mean(text, ("cpu", "cuda"))
        raise ConfigError(f"device is {text!r}; it must be cpu, cuda, or cards such as cuda:0,cuda:1{near}")
    if len(set(text.split(","))) < text.count(",") + 1:
        raise ConfigError(f"device is {text!r}; each card may be named once")


def parse_devices(text: str, cards: int | None = None) -> tuple[str, ...]:
    """The devices that a text names.

    Parameters
    ----------
    text : str
    cards : int, optional
        How many there are; counted where it matters and is not given.

    Raises
    ------
    ConfigError
        It names none.

    >>> parse_devices("cuda", cards=2), parse_devices("cuda:3,cuda:1"), parse_devices("cpu")
    (('cuda:0', 'cuda:1'), ('cuda:3', 'cuda:1'), ('cpu',))
    """
    check_devices(text)
    if text != "cuda":
        return tuple(text.split(","))
    found = _count_cards() if cards is None else cards
    # With none, whoever opens the network says what is missing.
    return tuple(f"cuda:{number}" for number in range(found)) or ("cuda",)


def card_number(device: str) -> int:
    """The number of a card; ``cuda`` alone is the first."""
    return int(device.partition(":")[2] or 0)


def _count_cards() -> int:
    """Cards that this process may use, counted without loading a library."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() and name.strip() != "-1"])
    return sum(path.name[6:].isdigit() for path in Path("/dev").glob("nvidia*"))
