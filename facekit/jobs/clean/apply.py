"""``facekit apply``: decisions, one's own or somebody else's, made true on a pack; and undone.

Read the decisions, find their pictures in the source, change what a person overrides or reverts, write the pack.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

import facekit
from facekit.clean.decisions import ACTIONS, REASONS
from facekit.clean.overrides import Overrides, load_overrides
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.config import CleanSummary
from facekit.jobs.clean.job import may_replace, overridden, publish, summarise
from facekit.jobs.clean.tables import DecisionTable, read_decisions
from facekit.jobs.clean.write import hash_payloads
from facekit.jobs.inputs.source import Source, open_source
from facekit.run.journal import Journal, was_published

__all__ = ["ApplyConfig", "apply", "match"]

UNMATCHED = "this picture is in no decision"


@dataclass(frozen=True)
class ApplyConfig:
    """Settings of ``facekit apply``.

    Attributes
    ----------
    source, decisions, destination : str
    match : {"key", "hash"}
        How decisions find their pictures: by key in the same pack, or by payload hash in any pack of the same pictures.
    unmatched : {"refuse", "drop"}
        What happens to pictures that the decisions do not know.
    revert : tuple of str
        Actions or reasons whose decisions are undone (the faces stay with their old identity); ``all`` for every one.
    overrides : str, optional
    overwrite : bool
    """

    source: str
    decisions: str
    destination: str
    match: str = "key"
    unmatched: str = "refuse"
    revert: tuple[str, ...] = ()
    overrides: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("match", ("key", "hash")), ("unmatched", ("refuse", "drop"))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(allowed)}")
        unknown = set(self.revert) - {"all", *ACTIONS, *REASONS}
        if unknown:
            raise ConfigError(
                f"revert {sorted(unknown)[0]!r}: choose all, an action ({', '.join(ACTIONS)}) or a reason"
            )


def apply(config: ApplyConfig) -> CleanSummary:
    """Apply decisions to a pack.

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, or the destination exists.
    FacekitError
        The decisions belong to another pack.
    """
    started, destination = perf_counter(), Path(os.path.abspath(config.destination))
    may_replace(destination, config.overwrite)
    source, _ = open_source(config.source, layout="flat")
    table = read_decisions(config.decisions)
    table = match_keys(table, source) if config.match == "key" else match(table, source, config.unmatched == "drop")
    overrides = load_overrides(config.overrides) if config.overrides else Overrides()
    table = reverted(table, config.revert, overrides)
    given = {n: v for n, v in dataclasses.asdict(config).items() if n not in ("destination", "overwrite", "overrides")}
    settings: dict[str, Any] = {"facekit": facekit.__version__, "input": source.content, "config": given}
    settings["overrides"] = overrides.to_json()
    settings["outcome"] = [int(table.new_label.sum()), int((table.new_label >= 0).sum())]
    if config.overwrite or not was_published(destination, settings):
        with Journal(destination, settings, config.overwrite) as journal:
            publish(journal, source, table, True)
    return summarise(config.destination, table, perf_counter() - started)


def reverted(table: DecisionTable, revert: tuple[str, ...], overrides: Overrides) -> DecisionTable:
    """Undo what is to be undone, then apply overrides. With everything undone the source is what comes out."""
    undone = np.isin(table.action, revert) | np.isin(table.reason, revert)
    if "all" in revert:
        undone[:] = True
    if undone.all() and not overrides:
        stay = np.zeros(len(table), np.int8)
        return dataclasses.replace(table, action_code=stay, reason_code=stay, new_label=table.old_label.copy())
    changed = undone & (table.action_code != ACTIONS.index("keep"))
    said = {*overrides.keep, *overrides.drop, *overrides.move}
    back = tuple(key for key in table.keys[changed].tolist() if key not in said)
    split = tuple(sorted({*overrides.split, *_followers(table, changed)}))
    keep = tuple(k for k in back if not _is_merged(table, k, changed))
    return overridden(table, dataclasses.replace(overrides, keep=overrides.keep + keep, split=split))


def _merged_rows(table: DecisionTable, changed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return changed & np.isin(table.reason, ["union", "inter"])


def _followers(table: DecisionTable, changed: npt.NDArray[np.bool_]) -> list[int]:
    labels: list[int] = np.unique(table.old_label[_merged_rows(table, changed)]).tolist()
    return labels


def _is_merged(table: DecisionTable, key: int, changed: npt.NDArray[np.bool_]) -> bool:
    return bool(_merged_rows(table, changed)[table.row_of(key)])


def match_keys(table: DecisionTable, source: Source) -> DecisionTable:
    """Check that decisions and source speak about the same keys and labels; payloads are checked as they are written.

    Raises
    ------
    FacekitError
        They do not.
    """
    order = np.argsort(table.keys, kind="stable")
    place = order[np.minimum(np.searchsorted(table.keys, source.keys, sorter=order), len(order) - 1)]
    if len(table) != len(source) or not np.array_equal(table.keys[place], source.keys):
        raise FacekitError(
            f"the decisions cover {len(table)} images with other keys than the {len(source)} of {source.path}: "
            "they belong to another pack; --match hash finds the same pictures in a repack"
        )
    found = _rows(table, place)
    if not np.array_equal(found.old_label, source.labels):
        key = int(source.keys[int((found.old_label != source.labels).argmax())])
        raise FacekitError(
            f"key {key} has another label in {source.path} than in the decisions: they belong to another pack; "
            "--match hash finds the same pictures in a repack"
        )
    return found


def match(table: DecisionTable, source: Source, drop_unmatched: bool) -> DecisionTable:
    """Find the decisions' pictures by payload hash; of the same bytes twice, the first finds the first.

    Raises
    ------
    FacekitError
        Pictures of the source are in no decision, and they may not be dropped; or none is.
    """
    hashes = hash_payloads(source)
    place = _first_to_first(_as_void(table.payload_hash), _as_void(hashes))
    known = place >= 0
    if not known.any():
        raise FacekitError(f"none of the {len(source)} pictures of {source.path} is in the decisions: another pack")
    if not known.all() and not drop_unmatched:
        raise FacekitError(
            f"{np.count_nonzero(~known)} of {len(source)} pictures of {source.path} are in no decision; "
            "--unmatched drop leaves them out"
        )
    found = _rows(table, np.maximum(place, 0))
    evidence = found.evidence.copy()
    evidence[~known] = UNMATCHED
    return dataclasses.replace(
        found,
        keys=source.keys,
        payload_hash=hashes,
        old_label=source.labels,
        new_label=np.where(known, found.new_label, -1),
        action_code=np.where(known, found.action_code, ACTIONS.index("drop")).astype(np.int8),
        reason_code=np.where(known, found.reason_code, REASONS.index("unmatched")).astype(np.int8),
        evidence=evidence,
    )


def _rows(table: DecisionTable, place: npt.NDArray[np.int64]) -> DecisionTable:
    arrays = {f.name: getattr(table, f.name)[place] for f in dataclasses.fields(table) if f.name != "about"}
    return dataclasses.replace(table, **arrays)


def _as_void(hashes: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    return np.ascontiguousarray(hashes).view("V16").reshape(-1)


def _first_to_first(known: npt.NDArray[np.void], asked: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Return for each asked hash the row of the known one with the same count of equals before it, -1 where there is
    none."""
    _, both = np.unique(np.concatenate([known, asked]).view("S16"), return_inverse=True)
    names = both.reshape(-1)
    mine, theirs = _counted(names[: len(known)]), _counted(names[len(known) :])
    place = {pair: at for at, pair in enumerate(mine)}
    return np.array([place.get(pair, -1) for pair in theirs], np.int64)


def _counted(names: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    seen: dict[int, int] = {}
    out = []
    for name in names.tolist():
        seen[name] = seen.get(name, -1) + 1
        out.append((name, seen[name]))
    return out
