"""The ledger beside a verification ``.bin``: written with it, and never in the place of somebody else's."""

from __future__ import annotations

from pathlib import Path

from facekit.errors import DestinationExists, FacekitError
from facekit.jobs.inputs.ledger import read_bins_flags
from facekit.output import is_moving
from facekit.records.bins import read_bins
from facekit.run.ledger import ledger_path

__all__ = ["has_own_ledger", "refuse_other_ledger"]


def has_own_ledger(destination: Path) -> bool:
    """Whether a ledger lies beside a ``.bin`` that is there and knows its pictures.

    Parameters
    ----------
    destination : Path
        The ``.bin``.
    """
    if _is_of_pack(destination) or not ledger_path(destination).exists() or not destination.exists():
        return False
    try:
        read_bins_flags(destination, read_bins(destination))
    except FacekitError:
        return False
    return True


def refuse_other_ledger(destination: Path) -> None:
    """Refuse to write a ledger beside a ``.bin`` where one lies that is a pack's, or of other pictures.

    ``--overwrite`` does not help: it was said of the ``.bin``, and nobody named the ledger.

    Parameters
    ----------
    destination : Path
        The ``.bin``, which may be there or not.

    Raises
    ------
    DestinationExists
        It does.
    """
    ledger = ledger_path(destination)
    if _is_of_pack(destination):
        raise DestinationExists(
            f"{ledger}, the ledger of {destination}, would be that of {destination.with_suffix('.rec')} too: choose "
            "another name"
        )
    if ledger.exists() and not has_own_ledger(destination) and not is_moving(destination):
        raise DestinationExists(
            f"{ledger} is not of the pictures in {destination}, and the ledger of what is to be written would take its "
            "place: move it away, or choose another name"
        )


def _is_of_pack(destination: Path) -> bool:
    return destination.with_suffix(".rec").exists()
