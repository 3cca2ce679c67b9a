"""Decisions that travel: a row for each picture, known by its bytes and by what it shows, and no picture in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, REASONS, Action
from facekit.errors import FacekitError
from facekit.records.distinct import ascends, blocks, count_codes, distinct
from facekit.records.mapped_array import mapped_array

__all__ = ["MOST_VOTERS", "CleanList", "Pictures", "as_bytes", "list_order", "make_list", "numbered"]

MOST_VOTERS = 63

Number = TypeVar("Number", bound=np.generic)


class Pictures(NamedTuple):
    """What pictures are known by.

    Attributes
    ----------
    payload_hash : (N, 16) uint8
        BLAKE2b of the payload.
    perceptual : (N, 40) uint8
        See `facekit.images.perceptual`; zero where a picture does not decode, or shows nothing.
    """

    payload_hash: npt.NDArray[np.uint8]
    perceptual: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.payload_hash)

    def select_rows(self, rows: npt.NDArray[np.int64]) -> Pictures:
        """Some of them, in that order."""
        return Pictures(self.payload_hash[rows], self.perceptual[rows])


@dataclass(frozen=True)
class CleanList:
    """The rows of a list as arrays: 82 bytes a row, 66 where one voter says all of it. They ascend by payload hash.

    Those of a list that was read or merged are mapped, see `facekit.records.mapped_array`.

    Attributes
    ----------
    pictures : Pictures
    action_code, reason_code : (N,) int8
        Codes of `Action` and `Reason`.
    identity : (N,) int64
        Who the picture shows, as a number that means nothing outside the list; -1: the picture is out.
    known_by, said_by : (N,) uint64
        Bit k: voter k knows the picture; says the same of it (in, or out).
    about : dict
        ``voters``, a list of objects: who, by which model, with what settings, and how many pictures.

    Raises
    ------
    FacekitError
        A picture has an identity and is out, or has none and is in; or rows do not ascend.
    """

    pictures: Pictures
    action_code: npt.NDArray[np.int8]
    reason_code: npt.NDArray[np.int8]
    identity: npt.NDArray[np.int64]
    known_by: npt.NDArray[np.uint64]
    said_by: npt.NDArray[np.uint64]
    about: dict[str, Any]

    def __post_init__(self) -> None:
        out = (self.action_code == Action.DROP) | (self.action_code == Action.REVIEW)
        if not np.array_equal(self.identity < 0, out):
            raise FacekitError("the list contradicts itself: a picture has an identity exactly if it is kept or moved")
        hashes = as_bytes(self.pictures.payload_hash)
        if not ascends(hashes):
            raise FacekitError("the list is not sorted by payload hash: it is damaged, or no list of facekit's")

    def __len__(self) -> int:
        return len(self.identity)

    def counts(self) -> dict[str, int]:
        """How many pictures there are for each action; they add up to ``len(self)``."""
        found = count_codes(self.action_code, len(ACTIONS)).tolist()
        return dict(zip(ACTIONS, found, strict=True))

    def reasons(self) -> dict[str, int]:
        """How many pictures there are for each reason that occurs."""
        found = count_codes(self.reason_code, len(REASONS)).tolist()
        return {reason: count for reason, count in zip(REASONS, found, strict=True) if count}

    def identities(self) -> int:
        """How many people are in."""
        return int((distinct(self.identity) >= 0).sum())

    def starts(self) -> npt.NDArray[np.int64]:
        """The first row of each different payload, (m,)."""
        hashes = as_bytes(self.pictures.payload_hash)
        return np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])

    def select_rows(self, rows: npt.NDArray[np.int64]) -> CleanList:
        """Some of the rows, in that order, which must ascend."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return dataclasses.replace(self, pictures=self.pictures.select_rows(rows), **columns)

    def without_voters(self) -> CleanList:
        """A list that keeps no column of who knows and says what."""
        nobody = np.broadcast_to(np.uint64(0), len(self))
        return dataclasses.replace(self, known_by=nobody, said_by=nobody)


_COLUMNS = ("action_code", "reason_code", "identity", "known_by", "said_by")


