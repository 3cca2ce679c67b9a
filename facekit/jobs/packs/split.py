"""``facekit split``: one pack -> a pack to train on and one to test on, with no identity in both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError, as_written
from facekit.jobs.inputs.checks import check_at_least, check_choice, check_seed
from facekit.jobs.inputs.source import pack_input
from facekit.jobs.outputs.copy_shards import GatheredRecords
from facekit.jobs.outputs.rewrite import (
    NO_LABEL,
    Dropped,
    PackSource,
    Selection,
    Written,
    contiguous,
    grouped,
    in_key_order,
    open_packs,
    share_copying,
    write_selection,
)
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG, write_labels, write_train_config
from facekit.output import check_folder, input_of, open_folder
from facekit.records.distinct import distinct, places_in
from facekit.records.index_policy import index_policy
from facekit.records.layout import LAYOUTS
from facekit.run.choice import LOCAL, ExecutorChoice, given_settings

__all__ = ["SplitConfig", "SplitSummary", "split"]

PARTS = ("train", "test")


@dataclass(frozen=True)
class SplitConfig:
    """Settings of ``facekit split``.

    Attributes
    ----------
    source, destination : str
        ``destination/train`` and ``destination/test`` will be packs.
    test : float
        Share of the identities that go to the test pack.
    seed : int
    layout : {"same", "insightface", "flat"}
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

    source: str
    destination: str
    test: float
    seed: int = 0
    layout: str = "same"
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.test < 1:
            raise ConfigError(f"test is {as_written(self.test)}; it must be above 0 and below 1")
        check_choice("layout", self.layout, ("same", *LAYOUTS))
        check_seed(self.seed)
        check_at_least("workers", self.workers, 1)


@dataclass(frozen=True)
class SplitSummary:
    """What ``facekit split`` did: where the parts lie, and how many images and identities each has.

    Attributes
    ----------
    destination : str
    images, identities : dict from str to int
        By part.
    dropped : dict from str to int
        Records left out, by reason; the ledger of the part to train on names them.
    seconds : float
    """

    destination: str
    images: dict[str, int]
    identities: dict[str, int]
    dropped: dict[str, int]
    seconds: float


def split(config: SplitConfig) -> SplitSummary:
    """Split a pack by identity.

    Parameters
    ----------
    config : SplitConfig

    Returns
    -------
    SplitSummary

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, or the destination exists.
    RecordError
        The source is missing or corrupt.
    FacekitError
        One of the parts would have no identity.
    """
    started = perf_counter()
    written: dict[str, Written] = {}
    check_folder(config.destination, [input_of(config.source, lambda: ())], config.overwrite)
    source = open_packs([config.source], index_policy(config.partial_index))[0]
    read, needed = [pack_input(source.rec, config.source)], source.rec.stat().st_size
    settings = {**given_settings(config), "input": [one.stamp for one in read]}
    one_part = config.executor.part is not None
    count, overwrite = len(source.labels), config.overwrite
    with open_folder(
        config.destination, "split", read, settings, overwrite, needed, one_part, count, {"convert": count}
    ) as output:
        folder = output.new_folder()
        layout = source.pack.layout if config.layout == "same" else config.layout
        labelled = np.flatnonzero(source.labels >= 0)
        unlabelled = Dropped(0, source.keys[source.labels < 0], NO_LABEL)
        tested = chosen_for_test(source.labels[labelled], config)
        dropped = [unlabelled] if len(unlabelled.keys) else []
        chosen = [in_order(source, rows, layout) for rows in (labelled[~tested], labelled[tested])]
        together = np.concatenate(chosen)
        gathered = share_copying(output, [source], select(source, together), config, title="splitting")
        for name, rows, gone in zip(PARTS, chosen, (dropped, []), strict=True):
            written[name] = write_part(source, rows, gone, folder / name, layout, gathered)
            gathered = gathered and gathered.since(len(rows))
        output.publish()
    return SplitSummary(
        str(Path(config.destination)),
        {name: part.images for name, part in written.items()},
        {name: part.identities for name, part in written.items()},
        {gone.reason: len(gone.keys) for gone in dropped},
        perf_counter() - started,
    )


def chosen_for_test(labels: npt.NDArray[np.int64], config: SplitConfig) -> npt.NDArray[np.bool_]:
    """(N,) bool: the images of the identities that the seed draws."""
    identities = distinct(labels)
    count = round(config.test * len(identities))
    if not 0 < count < len(identities):
        raise FacekitError(f"{count} of {len(identities)} identities to test on: one of the parts would be empty")
    chosen = np.zeros(len(identities), np.bool_)
    chosen[np.random.default_rng([config.seed]).permutation(len(identities))[:count]] = True
    inside: npt.NDArray[np.bool_] = chosen[places_in(identities, labels)]
    return inside


def in_order(source: PackSource, rows: npt.NDArray[np.int64], layout: str) -> npt.NDArray[np.int64]:
    """Rows in the order in which the layout has them."""
    if layout != "insightface":
        return rows
    rows = in_key_order(source.keys, rows)
    together = grouped(source.labels[rows])
    return rows if together is None else rows[together]


def select(source: PackSource, rows: npt.NDArray[np.int64]) -> Selection:
    """Rows under the labels that they have."""
    return Selection(np.zeros(len(rows), np.int32), rows, source.labels[rows])


def write_part(
    source: PackSource,
    rows: npt.NDArray[np.int64],
    dropped: list[Dropped],
    folder: Path,
    layout: str,
    gathered: GatheredRecords | None,
) -> Written:
    """Write one part, with labels of its own from 0 on."""
    new, table = contiguous(source.labels[rows])
    chosen = select(source, rows)._replace(labels=new)
    written = write_selection([source], chosen, folder, layout, dropped, title=folder.name, gathered=gathered)
    write_labels(folder / LABELS, table)
    write_train_config(folder / TRAIN_CONFIG, written.num_classes, written.images)
    return written
