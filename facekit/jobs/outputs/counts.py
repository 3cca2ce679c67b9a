"""Before an output is published: what was written, counted against what should have been."""

from __future__ import annotations

from pathlib import Path

from facekit.errors import FacekitError

__all__ = ["check_counts", "records_in"]


def records_in(folder: Path) -> int:
    """Records of a pack that has just been written, by the lines of its index."""
    with open(folder / "train.idx", "rb") as index:
        return sum(block.count(b"\n") for block in iter(lambda: index.read(1 << 20), b""))


def check_counts(*counts: tuple[str, int, int]) -> None:
    """Refuse to publish what does not add up.

    Parameters
    ----------
    *counts : (str, int, int)
        What is counted, how many the ledger has, and how many there are.

    Raises
    ------
    FacekitError
        Two numbers differ: a defect of facekit.
    """
    for name, found, expected in counts:
        if found != expected:
            raise FacekitError(f"the ledger has {found} {name} where there are {expected}; please report this")