def as_bytes(hashes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bytes_]:
    """View (N, B) uint8 as (N,) bytes that sort and compare."""
    return np.ascontiguousarray(hashes).view(f"S{hashes.shape[1]}").reshape(-1)


def numbered(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number values through by where they stand first; negative ones become -1.

    >>> numbered(np.array([7, -2, 3, 7])).tolist()
    [0, -1, 1, 0]
    """
    known = distinct(values)
    firsts = np.full(len(known), len(values), np.int64)
    for part in blocks(len(values)):
        np.minimum.at(firsts, np.searchsorted(known, values[part]), np.arange(part.start, part.stop))
    inside = known >= 0
    ranks = np.full(len(known), -1, np.int64)
    ranks[inside] = np.argsort(np.argsort(firsts[inside]))
    numbers = np.empty(len(values), np.int64)
    for part in blocks(len(values)):
        numbers[part] = ranks[np.searchsorted(known, values[part])]
    return numbers


def make_list(
    pictures: Pictures,
    action_code: npt.NDArray[np.int8],
    reason_code: npt.NDArray[np.int8],
    identity: npt.NDArray[np.int64],
    about: dict[str, Any],
    known_by: npt.NDArray[np.uint64] | None = None,
    said_by: npt.NDArray[np.uint64] | None = None,
) -> CleanList:
    """Sort rows, and number the people by their first picture in that order: nothing of the source's labels is left.

    Parameters
    ----------
    As `CleanList` has them, in any order; one voter says all of it where none is named.
    """
    rows, fresh = list_order(pictures.payload_hash, action_code, reason_code, identity)
    one = np.broadcast_to(np.uint64(1), len(rows))
    known = one if known_by is None else _in_order(known_by, rows)
    said = one if said_by is None else _in_order(said_by, rows)
    shown = Pictures(*(_in_order(column, rows) for column in pictures))
    return CleanList(shown, _in_order(action_code, rows), _in_order(reason_code, rows), fresh, known, said, about)


def _in_order(column: npt.NDArray[Number], rows: npt.NDArray[np.int64]) -> npt.NDArray[Number]:
    """All rows of a column in another order; the column itself where that is its own."""
    if all(np.array_equal(rows[part], np.arange(part.start, part.stop)) for part in blocks(len(rows))):
        return column
    found = mapped_array(column.shape, column.dtype)
    for part in blocks(len(rows)):
        found[part] = column[rows[part]]
    return found


def list_order(
    payload_hash: npt.NDArray[np.uint8],
    action_code: npt.NDArray[np.int8],
    reason_code: npt.NDArray[np.int8],
    identity: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """In which order rows stand in a list, and whom they show there; an index over columns that stay as they are.

    Parameters
    ----------
    payload_hash : (N, 16) uint8
    action_code, reason_code : (N,) int8
    identity : (N,) int64
        As `CleanList` has them, in any order.

    Returns
    -------
    rows : (N,) int64
        By payload hash; rows of one payload by action, reason and the number of the person.
    identity : (N,) int64
        In that order, numbered by where a person stands first.
    """
    hashes = as_bytes(payload_hash)
    rows = np.arange(len(hashes)) if ascends(hashes) else np.argsort(hashes, kind="stable")
    fresh = numbered(_in_order(identity, rows))
    tied = _tied(hashes, rows)
    if len(tied):
        some = rows[tied]
        again = np.lexsort((fresh[tied], reason_code[some], action_code[some], _ranks(hashes[some])))
        rows[tied] = some[again]
        fresh[tied] = fresh[tied][again]
        fresh = numbered(fresh)
    return rows, fresh


def _tied(hashes: npt.NDArray[np.bytes_], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Places in an order whose value stands beside them too: few, of pictures."""
    same = np.zeros(len(rows) + 1, np.bool_)  # whether each place has the value of the one before
    for part in blocks(len(rows) - 1):
        next_one = slice(part.start + 1, part.stop + 1)
        same[next_one] = hashes[rows[next_one]] == hashes[rows[part]]
    return np.flatnonzero(same[:-1] | same[1:])


def _ranks(ascending: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int64]:
    """Equal values get equal numbers, (n,)."""
    return np.cumsum(np.append(False, ascending[1:] != ascending[:-1])[: len(ascending)])
