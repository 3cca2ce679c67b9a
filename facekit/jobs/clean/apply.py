"""``facekit apply``: decisions, one's own or somebody else's, made true on a pack; and undone.

Read the decisions, find their pictures in the source, change what a person overrides or reverts, write the pack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, REASONS, Action, Reason
from facekit.clean.overrides import Overrides, load_overrides
from facekit.errors import ConfigError, did_you_mean, none_of
from facekit.jobs.clean.apply_list import AllowedLoss, check_list, match_list
from facekit.jobs.clean.config import CleanSummary
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.match import match_hashes, match_keys
from facekit.jobs.clean.tables import DECISIONS
from facekit.jobs.clean.tabulate import override_table, summarise
from facekit.jobs.clean.write import Share, write_output
from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.clean_list import is_list
from facekit.jobs.inputs.signatures import signature_inputs
from facekit.jobs.inputs.source import Source, open_source, source_bytes, source_input
from facekit.jobs.outputs.picture_shards import share_hashing
from facekit.output import Input, check_folder, input_of, open_folder
from facekit.records.distinct import blocks, distinct_of
from facekit.records.index_policy import index_policy
from facekit.records.key_rows import rows_of
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = ["ApplyConfig", "apply", "revert_decisions"]


@dataclass(frozen=True)
class ApplyConfig:
    """Settings of ``facekit apply``.

    Attributes
    ----------
    source, decisions, destination : str
    match : {"key", "hash", "auto"}
        How decisions find their pictures: by key in the same pack, by payload hash in any pack of the same pictures, or
        those of a list (``facekit lists export``) by payload hash and then by what the pictures show.
    unmatched : {"refuse", "drop"}
        What happens to pictures that the decisions do not know; with ``auto`` they are dropped.
    least_found : float
        With ``auto``: the share of the pictures that the list must know.
    allowed_signers : str, optional
        A file of them: the list must be signed by one of these.
    revert : tuple of str
        Actions or reasons whose decisions are undone (the faces stay with their old identity); ``all`` for every one.
    overrides : str, optional
    workers : int
        Worker processes; the output does not depend on it.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    overwrite : bool
    partial_index : bool
        Take a pack whose index does not reach its end.
    """

    source: str
    decisions: str
    destination: str
    match: str = "key"
    unmatched: str = "refuse"
    least_found: float = 0.9
    allowed_signers: str | None = None
    revert: tuple[str, ...] = ()
    overrides: str | None = None
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_at_least("workers", self.workers, 1)
        for name, allowed in (("match", ("key", "hash", "auto")), ("unmatched", ("refuse", "drop"))):
            if getattr(self, name) not in allowed:
                raise none_of(name, getattr(self, name), allowed)
        if not 0 <= self.least_found <= 1:
            raise ConfigError(f"least_found is {self.least_found}: give a share from 0 to 1")
        unknown = set(self.revert) - {"all", *ACTIONS, *REASONS}
        if unknown:
            word = min(unknown)
            near = did_you_mean(word, ("all", *ACTIONS, *REASONS))
            raise ConfigError(f"revert {word!r}: choose all, an action ({', '.join(ACTIONS)}) or a reason{near}")


def apply(config: ApplyConfig) -> CleanSummary:
    """Apply decisions to a pack.

    Parameters
    ----------
    config : ApplyConfig

    Returns
    -------
    CleanSummary

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, the destination exists, or another run writes it.
    FacekitError
        The decisions belong to another pack, or a list is not what its signature signs.
    PartFinished
        The share of the part that was asked for is done: hashing, where a list needs that, or copying.
    """
    started, guarded = perf_counter(), _guarded_inputs(config)
    check_folder(config.destination, guarded, config.overwrite)
    source, _ = open_source(config.source, layout="flat", partial_index=index_policy(config.partial_index))
    found, signature = dict[str, int](), ""
    if config.match == "auto" or is_list(config.decisions):
        signature = check_list(config.decisions, config.match, config.allowed_signers)
        allowed = AllowedLoss(config.match, config.unmatched == "drop", config.least_found)
        table, found = match_list(config.decisions, source, allowed, _looking(config))
    elif config.allowed_signers is not None:
        raise ConfigError(
            f"--allowed-signers is about the signature of a list, and {config.decisions} is none: leave it out, or "
            "name what facekit lists export wrote"
        )
    elif config.match == "key":
        table = match_keys(config.decisions, source)
    else:
        table = match_hashes(config.decisions, source, config.unmatched == "drop")
    overrides = load_overrides(config.overrides) if config.overrides else Overrides()
    table = revert_decisions(table, config.revert, overrides)
    record, read = _record(config, source, table, overrides), [*guarded, source_input(source, config.source)]
    needed, shared = source_bytes(source), config.executor.part is not None
    count, overwrite = len(source), config.overwrite
    with open_folder(
        config.destination, "apply", read, record, overwrite, needed, shared, count, {"apply": count}
    ) as output:
        if not output.published:
            share = Share(output, config)
            write_output(output.new_folder(), source, table, pack=True, found=None, report=False, share=share)
            output.publish()
    summary = summarise(config.destination, table, perf_counter() - started)
    return dataclasses.replace(summary, found=found, signature=signature)


def _looking(config: ApplyConfig) -> Callable[[Source], npt.NDArray[np.uint8]]:
    """What hashes the pictures of a source that are not known by their bytes."""
    return lambda source: share_hashing(source, config.source, config)


def _guarded_inputs(config: ApplyConfig) -> list[Input]:
    """Everything that is named to be read; the pictures themselves count once the source is open."""
    decisions = Path(config.decisions)
    table = decisions / DECISIONS if decisions.is_dir() else decisions
    inputs = [input_of(config.source, lambda: ()), input_of(config.decisions, lambda: (table,))]
    inputs += [] if decisions.is_dir() else signature_inputs(config.decisions, config.allowed_signers)
    return inputs if config.overrides is None else [*inputs, input_of(config.overrides)]


def _record(config: ApplyConfig, source: Source, table: DecisionTable, overrides: Overrides) -> dict[str, Any]:
    """Everything that decides the output."""
    names = ("source", "decisions", "match", "unmatched", "least_found", "revert")
    return {
        "input": source.content,
        "config": {name: getattr(config, name) for name in names},
        **({"said_by": table.about["voters"]} if "voters" in table.about else {}),  # a list: its own lineage is in it
        "overrides": overrides.to_json(),
        "outcome": [int(table.new_label.sum()), int((table.new_label >= 0).sum())],
    }


def revert_decisions(table: DecisionTable, revert: tuple[str, ...], overrides: Overrides) -> DecisionTable:
    """Undo what is to be undone, then apply overrides. With everything undone the source is what comes out.

    Faces of an undone merge go back with their identity, all others one by one; where a person said something about a
    face, that holds.

    Parameters
    ----------
    table : DecisionTable
    revert : tuple of str
        Words of `Action` and `Reason`, or ``all``.
    overrides : Overrides

    Raises
    ------
    FacekitError
        Overrides name a key or label that the decisions do not know.
    """
    actions, reasons = (np.array([word in revert for word in words], np.bool_) for words in (ACTIONS, REASONS))
    undone = actions[table.action_code] | reasons[table.reason_code]
    if "all" in revert:
        undone[:] = True
    if undone.all() and not overrides:
        nothing = np.zeros(len(table), np.int8)
        return dataclasses.replace(table, action_code=nothing, reason_code=nothing, new_label=table.old_label)
    changed = undone & (table.action_code != Action.KEEP)
    merged = changed & np.isin(table.reason_code, (Reason.UNION, Reason.INTER))
    given = overrides.arrays()
    said = np.concatenate([given.keep, given.drop, given.move])
    back = table.keys[changed & ~merged]
    back = back[rows_of(said, back) < 0]
    split = np.union1d(given.split, distinct_of(table.old_label[part][merged[part]] for part in blocks(len(table))))
    return override_table(table, given._replace(keep=np.concatenate([given.keep, back]), split=split))
