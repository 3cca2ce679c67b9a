"""A list that somebody made -> decisions about the pictures of a source."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import Action, Reason
from facekit.clean.list_matching import Found, Key, find_pictures
from facekit.clean.lists import CleanList, Pictures, as_bytes
from facekit.errors import ConfigError, FacekitError
from facekit.images.perceptual import HASH_BYTES
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.match import UNMATCHED
from facekit.jobs.clean.tabulate import hash_payloads
from facekit.jobs.inputs.clean_list import is_list, list_cure, read_list
from facekit.jobs.inputs.picture_hashes import hash_pictures
from facekit.jobs.inputs.signatures import check_signature
from facekit.jobs.inputs.source import Source
from facekit.records.distinct import blocks
from facekit.records.key_rows import rows_of
from facekit.records.mapped_array import mapped_array
from facekit.records.named_inputs import describe_path, require_there

__all__ = ["AllowedLoss", "check_list", "decisions_of", "match_list"]

log = logging.getLogger(__name__)

SENTENCES = ("a list says so", UNMATCHED, "the list says different things of pictures as near")


class AllowedLoss(NamedTuple):
    """How pictures are found, and how many need not be.

    Attributes
    ----------
    match : {"key", "hash", "auto"}
    drop_unmatched : bool
        With ``hash``: drop pictures that the list does not know, instead of refusing.
    least_found : float
        With ``auto``: the share that the list must know.
    """

    match: str
    drop_unmatched: bool
    least_found: float


def match_list(
    path: str, source: Source, allowed: AllowedLoss, look: Callable[[Source], npt.NDArray[np.uint8]] = hash_pictures
) -> tuple[DecisionTable, dict[str, int]]:
    """Find the pictures of a source in a list.

    Parameters
    ----------
    path : str
        The list; `check_list` has looked at it.
    source : Source
    allowed : AllowedLoss
    look : callable
        Hashes what pictures show, (n, 40); wanted of those that are not known by their bytes.

    Returns
    -------
    DecisionTable
        N rows, in the order of the source.
    dict from str to int
        How many pictures were found by which key.

    Raises
    ------
    FacekitError
        The list is damaged, or knows too few of the pictures.
    """
    listed = read_list(path)
    payloads = hash_payloads(source)
    shown = _shown(listed, source, payloads, look) if allowed.match == "auto" else _nothing(len(source))
    found = find_pictures(listed, Pictures(payloads, shown))
    del shown
    _check_share(path, source, found, allowed)
    return decisions_of(listed, found, source, payloads), found.counts()


def _nothing(count: int) -> npt.NDArray[np.uint8]:
    """Perceptual hashes that say nothing, in no memory."""
    return np.broadcast_to(np.uint8(0), (count, HASH_BYTES))


def _shown(
    listed: CleanList,
    source: Source,
    payloads: npt.NDArray[np.uint8],
    look: Callable[[Source], npt.NDArray[np.uint8]],
) -> npt.NDArray[np.uint8]:
    """What the pictures show that a list does not know by their bytes, (N, 40)."""
    lost = np.flatnonzero(rows_of(as_bytes(listed.pictures.payload_hash), as_bytes(payloads), ascending=True) < 0)
    if len(lost) in (0, len(source)):
        return look(source) if len(lost) else _nothing(len(source))
    looked, shown = look(source.select_rows(lost)), mapped_array((len(source), HASH_BYTES), np.uint8)
    for part in blocks(len(lost)):
        shown[lost[part]] = looked[part]
    return shown


def check_list(path: str, match: str, allowed_signers: str | None) -> str:
    """What is known of the signature of a list; see `facekit.jobs.inputs.signatures.check_signature`.

    Raises
    ------
    ConfigError
        It is no list, pictures are to be found by their keys, or it is not signed though signers are named.
    FacekitError
        It is not what its signature signs.
    """
    require_there(path, "list")
    if match == "key":
        raise ConfigError(f"{path} is a list, which knows no keys: choose --match auto, or --match hash")
    if not is_list(path):
        raise ConfigError(
            f"--match auto wants a list, {path} is {describe_path(path)}: {list_cure(path)}, or choose --match hash"
        )
    return check_signature(path, allowed_signers)


def _check_share(path: str, source: Source, found: Found, allowed: AllowedLoss) -> None:
    """Refuse a list that does not speak of this pack, and log what was found."""
    count = int(np.count_nonzero(found.rows >= 0))
    share, needed = count / max(len(source), 1), allowed.least_found
    if allowed.match == "hash":
        needed = 0.0 if allowed.drop_unmatched else 1.0
    said = ", ".join(f"{number:,} {name}" for name, number in found.counts().items() if number)
    if not len(source):
        raise FacekitError(f"{source.name} holds no pictures, of which a list could say anything: name another pack")
    if not count or share < needed:
        cure = _cure(allowed.match, share)
        raise FacekitError(
            f"{path} knows {count:,} of the {len(source):,} pictures of {source.name}, {share:.1%} ({said}); {cure}"
        )
    log.info("%s: %s", path, said)


def _cure(match: str, share: float) -> str:
    if match != "auto":
        return "choose --match auto, which also finds pictures by what they show, or --unmatched drop"
    less = f", or choose --least-found {np.floor(100 * share) / 100:.2f} to drop the others" if share else ""
    return f"name a list of this pack{less}"


def decisions_of(listed: CleanList, found: Found, source: Source, payloads: npt.NDArray[np.uint8]) -> DecisionTable:
    """What a list says of the pictures of a source, people numbered as cleaning numbers them.

    Parameters
    ----------
    listed : CleanList
    found : Found
        Of the N pictures.
    source : Source
    payloads : (N, 16) uint8

    Returns
    -------
    DecisionTable
        A picture that was not found is dropped as unmatched.
    """
    rows, known = np.maximum(found.rows, 0), found.rows >= 0
    constant = {
        "similarity": np.float32(np.nan), "threshold": np.float32(0), "nearest": np.int64(-1), "cluster": np.int8(-1),
        "round": np.int32(0),
    }  # fmt: skip
    voters = listed.about["voters"]
    return DecisionTable(
        keys=source.keys,
        payload_hash=payloads,
        old_label=source.labels,
        new_label=_labels(np.where(known, listed.identity[rows], -1), source.labels),
        action_code=np.where(known, listed.action_code[rows], Action.DROP).astype(np.int8),
        reason_code=np.where(known, listed.reason_code[rows], Reason.UNMATCHED).astype(np.int8),
        evidence_code=np.where(known, 0, np.where(found.keys == Key.AMBIGUOUS, 2, 1)).astype(np.int32),
        sentences=SENTENCES,
        about={
            "model": ", ".join(dict.fromkeys(str(voter.get("model", "")) for voter in voters)),
            "settings": {},
            "voters": voters,
        },
        **{name: np.broadcast_to(value, len(source)) for name, value in constant.items()},
    )


def _labels(identity: npt.NDArray[np.int64], old: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number people by their smallest old label, of equal ones by their first picture, (N,); -1 is out."""
    order = np.lexsort((old, identity))
    order = order[identity[order] >= 0]
    firsts = order[np.append(True, identity[order][1:] != identity[order][:-1])[: len(order)]]
    people = identity[firsts]  # ascending, each once
    ranks = np.empty(len(people), np.int64)
    ranks[np.lexsort((firsts, old[firsts]))] = np.arange(len(people))
    labels = np.full(len(identity), -1, np.int64)
    labels[order] = ranks[np.searchsorted(people, identity[order])]
    return labels
