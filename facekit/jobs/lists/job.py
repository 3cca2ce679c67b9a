"""``facekit lists export``: decisions and the pictures they are about in, a list that travels out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.lists import CleanList, Pictures, as_bytes, make_list
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.report import SOURCE_PATH
from facekit.jobs.clean.tables import DECISIONS, DecisionTable, read_decisions
from facekit.jobs.clean.tabulate import hash_payloads
from facekit.jobs.inputs.clean_list import write_list
from facekit.jobs.inputs.picture_hashes import hash_pictures
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.lists.config import ExportConfig, ListSummary
from facekit.jobs.lists.show import summarise
from facekit.jobs.outputs.picture_shards import share_hashing
from facekit.output import PARQUET, Input, check_files, input_of, open_files
from facekit.output.dry_run import Forecast, is_dry
from facekit.records.index_policy import index_policy
from facekit.records.key_rows import rows_of
from facekit.records.named_inputs import require_there

__all__ = ["export_list"]

ROW_BYTES, HEAD_BYTES = 128, 1 << 16
"""What a list takes at the most: for each picture two hashes, of 16 and 40 bytes, and what is said of it."""
TIMED = "not estimated: every picture is read and decoded once; facekit cost SRC measures how fast that is (read)"

Look = Callable[[Source], npt.NDArray[np.uint8]]


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
    table = read_decisions(config.cleaned)
    place = config.source or _source_of(decisions)
    require_there(place, "pack")
    guarded = [input_of(config.cleaned, lambda: (decisions,)), input_of(place, lambda: ())]
    check_files({config.destination: PARQUET}, guarded, config.overwrite)
    source, _ = open_source(place, layout="flat", partial_index=index_policy(config.partial_index))
    settings = {"who": config.who}
    read = [*guarded, source_input(source, place)]
    if is_dry():
        _tell(config, table, source, read)
    listed = list_of(table, source, config.who, lambda pictures: share_hashing(pictures, place, config))
    with open_files({config.destination: PARQUET}, "lists export", read, settings, config.overwrite) as output:
        if not output.published:
            write_list(output.paths[0], listed)
    return summarise(config.destination, listed)


def _tell(config: ExportConfig, table: DecisionTable, source: Source, read: list[Input]) -> None:
    """End with the plan; whether the pack has every picture is found while it is read."""
    forecast = Forecast(len(source), counts={"decisions": len(table), "pictures": len(source)}, timed=TIMED)
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


def list_of(table: DecisionTable, source: Source, who: str, look: Look = hash_pictures) -> CleanList:
    """The list of decisions.

    Parameters
    ----------
    table : DecisionTable
    source : Source
        Has every picture that the table speaks of.
    who : str
    look : callable
        Hashes what pictures show, (n, 40).

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
    pictures = Pictures(table.payload_hash, _hashes(source, rows, look))
    return make_list(pictures, table.action_code, table.reason_code, table.new_label, {"voters": [_voter(table, who)]})


def _hashes(source: Source, rows: npt.NDArray[np.int64], look: Look) -> npt.NDArray[np.uint8]:
    """Of some pictures, some of them more than once; a picture is looked at once."""
    wanted = np.zeros(len(source), np.bool_)
    wanted[rows] = True
    chosen = np.flatnonzero(wanted)
    return look(source.select_rows(chosen))[np.searchsorted(chosen, rows)]


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
