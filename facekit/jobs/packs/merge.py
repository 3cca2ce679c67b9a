"""``facekit merge``: several packs -> one, with a table that says which label became which."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from facekit.errors import ConfigError, FacekitError
from facekit.jobs.inputs.checks import check_at_least, check_choice
from facekit.jobs.inputs.source import pack_input
from facekit.jobs.outputs.rewrite import (
    NO_LABEL,
    Dropped,
    PackSource,
    Selection,
    contiguous,
    grouped,
    in_key_order,
    open_packs,
    share_copying,
    write_selection,
)
from facekit.jobs.outputs.tables import TRAIN_CONFIG, write_train_config
from facekit.output import check_folder, input_of, open_folder
from facekit.records.distinct import blocks, distinct, places_in
from facekit.records.index_policy import index_policy
from facekit.records.layout import LAYOUTS
from facekit.run.choice import LOCAL, ExecutorChoice, given_settings

__all__ = ["MergeConfig", "MergeSummary", "merge"]

IDENTITIES = "identities.csv"
COLUMNS = ("source", "old_label", "new_label", "images")


@dataclass(frozen=True)
class MergeConfig:
    """Settings of ``facekit merge``.

    Attributes
    ----------
    sources : tuple of str
        Two or more packs.
    destination : str
    identities : str, optional
        A table with the columns source, old_label and new_label: labels with one new label become one identity, those
        with none (empty, or not in the table) are left out. By default every label of every source is a person of its
        own.
    layout : {"insightface", "flat"}
    workers : int
        Worker processes; the output does not depend on it.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    overwrite : bool
        Replace an existing destination.
    partial_index : bool
        Take a pack whose index does not reach its end.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    sources: tuple[str, ...]
    destination: str
    identities: str | None = None
    layout: str = "insightface"
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        if len(self.sources) < 2:
            raise ConfigError("merging takes two packs or more, and where to write")
        if len(set(map(Path, self.sources))) < len(self.sources):
            raise ConfigError("a pack is named twice: its pictures would be in the merged one twice")
        check_choice("layout", self.layout, LAYOUTS)
        check_at_least("workers", self.workers, 1)


@dataclass(frozen=True)
class MergeSummary:
    """What ``facekit merge`` did."""

    destination: str
    layout: str
    images: int
    identities: int
    dropped: dict[str, int]
    """Images left out, by reason."""
    shared: int
    """Identities that have images of more than one source."""
    table: str
    snippet: str
    seconds: float


def merge(config: MergeConfig) -> MergeSummary:
    """Merge packs.

    Parameters
    ----------
    config : MergeConfig

    Returns
    -------
    MergeSummary

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, or the destination exists.
    RecordError
        A source is missing or corrupt.
    FacekitError
        The table of identities is none, or leaves nothing.
    """
    started = perf_counter()
    named = [*config.sources, *([config.identities] if config.identities and Path(config.identities).is_file() else [])]
    guarded = [input_of(path, lambda: ()) for path in named]
    check_folder(config.destination, guarded, config.overwrite)
    sources = open_packs(config.sources, index_policy(config.partial_index))
    read = [*guarded, *(pack_input(source.rec, source.name) for source in sources)]
    needed = sum(source.rec.stat().st_size for source in sources)
    settings = {**given_settings(config), "input": [one.stamp for one in read[len(guarded) :]]}
    one_part = config.executor.part is not None
    count, overwrite = sum(len(source.labels) for source in sources), config.overwrite
    with open_folder(
        config.destination, "merge", read, settings, overwrite, needed, one_part, count, {"convert": count}
    ) as output:
        folder = output.new_folder()
        everything, chosen, dropped = _selected(config, sources)
        gathered = share_copying(output, sources, chosen, config, title="merging")
        written = write_selection(sources, chosen, folder, config.layout, dropped, title="merging", gathered=gathered)
        shared = write_table(folder / IDENTITIES, sources, everything)
        snippet = write_train_config(folder / TRAIN_CONFIG, written.num_classes, written.images)
        output.publish()
    place = Path(config.destination)
    return MergeSummary(
        str(place),
        config.layout,
        written.images,
        written.identities,
        counted(dropped),
        shared,
        str(place / IDENTITIES),
        snippet,
        perf_counter() - started,
    )


def _selected(config: MergeConfig, sources: tuple[PackSource, ...]) -> tuple[Selection, Selection, list[Dropped]]:
    """What is wanted of the sources, in their order; the same in the order that the layout wants; and the others."""
    wanted = own_labels(sources) if config.identities is None else read_table(config.identities, sources)
    everything, dropped = select(sources, wanted)
    everything = everything._replace(labels=contiguous(everything.labels)[0])
    together = grouped(everything.labels) if config.layout == "insightface" else None
    return everything, everything if together is None else everything.take(together), dropped


