"""``facekit lists export``: decisions and the pictures they are about in, a list that travels out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.lists import CleanList, Pictures, as_bytes, list_order
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.report import SOURCE_PATH
from facekit.jobs.clean.tables import DECISIONS, read_decisions
from facekit.jobs.clean.tabulate import hash_payloads
from facekit.jobs.inputs.clean_list import write_list
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.lists.config import ExportConfig, ListSummary
from facekit.jobs.lists.forecast import looking_times
from facekit.jobs.lists.show import summarise
from facekit.jobs.outputs.picture_shards import share_hashing
from facekit.output import PARQUET, Input, check_files, input_of, open_files
from facekit.output.dry_run import Forecast, is_dry
from facekit.records.distinct import blocks, places_in
from facekit.records.index_policy import index_policy
from facekit.records.key_rows import rows_of
from facekit.records.mapped_array import mapped_array
from facekit.records.named_inputs import require_there
from facekit.run.memory import release_freed

__all__ = ["export_list"]

ROW_BYTES, HEAD_BYTES = 128, 1 << 16
"""What a list takes at the most: for each picture two hashes, of 16 and 40 bytes, and what is said of it."""

NEEDED = ("payload_hash", "action_code", "reason_code", "new_label")
UNUSED = ("keys", "old_label", "similarity", "threshold", "nearest", "cluster", "round", "evidence_code")
"""Columns of the decisions that are read, so that damage to them shows, and are in no list."""


def export_list(config: ExportConfig) -> ListSummary:
    """Write decisions as a list.

    Parameters
    ----------
    config : ExportConfig

    Returns
    -------
    ListSummary

    Raises
    ------
    ConfigError, DestinationExists
        There are no decisions, nobody knows where their source is, or the destination exists.
    FacekitError
        The source is not what the decisions are about.
    PartFinished
        The share of the part that was asked for is done.
    """
    require_there(config.cleaned, "folder of decisions, nor a table of them")
    decisions = Path(config.cleaned)
    decisions = decisions / DECISIONS if decisions.is_dir() else decisions
    table = _read_needed(config.cleaned)
    release_freed()  # Arrow's, of all columns of a block
    place = config.source or _source_of(decisions)
    require_there(place, "pack")
    guarded = [input_of(config.cleaned, lambda: (decisions,)), input_of(place, lambda: ())]
    check_files({config.destination: PARQUET}, guarded, config.overwrite)
    source, _ = open_source(place, layout="flat", partial_index=index_policy(config.partial_index))
    settings = {"who": config.who}
    read = [*guarded, source_input(source, place)]
    if is_dry():
        _tell(config, table, source, read)
    about = {"voters": [_voter(table, config.who)]}
    source = _unlabelled(source)
    source, places = decided_pictures(table, source)
    rows = sort_rows(table, places)
    del table, places  # every picture is read now, which takes long: what is used up goes first
    release_freed()
    looked = share_hashing(source, place, config)
    del source
    release_freed()
    listed = with_hashes(rows, looked, about)
    del rows, looked
    release_freed()
    with open_files({config.destination: PARQUET}, "lists export", read, settings, config.overwrite) as output:
        if not output.published:
            write_list(output.paths[0], listed)
    return summarise(config.destination, listed)


def _read_needed(cleaned: str) -> DecisionTable:
    """Decisions without `UNUSED` columns, which are read before, and let go: not all are there at once."""
    read_decisions(cleaned, UNUSED)
    release_freed()
    return read_decisions(cleaned, NEEDED)


def _tell(config: ExportConfig, table: DecisionTable, source: Source, read: list[Input]) -> None:
    """End with the plan; whether the pack has every picture is found while it is read."""
    times, timed = looking_times(source, config)
    counts = {"decisions": len(table), "pictures": len(source)}
    forecast = Forecast(len(source), counts=counts, times=times, timed=timed)
    needed = HEAD_BYTES + ROW_BYTES * len(table)
    targets = {config.destination: PARQUET}
    open_files(targets, "lists export", read, {}, config.overwrite, needed, forecast=forecast)


def _source_of(decisions: Path) -> str:
    """Where the pack lay that decisions are about."""
    said = decisions.parent / SOURCE_PATH
    if not said.is_file():
        raise ConfigError(
            f"{decisions} does not say which pack it is about (there is no {SOURCE_PATH} beside it): name a pack with "
            "--source PACK"
        )
    place = os.fsdecode(said.read_bytes().rstrip(b"\n"))
    if not os.path.lexists(place) and "://" not in place:
        raise ConfigError(f"{place}, the pack that {decisions} is about, is gone: name a copy of it with --source PACK")
    return place


class SortedRows(NamedTuple):
    """The rows of a list without what their pictures show: 30 bytes a row.

    Attributes
    ----------
    payload_hash : (N, 16) uint8
        Ascending.
    action_code, reason_code : (N,) int8
    identity : (N,) int64
    places : (N,) int32
        Which of the pictures that are looked at each row speaks of.
    """

    payload_hash: npt.NDArray[np.uint8]
    action_code: npt.NDArray[np.int8]
    reason_code: npt.NDArray[np.int8]
    identity: npt.NDArray[np.int64]
    places: npt.NDArray[np.int32]


def _unlabelled(source: Source) -> Source:
    """A source whose labels, and which records hold pictures, take no memory: a list has labels of its own."""
    labels, pictures = (np.broadcast_to(value, len(source)) for value in (np.int64(0), np.True_))
    return replace(source, labels=labels, pictures=pictures)


def decided_pictures(table: DecisionTable, source: Source) -> tuple[Source, npt.NDArray[np.int32]]:
    """The pictures that decisions speak of, each once.

    Parameters
    ----------
    table : DecisionTable
    source : Source
        Has every picture that the table speaks of.

    Returns
    -------
    Source
        In the order of the given one.
    places : (N,) int32
        Where in it each row's picture is.

    Raises
    ------
    FacekitError
        It lacks some.
    """
    rows = rows_of(as_bytes(hash_payloads(source)), as_bytes(table.payload_hash))
    missing = int(np.count_nonzero(rows < 0))
    if missing:
        raise FacekitError(
            f"{source.name} lacks {missing:,} of the {len(table):,} pictures that were decided about: name the pack "
            "that was cleaned with --source PACK"
        )
    wanted = np.zeros(len(source), np.bool_)
    wanted[rows] = True
    chosen = np.flatnonzero(wanted)
    places = places_in(chosen, rows)
    return source if len(chosen) == len(source) else source.select_rows(chosen), places


def sort_rows(table: DecisionTable, places: npt.NDArray[np.int32]) -> SortedRows:
    """The rows of a list.

    Parameters
    ----------
    table : DecisionTable
        `UNUSED` columns are not looked at.
    places : (N,) int32
        Of each row's picture.
    """
    order, identity = list_order(table.payload_hash, table.action_code, table.reason_code, table.new_label)
    codes = table.action_code[order], table.reason_code[order]
    return SortedRows(table.payload_hash[order], *codes, identity, places[order])


def with_hashes(rows: SortedRows, looked: npt.NDArray[np.uint8], about: dict[str, Any]) -> CleanList:
    """The list of sorted rows.

    Parameters
    ----------
    rows : SortedRows
    looked : (n, 40) uint8
        What the pictures show; it becomes the column of the list where it lies.
    about : dict
    """
    one = np.broadcast_to(np.uint64(1), len(rows.identity))
    pictures = Pictures(rows.payload_hash, _spread(looked, rows.places))
    return CleanList(pictures, rows.action_code, rows.reason_code, rows.identity, one, one, about)


def _spread(looked: npt.NDArray[np.uint8], places: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """Rows in another order, some more than once, eight bytes of each at a time: no second copy of them all."""
    if len(looked) < len(places):
        few, looked = looked, mapped_array((len(places), looked.shape[1]), np.uint8)
        for part in blocks(len(few)):
            looked[part] = few[part]
    words, spread = looked.view(np.uint64), np.empty(len(places), np.uint64)
    for column in range(words.shape[1]):
        for part in blocks(len(places)):  # an index becomes eight bytes a row too
            spread[part] = words[places[part], column]
        words[:, column] = spread
    return looked


def _voter(table: DecisionTable, who: str) -> dict[str, Any]:
    """Who says it, and from whom they have it where a list was applied."""
    others = {"from": table.about["voters"]} if "voters" in table.about else {}
    return {
        "who": who,
        "model": str(table.about.get("model", "")),
        "settings": dict(table.about.get("settings", {})),
        "pictures": len(table),
        **others,
    }
