"""``facekit check``: every fault of a pack as a typed finding, and a copy of all that can be saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.packs.check_forecast import checking_times
from facekit.jobs.packs.check_ledger import check_ledger
from facekit.jobs.packs.check_pictures import check_pictures
from facekit.jobs.packs.check_shard import shared_verdicts
from facekit.jobs.packs.check_verdicts import Verdicts, verdicts_here
from facekit.jobs.packs.repair import Examined, Repaired, repair
from facekit.output import input_of, open_folder
from facekit.output.dry_run import Forecast, is_dry, stop_if_dry
from facekit.records.content import sampled_hash
from facekit.records.distinct import blocks, distinct_of
from facekit.records.findings import Findings
from facekit.records.pack_files import pack_paths
from facekit.records.roles import check_kept_labels, read_roles
from facekit.records.structure import read_structure
from facekit.run.choice import LOCAL, ExecutorChoice
from facekit.run.progress import by_position, progress

__all__ = ["CheckConfig", "CheckSummary", "check"]


@dataclass(frozen=True)
class CheckConfig:
    """Settings of ``facekit check``.

    Attributes
    ----------
    source : str
    deep : bool
        Decode every picture, and compare payloads with the hashes of the ledger where there is one.
    repair : str, optional
        Where to write a copy of all that can be saved.
    most : int
        Findings of one kind that are listed; all are counted.
    overwrite : bool
        Replace an existing pack at ``repair``.
    journal : str, optional
        A name that nothing has yet, where all see it: beside it several workers or parts keep what they found until
        all is. Needed where anybody but this process decodes.
    workers : int
        Processes that decode; one uses a thread for each core.
    executor : ExecutorChoice
        Where they are, and which part of the pictures is decoded.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    deep: bool = False
    repair: str | None = None
    most: int = 1000
    overwrite: bool = False
    journal: str | None = None
    workers: int = 1
    executor: ExecutorChoice = LOCAL

    def __post_init__(self) -> None:
        check_at_least("most", self.most, 0)
        check_at_least("workers", self.workers, 1)
        if (self.workers > 1 or self.executor.is_shared) and not (self.deep and self.journal):
            raise ConfigError(
                "what is shared is the decoding: give --deep, and --journal DIR, beside which all keep what they "
                "find; without --deep one process reads a pack as fast as its disk"
            )


@dataclass(frozen=True)
class CheckSummary:
    """What ``facekit check`` found.

    Attributes
    ----------
    source, layout : str
    records, images, identities : int
        Whole records; images among them that can be saved, and their labels.
    deep : bool
    counts : dict from str to int
        Findings by kind.
    findings : list of dict
        kind, problem, key and offset of each that is listed.
    repaired : str or None
    saved, lost : int
        Records of the repaired copy, and rows in its ledger of what could not be saved.
    changed : int
        Saved records whose payload is not the one of the source's ledger: the copy's ledger gives them the reason
        ``payload_changed``. Only known where deep.
    seconds : float
    """

    source: str
    layout: str
    records: int
    images: int
    identities: int
    deep: bool
    counts: dict[str, int]
    findings: list[dict[str, object]] = field(default_factory=list)
    repaired: str | None = None
    saved: int = 0
    lost: int = 0
    changed: int = 0
    seconds: float = 0.0


def check(config: CheckConfig) -> CheckSummary:
    """Check a pack.

    Parameters
    ----------
    config : CheckConfig

    Returns
    -------
    CheckSummary

    Raises
    ------
    ConfigError, DestinationExists
        A copy was asked for where one may not be written.
    RecordError
        There is no such pack, or a file cannot be read at all.
    FacekitError
        A copy was asked for, and nothing can be saved; or the ledger cannot be read.
    """
    started = perf_counter()
    if is_dry():
        _tell(config)
    if config.journal is None:
        pack = examine(config.source, config.deep, Findings(config.most))
    else:
        pack = _examine_together(config, config.journal)
    done = Repaired() if config.repair is None else repair(pack, config.repair, config.overwrite)
    return CheckSummary(
        config.source,
        pack.roles.layout,
        len(pack.records.offsets),
        int(pack.good.sum()),
        len(distinct_of(pack.roles.labels[part][pack.good[part]] for part in blocks(len(pack.good)))),
        config.deep,
        dict(pack.found.counts),
        [dict(finding._asdict()) for finding in pack.found.kept],
        config.repair,
        *done,
        perf_counter() - started,
    )


def _tell(config: CheckConfig) -> None:
    """End with the plan; how many records there are is what the walk finds out."""
    rec, idx, property_path = pack_paths(config.source)
    read = [input_of(config.source, lambda: [path for path in (rec, idx, property_path) if path.exists()])]
    saved = config.repair is not None

    def forecast(_: object = None) -> Forecast:
        times, timed = checking_times(rec, config.deep, saved, config.workers, config.executor, examine)
        return Forecast(times=times, timed=timed)

    if config.repair is None:
        stop_if_dry("check", None, tuple(read), 0, forecast=forecast())
    else:
        settings, needed = {"content": sampled_hash(rec)}, rec.stat().st_size
        open_folder(config.repair, "check", read, settings, config.overwrite, needed, forecast=forecast)


def _examine_together(config: CheckConfig, journal: str) -> Examined:
    """The same by several workers or parts. Nothing is published: the journal goes when everything is found."""
    rec, idx, property_path = pack_paths(config.source)
    read = [input_of(config.source, lambda: [path for path in (rec, idx, property_path) if path.exists()])]
    settings = {"source": str(rec), "input": read[0].stamp}
    with open_folder(journal, "check", read, settings, shared=config.executor.part is not None) as output:
        look = shared_verdicts(output, config.workers, config.executor)
        return examine(config.source, config.deep, Findings(config.most), look)


def examine(source: str, deep: bool, found: Findings, look: Verdicts = verdicts_here) -> Examined:
    """Read what is known of a pack, and note what is wrong with it.

    Parameters
    ----------
    source : str
        Its folder, its ``.rec`` or their prefix.
    deep : bool
        Decode every picture.
    found : Findings
        Takes what is wrong.
    look : callable
        Decodes the pictures.
    """
    rec, idx, property_path = pack_paths(source)
    size = rec.stat().st_size if rec.is_file() else 0
    with progress("walking", 2 * size, unit="bytes") as advance:
        records = read_structure(rec, idx, found, by_position(advance))
    roles = read_roles(records, property_path, found)
    check_kept_labels(rec, idx, records, roles, found)
    ledger = check_ledger(rec, records, roles, found)
    good, changed = roles.sound, np.zeros(len(records.offsets), np.bool_)
    if deep:
        decoded, changed = check_pictures(rec, records, roles, property_path, found, ledger, look)
        good = good & decoded
    return Examined(source, rec, records, roles, good, changed, found)