def counted(dropped: list[Dropped]) -> dict[str, int]:
    """Images left out of all sources, by reason."""
    counts: Counter[str] = Counter()
    for gone in dropped:
        counts[gone.reason] += len(gone.keys)
    return dict(counts)


Wanted = list[dict[int, int]]
"""For each source, the new label of each old one."""


def own_labels(sources: tuple[PackSource, ...]) -> Wanted:
    """Every label from 0 on of every source is a person of its own; those of the first source come first."""
    wanted: Wanted = []
    count = 0
    for source in sources:
        old = [label for label in distinct(source.labels).tolist() if label >= 0]
        wanted.append({label: count + place for place, label in enumerate(old)})
        count += len(old)
    return wanted


def read_table(path: str, sources: tuple[PackSource, ...]) -> Wanted:
    """Read a table of identities.

    Raises
    ------
    FacekitError
        It cannot be read, lacks a column, names another source, or says two things of one label.
    """
    numbers = {str(Path(source.name)): number for number, source in enumerate(sources)}
    wanted: Wanted = [{} for _ in sources]
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            if not set(COLUMNS[:3]) <= set(rows.fieldnames or ()):
                raise FacekitError(f"{path} lacks one of the columns {', '.join(COLUMNS[:3])}")
            for row in rows:
                _take(row, numbers, wanted, f"{path}, line {rows.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FacekitError(f"{path} cannot be read as a table: {error}") from error
    return wanted


def _take(row: dict[str, str | None], numbers: dict[str, int], wanted: Wanted, where: str) -> None:
    source, old, new = (row[name] or "" for name in COLUMNS[:3])
    source = str(Path(source))  # a slash at the end names no other pack
    if source not in numbers:
        raise FacekitError(f"{where}: {source!r} is none of the packs to merge ({', '.join(numbers)})")
    if not new.strip():
        return
    labels = wanted[numbers[source]]
    try:
        key, value = int(old), int(new)
    except ValueError:
        raise FacekitError(f"{where}: {old!r} and {new!r} must be whole numbers") from None
    if labels.get(key, value) != value:
        raise FacekitError(f"{where}: label {key} of {source} has two new labels, {labels[key]} and {value}")
    labels[key] = value


def select(sources: tuple[PackSource, ...], wanted: Wanted) -> tuple[Selection, list[Dropped]]:
    """The images whose labels are wanted, source after source, and the others."""
    most = sum(len(source.keys) for source in sources)
    chosen = Selection(np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.int64))
    count, dropped = 0, []
    for number, (source, labels) in enumerate(zip(sources, wanted, strict=True)):
        old = distinct(source.labels)
        asked = np.array([labels.get(label, -1) if label >= 0 else -1 for label in old.tolist()], np.int64)
        stay = (asked >= 0)[places_in(old, source.labels)]
        for gone, reason in ((source.labels < 0, NO_LABEL), (~stay & (source.labels >= 0), "not_wanted")):
            if gone.any():
                dropped.append(Dropped(number, source.keys[gone], reason))
        rows = np.flatnonzero(stay)
        rows = rows if source.pack.layout == "flat" else in_key_order(source.keys, rows)
        span = slice(count, count + len(rows))
        chosen.pack[span], chosen.rows[span] = number, rows
        for part in blocks(len(rows)):
            chosen.labels[span][part] = asked[np.searchsorted(old, source.labels[rows[part]])]
        count += len(rows)
    return chosen.take(slice(count)), dropped


def write_table(path: Path, sources: tuple[PackSource, ...], chosen: Selection) -> int:
    """Write which label of which source became which; how many new labels have several sources."""
    classes = int(chosen.labels.max(initial=-1)) + 1
    packs_of = np.zeros(classes, np.int32)  # of each new label
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for number, source in enumerate(sources):
            old = distinct(source.labels)
            new, counts = np.full(len(old), -1, np.int64), np.zeros(len(old), np.int64)
            for part in blocks(len(chosen.rows)):
                inside = chosen.pack[part] == number
                places = np.searchsorted(old, source.labels[chosen.rows[part][inside]])
                new[places] = chosen.labels[part][inside]
                counts += np.bincount(places, minlength=len(old))
            used = counts > 0
            for a, b, count in zip(old[used].tolist(), new[used].tolist(), counts[used].tolist(), strict=True):
                table.writerow([source.name, a, b, count])
            packs_of[distinct(new[used])] += 1
    return int(np.count_nonzero(packs_of > 1))
