"""What a person decided, on top of decisions: keep, drop or move single faces, merge or split identities, revert."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facekit.clean.decisions import WITH_IDENTITY, Action, Reason, label_homes
from facekit.errors import ConfigError, FacekitError
from facekit.records.distinct import blocks, distinct_of, places_in
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import require_text

__all__ = [
    "FORMAT",
    "Overridden",
    "OverrideArrays",
    "Overrides",
    "load_overrides",
    "override",
    "read_overrides",
    "renumber",
    "require_known",
]

FORMAT = 1
_FIELDS = {"format", "keep", "drop", "move", "merge", "split"}


@dataclass(frozen=True)
class Overrides:
    """An overrides file. Faces are named by the key of the source, identities by their old label.

    Attributes
    ----------
    keep : list of int
        Faces that stay with their own identity.
    drop : list of int
    move : dict of int to int
        Faces that go to the identity of another old label.
    merge : list of (int, int)
        Pairs of old labels that are one person.
    split : list of int
        Old labels that are taken out of the group they were merged into.
    """

    keep: tuple[int, ...] = ()
    drop: tuple[int, ...] = ()
    move: dict[int, int] = field(default_factory=dict)
    merge: tuple[tuple[int, int], ...] = ()
    split: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        seen: set[int] = set()
        for key in (*self.keep, *self.drop, *self.move):
            if key in seen:
                raise ConfigError(f"overrides say two things about key {key}: leave one of keep, drop and move")
            seen.add(key)

    def __bool__(self) -> bool:
        return bool(self.keep or self.drop or self.move or self.merge or self.split)

    def to_json(self) -> str:
        """Return the text of an overrides file."""
        given: dict[str, Any] = {"format": FORMAT, "keep": list(self.keep), "drop": list(self.drop)}
        given["move"] = {str(key): label for key, label in self.move.items()}
        given.update(merge=[list(pair) for pair in self.merge], split=list(self.split))
        return json.dumps(given, indent=1) + "\n"

    def arrays(self) -> OverrideArrays:
        """Return the same as arrays."""
        numbers = (self.keep, self.drop, tuple(self.move), tuple(self.move.values()), self.split)
        keep, drop, move, targets, split = (np.array(given, np.int64) for given in numbers)
        return OverrideArrays(keep, drop, move, targets, np.array(self.merge, np.int64).reshape(-1, 2), split)


class OverrideArrays(NamedTuple):
    """Overrides as arrays: however many there are, they cost eight bytes each."""

    keep: np.ndarray  # (k,) int64 keys
    drop: np.ndarray  # (d,) int64 keys
    move: np.ndarray  # (m,) int64 keys
    targets: np.ndarray  # (m,) int64 the old label whose identity each moved face goes to
    merge: np.ndarray  # (p, 2) int64 old labels
    split: np.ndarray  # (s,) int64 old labels


class Overridden(NamedTuple):
    """Decisions after overrides, as in `Decisions`."""

    action_code: np.ndarray  # (N,) int8
    reason_code: np.ndarray  # (N,) int8
    new_label: np.ndarray  # (N,) int64


def read_overrides(text: str | bytes, name: str = "overrides") -> Overrides:
    """Read an overrides file.

    Parameters
    ----------
    text : str or bytes
        JSON.
    name : str
        What messages call it.

    Raises
    ------
    ConfigError
        It is not one; the message says where.
    """
    try:
        given = json.loads(text)
        if not isinstance(given, dict) or set(given) - _FIELDS or given.get("format", FORMAT) != FORMAT:
            raise ValueError(f"an object with some of {', '.join(sorted(_FIELDS))} and format {FORMAT} is expected")
        return Overrides(
            tuple(_whole(k) for k in given.get("keep", [])),
            tuple(_whole(k) for k in given.get("drop", [])),
            {_whole(k): _whole(v) for k, v in given.get("move", {}).items()},
            tuple((_whole(a), _whole(b)) for a, b in given.get("merge", [])),
            tuple(_whole(k) for k in given.get("split", [])),
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{name} is no overrides file: {error}") from error


def load_overrides(path: str | Path) -> Overrides:
    """Read an overrides file from disk.

    Raises
    ------
    ConfigError
        It cannot be read, or is none.
    """
    require_text(path, "an overrides file", "name what facekit review saved")
    try:
        return read_overrides(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def override(
    given: OverrideArrays,
    keys: np.ndarray,
    old_label: np.ndarray,
    action_code: np.ndarray,
    reason_code: np.ndarray,
    new_label: np.ndarray,
) -> Overridden:
    """Apply what a person decided.

    Identities are split first, then merged, then single faces are kept, dropped or moved. A face that is kept goes
    where its identity is now, or makes a new one where nothing of its identity was left.

    Parameters
    ----------
    given : OverrideArrays
    keys, old_label, new_label : (N,) int64
    action_code, reason_code : (N,) int8

    Returns
    -------
    Overridden
        New labels are not contiguous: see `renumber`.

    Raises
    ------
    FacekitError
        A key or label that the decisions do not know.
    """
    action, reason, new = action_code.copy(), reason_code.copy(), new_label.copy()
    if not any(map(len, given)):
        return Overridden(action, reason, new)
    labels, homes = label_homes(old_label, reason, new)
    keep, drop, move, targets, merge, split = _rows_named(given, keys, labels)
    identity = places_in(labels, old_label)

    split = _first_of_each(split)
    homes[split] = _fresh(new, homes) + np.arange(len(split))
    apart = np.zeros(len(labels), bool)
    apart[split] = True
    inside = apart[identity] & np.isin(reason, WITH_IDENTITY)
    new[inside], action[inside], reason[inside] = homes[identity[inside]], Action.KEEP, Reason.OVERRIDE

    if len(merge):
        merged, homes = _merge(merge, homes, _fresh(new, homes))
        for part in blocks(len(new)):
            moved = part.start + np.flatnonzero((new[part] >= 0) & (merged[new[part]] != new[part]))
            new[moved], action[moved], reason[moved] = merged[new[moved]], Action.MOVE, Reason.OVERRIDE

    new[drop], action[drop], reason[drop] = -1, Action.DROP, Reason.OVERRIDE

    rows, targets = np.concatenate([keep, move]), np.concatenate([identity[keep], targets])
    homeless = _first_of_each(targets[homes[targets] < 0])
    homes[homeless] = _fresh(new, homes) + np.arange(len(homeless))
    new[rows], reason[rows] = homes[targets], Reason.OVERRIDE
    action[rows] = np.where(targets == identity[rows], Action.KEEP, Action.MOVE)
    return Overridden(action, reason, new)


def require_known(given: Overrides, keys: np.ndarray, labels: np.ndarray) -> None:
    """Refuse overrides that could not be applied to some decisions.

    Parameters
    ----------
    given : Overrides
    keys : (N,) int64
    labels : (I,) int64
        Old labels, ascending.

    Raises
    ------
    FacekitError
        A key or label that the decisions do not know.
    """
    _rows_named(given.arrays(), keys, labels)


def _rows_named(given: OverrideArrays, keys: np.ndarray, labels: np.ndarray) -> OverrideArrays:
    """The same with the rows of faces and the places of identities instead of keys and labels.

    Parameters
    ----------
    given : OverrideArrays
    keys : (N,) int64
    labels : (I,) int64
        Ascending.

    Raises
    ------
    FacekitError
        A key or label that the decisions do not know.
    """
    faces = np.concatenate([given.keep, given.drop, given.move])
    identities = np.concatenate([given.targets, given.merge.reshape(-1), given.split])
    rows, places = rows_of(keys, faces), rows_of(labels, identities, ascending=True)
    for what, named, found in (("key", faces, rows), ("label", identities, places)):
        if (found < 0).any():
            raise FacekitError(
                f"overrides name {what} {named[int((found < 0).argmax())]}, which the decisions do not know: "
                "they belong to another pack"
            )
    keep, drop, move = np.split(rows, np.cumsum([len(given.keep), len(given.drop)]))
    targets, merge, split = np.split(places, np.cumsum([len(given.targets), given.merge.size]))
    return OverrideArrays(keep, drop, move, targets, merge.reshape(-1, 2), split)


def _merge(pairs: np.ndarray, homes: np.ndarray, fresh: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring the group of the second identity of each pair into that of the first, one pair after another.

    Parameters
    ----------
    pairs : (p, 2) int64
        Identities.
    homes : (I,) int64
        Their groups, -1 for none.
    fresh : int
        The first number that is no group yet.

    Returns
    -------
    merged : (g,) int64
        Where each group is in the end, for all that were there and all new ones.
    homes : (I,) int64
        Where each identity is in the end.
    """
    parent = np.arange(fresh + len(pairs) + 1)  # one to spare, so that place -1 is there
    homes = homes.copy()
    for first, second in pairs.tolist():
        for identity in (first, second):
            homes[identity] = _root(parent, int(homes[identity]))
        if homes[first] < 0:
            homes[first], fresh = fresh, fresh + 1
        if homes[second] < 0:
            homes[second] = homes[first]
        parent[homes[second]] = homes[first]
    while not np.array_equal(parent, parent[parent]):
        parent = parent[parent]
    return parent, np.where(homes >= 0, parent[homes], -1)


