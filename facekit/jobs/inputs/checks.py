"""What the settings of every job are checked with: what was given, what is allowed."""

from __future__ import annotations

from collections.abc import Sequence

from facekit.errors import ConfigError, none_of

__all__ = ["check_at_least", "check_choice", "check_seed"]


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is none of those allowed.

    Raises
    ------
    ConfigError
        Says what was given and what is allowed.
    """
    if value not in allowed:
        raise none_of(name, value, allowed)


def check_at_least(name: str, value: float | None, least: float) -> None:
    """Refuse a number that is too small, or none; None, where a setting is left to its default, passes.

    Raises
    ------
    ConfigError
        Says what was given and what is allowed.
    """
    if value is not None and not value >= least:
        raise ConfigError(f"{name} is {value}; it must be at least {least}")


def check_seed(seed: int) -> None:
    """Refuse what numpy's generators and a signed 64-bit number cannot hold alike.

    Raises
    ------
    ConfigError
        Says what was given and what is allowed.
    """
    if not 0 <= seed < 1 << 63:
        raise ConfigError(f"seed is {seed}; it must be from 0 to 2**63 - 1")
