"""What a person decided, on top of decisions: keep, drop or move single faces, merge or split identities, revert."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facekit.clean.decisions import ACTIONS, REASONS
from facekit.errors import ConfigError, FacekitError

__all__ = ["FORMAT", "Effective", "Overrides", "homes", "load_overrides", "override", "read_overrides", "renumber"]

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
        named = [*self.keep, *self.drop, *self.move]
        if len(set(named)) < len(named):
            twice = next(key for key in named if named.count(key) > 1)
            raise ConfigError(f"overrides say two things about key {twice}: leave one of keep, drop and move")

    def __bool__(self) -> bool:
        return bool(self.keep or self.drop or self.move or self.merge or self.split)

    def to_json(self) -> str:
        """Return the text of an overrides file."""
        given: dict[str, Any] = {"format": FORMAT, "keep": list(self.keep), "drop": list(self.drop)}
        given["move"] = {str(key): label for key, label in self.move.items()}
        given.update(merge=[list(pair) for pair in self.merge], split=list(self.split))
        return json.dumps(given, indent=1) + "\n"


@dataclass(frozen=True)
class Effective:
    """Decisions after overrides; (N,) arrays as in `Decisions`."""

    action_code: np.ndarray
    reason_code: np.ndarray
    new_label: np.ndarray


def read_overrides(text: str | bytes, name: str = "overrides") -> Overrides:
    """Read an overrides file.

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
    """Read an overrides file from disk."""
    try:
        return read_overrides(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def override(
    overrides: Overrides,
    keys: np.ndarray,
    old_label: np.ndarray,
    action_code: np.ndarray,
    reason_code: np.ndarray,
    new_label: np.ndarray,
) -> Effective:
    """Apply what a person decided.

    Identities are split first, then merged, then single faces are kept, dropped or moved. A face that is kept goes
    where its identity is now, or founds it again where nothing of it was left.

    Parameters
    ----------
    keys, old_label, new_label : (N,) int64
    action_code, reason_code : (N,) int8

    Raises
    ------
    FacekitError
        A key or label that the decisions do not know.
    """
    action, reason, new = action_code.copy(), reason_code.copy(), new_label.copy()
    if not overrides:
        return Effective(action, reason, new)
    home = homes(old_label, reason, new)
    by_person = REASONS.index("override")
    for label in overrides.split:
        inside = (old_label == _known(home, label)) & np.isin(reason, _MERGED)
        home[label] = _fresh(new)
        new[inside], action[inside], reason[inside] = home[label], ACTIONS.index("keep"), by_person
    for a, b in overrides.merge:
        into, gone = home[_known(home, a)], home[_known(home, b)]
        moved = (new == gone) & (gone >= 0) & (gone != into)
        into = _fresh(new) if into < 0 else into
        new[moved], action[moved], reason[moved] = into, ACTIONS.index("move"), by_person
        home = {label: into if group == gone and gone >= 0 else group for label, group in home.items()} | {a: into}
    row = {int(key): at for at, key in enumerate(keys)}
    for key in overrides.drop:
        at = _row(row, key)
        new[at], action[at], reason[at] = -1, ACTIONS.index("drop"), by_person
    for key, label in _wishes(overrides, row, old_label):
        at = _row(row, key)
        own = int(old_label[at])
        target = _known(home, label)
        if home[target] < 0:
            home[target] = _fresh(new)
        new[at], reason[at] = home[target], by_person
        action[at] = ACTIONS.index("keep" if target == own else "move")
    return Effective(action, reason, new)


def _wishes(overrides: Overrides, rows: dict[int, int], old_label: np.ndarray) -> list[tuple[int, int]]:
    stay = [(key, int(old_label[_row(rows, key)])) for key in overrides.keep]
    return stay + list(overrides.move.items())


_MERGED = [REASONS.index("inlier"), REASONS.index("union"), REASONS.index("inter")]


def renumber(new_label: np.ndarray) -> np.ndarray:
    """Return new labels that are contiguous from 0, in the order of the new labels given; -1 stays -1."""
    used = np.unique(new_label[new_label >= 0])
    out = np.full(len(new_label), -1, np.int64)
    out[new_label >= 0] = np.searchsorted(used, new_label[new_label >= 0])
    return out


def homes(old_label: np.ndarray, reason: np.ndarray, new_label: np.ndarray) -> dict[int, int]:
    """Return the new label that each identity has, -1 where nothing of it is left."""
    home = dict.fromkeys(np.unique(old_label).tolist(), -1)
    stays = (new_label >= 0) & np.isin(reason, [*_MERGED, REASONS.index("override")])
    pair, count = np.unique(np.stack([old_label[stays], new_label[stays]]), axis=1, return_counts=True)
    for at in np.argsort(count, kind="stable"):
        home[int(pair[0, at])] = int(pair[1, at])
    return home


def _fresh(new_label: np.ndarray) -> int:
    return int(new_label.max(initial=-1)) + 1


def _known(home: dict[int, int], label: int) -> int:
    if label not in home:
        raise FacekitError(
            f"overrides name label {label}, which the decisions do not know: they belong to another pack"
        )
    return label


def _row(rows: dict[int, int], key: int) -> int:
    if key not in rows:
        raise FacekitError(f"overrides name key {key}, which the decisions do not know: they belong to another pack")
    return rows[key]


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not 0 <= int(value) < 1 << 63:
        raise ValueError(f"{value!r} is not a key or label")
    return int(value)
