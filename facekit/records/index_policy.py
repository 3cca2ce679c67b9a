"""What is to be done about an index that does not reach the end of its pack: a smaller pack looks like it."""

from __future__ import annotations

from typing import Literal

__all__ = ["IndexPolicy", "index_policy"]

IndexPolicy = Literal["warn", "refuse", "take"]


def index_policy(taken: bool) -> IndexPolicy:
    """What a command that writes does: it refuses, unless it was told to take what the index names."""
    return "take" if taken else "refuse"
