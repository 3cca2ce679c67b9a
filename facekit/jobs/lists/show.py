"""``facekit lists show``: what is in a list, whose it is, and whether it was signed."""

from __future__ import annotations

import os

import numpy as np

from facekit.clean.lists import CleanList
from facekit.errors import FacekitError
from facekit.jobs.inputs.clean_list import read_list
from facekit.jobs.inputs.signatures import check_signature, signature_path, verify
from facekit.jobs.lists.config import ListSummary

__all__ = ["show_list", "summarise"]


def show_list(path: str, allowed_signers: str | None = None) -> ListSummary:
    """Look into a list.

    Parameters
    ----------
    path : str
    allowed_signers : str, optional
        A file of them, as ssh-keygen(1) has it: the list must be signed by one of these.

    Raises
    ------
    FacekitError
        The signature is none of theirs, or the list is another than was signed.
    """
    signed_by = None if allowed_signers is None else verify(path, allowed_signers)
    return summarise(path, read_list(path), signed_by)


def summarise(path: str, listed: CleanList, signed_by: str | None = None) -> ListSummary:
    """Count what is in a list.

    Parameters
    ----------
    path : str
        Where it lies.
    listed : CleanList
    signed_by : str, optional
    """
    signature = signature_path(path) if os.path.lexists(signature_path(path)) else None
    return ListSummary(
        path=path,
        pictures=len(listed),
        identities=listed.identities(),
        actions=listed.counts(),
        reasons=listed.reasons(),
        without_hash=int(np.count_nonzero(~listed.pictures.perceptual.any(axis=1))),
        voters=listed.about["voters"],
        agreed=int(np.count_nonzero(listed.known_by == listed.said_by)),
        vote=listed.about.get("vote"),
        bytes=os.path.getsize(path),
        signed_by=signed_by,
        signature=None if signature is None else str(signature),
        signatures={} if signature is None or signed_by is not None else {path: _state(path)},
    )


def _state(path: str) -> str:
    """What is known of the signature beside a list, good or bad."""
    try:
        return check_signature(path)
    except FacekitError:
        return f"NOT what {signature_path(path)} signs: sign it anew if it is yours, or do not trust it"