def _root(parent: np.ndarray, group: int) -> int:
    """Where a group is now; the way to it is halved, so that long chains stay cheap."""
    while group >= 0 and parent[group] != group:
        parent[group] = parent[parent[group]]
        group = int(parent[group])
    return group


def _first_of_each(numbers: np.ndarray) -> np.ndarray:
    """Each number once, in the order in which they first occur."""
    _, first = np.unique(numbers, return_index=True)
    return numbers[np.sort(first)]


def renumber(new_label: np.ndarray) -> np.ndarray:
    """Return labels that are contiguous from 0, in the order of those given; -1 stays -1. Where nothing is to be done
    they are the array that was given.

    Parameters
    ----------
    new_label : (N,) int64

    Returns
    -------
    (N,) int64
    """
    used = distinct_of(new_label[part][new_label[part] >= 0] for part in blocks(len(new_label)))
    if not len(used) or used[-1] == len(used) - 1:
        return new_label
    out = np.full(len(new_label), -1, np.int64)
    for part in blocks(len(new_label)):
        inside = new_label[part] >= 0
        out[part][inside] = np.searchsorted(used, new_label[part][inside])
    return out


def _fresh(new_label: np.ndarray, homes: np.ndarray) -> int:
    return max(int(new_label.max(initial=-1)), int(homes.max(initial=-1))) + 1


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not 0 <= int(value) < 1 << 63:
        raise ValueError(f"{value!r} is not a key or label")
    return int(value)
