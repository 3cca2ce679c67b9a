"""``facekit clean``: a pack and its vectors in; decisions, a cleaned pack and a report out.

Open what is read, decide, add findings, obey a person, write everything and move it into place.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from facekit.clean.cluster import Clustering, cluster_chunks
from facekit.clean.decisions import Decisions
from facekit.clean.pairs import BlockEngine
from facekit.clean.plausibility import check_loss, check_separation, low_threshold, measure_loss, measure_separation
from facekit.clean.purify import purify
from facekit.clean.settings import CleanSettings
from facekit.jobs.clean.compare import ModeOutcome, compare_modes
from facekit.jobs.clean.config import CleanConfig, CleanSummary
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.engine import block_engine
from facekit.jobs.clean.features import CleanInputs, FaceVectors, open_inputs
from facekit.jobs.clean.findings import add_findings
from facekit.jobs.clean.node_shards import share_clustering
from facekit.jobs.clean.tabulate import override_table, summarise, tabulate
from facekit.jobs.clean.write import AboutIdentities, write_output
from facekit.jobs.inputs.model import model_input
from facekit.jobs.inputs.source import Source, source_bytes, source_input
from facekit.output import Input, check_folder, folder_input, input_of, is_begun, open_folder
from facekit.output.dry_run import Forecast, is_dry
from facekit.records.distinct import distinct
from facekit.run.memory import release_freed
from facekit.run.platform_stamp import instruction_set

__all__ = ["clean", "decide"]

logger = logging.getLogger(__name__)

COMPARED_IMAGES = 200_000  # robust mode on as many takes some ten CPU seconds


def clean(config: CleanConfig) -> CleanSummary:
    """Clean a pack.

    Parameters
    ----------
    config : CleanConfig

    Returns
    -------
    CleanSummary

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, the destination exists, or another run writes it.
    FacekitError
        Vectors or overrides that belong to another pack, vectors that do not tell the labels apart, or a result that
        takes more away than was allowed.
    PartFinished
        The share of the part that was asked for is done.
    """
    started, guarded = perf_counter(), guarded_inputs(config)
    check_folder(config.destination, guarded, config.overwrite)
    inputs = open_inputs(config)
    source, record = inputs.source, _record(config, inputs)
    read, shared = [*guarded, source_input(source, config.source)], config.executor.part is not None
    needed = 0 if config.decisions_only else source_bytes(source)
    if is_dry():
        forecast, about = Forecast(len(source), _steps(source)), (read, record, config.overwrite, needed, shared)
        open_folder(config.destination, "clean", *about, forecast=forecast)
    # Shared or begun, the clusters come from the output's journal; else nothing is opened before all is decided.
    decided = None if _is_shared(config) else _decide(config, inputs)
    with open_folder(config.destination, "clean", read, record, config.overwrite, needed, shared) as output:
        if decided is None:
            decided = _decide(config, inputs, None if output.published else share_clustering(output, config))
        del inputs  # nothing is held but what is written
        release_freed()
        if not output.published:
            write_output(output.new_folder(), source, decided.table, pack=not config.decisions_only,
                         found=decided.identities, report=config.report)  # fmt: skip
            output.publish()
    return summarise(config.destination, decided.table, perf_counter() - started)


class _Decided(NamedTuple):
    """What is written of a cleaning."""

    table: DecisionTable
    identities: AboutIdentities


def _record(config: CleanConfig, inputs: CleanInputs) -> dict[str, Any]:
    """Everything that decides the bytes."""
    return {"input": inputs.source.content, "model": inputs.faces.model, "config": config.record(),
            "overrides": inputs.overrides.to_json(), "instruction_set": instruction_set()}  # fmt: skip


def _steps(source: Source) -> dict[str, int]:
    """What the time is reckoned from, where only that is wanted: see `Plan`."""
    people = len(distinct(source.labels))
    return {"clean": len(source), "pairs of centres": people * (people - 1) // 2}


def _is_shared(config: CleanConfig) -> bool:
    return config.workers > 1 or config.executor.is_shared or is_begun(config.destination)


def _decide(config: CleanConfig, inputs: CleanInputs, clustering: Clustering | None = None) -> _Decided:
    """Decide, add findings, obey a person."""
    source, faces = inputs.source, inputs.faces
    if config.allow_loss < 1:
        found = measure_separation(faces.vectors, faces.labels, faces.originals)
        check_separation(found, config.settings)
        if (said := low_threshold(found, config.settings)) is not None:
            logger.warning("%s", said)
    decisions, compared = _in_both_modes(faces, config, clustering)
    check_loss(measure_loss(decisions), config.allow_loss)
    release_freed()  # what deciding needed and the table does not
    table = tabulate(decisions, source, faces.model, config.round)
    table.about["comparison"] = compared
    table = add_findings(table, inputs, config)
    table = override_table(table, inputs.overrides.arrays())
    return _Decided(table, AboutIdentities(decisions.identities, decisions.pairs))


def guarded_inputs(config: CleanConfig) -> list[Input]:
    """Everything that is named to be read; the pictures themselves count once the source is open."""
    inputs = [input_of(config.source, lambda: ())]
    named = [config.features, config.overrides, *config.exclude]
    inputs += [folder_input(path) if Path(path).is_dir() else input_of(path) for path in named if path is not None]
    return inputs if config.model is None else [*inputs, model_input(config.model)]


def _in_both_modes(
    faces: FaceVectors, config: CleanConfig, clustering: Clustering | None
) -> tuple[Decisions, list[dict[str, str | int]]]:
    """Decide, and for the report compare with what the other mode decides; of that one only what is compared stays."""
    other = _other_mode(config, len(faces.labels))
    with block_engine(config) as engine:
        beside = None if other is None else ModeOutcome.of(other.mode, decide(faces, other, engine, clustering))
        release_freed()
        decisions = decide(faces, config.settings, engine, clustering)
    own = ModeOutcome.of(config.settings.mode, decisions)
    return decisions, [] if beside is None else compare_modes(own, beside)


def _other_mode(config: CleanConfig, images: int) -> CleanSettings | None:
    """The settings of the mode that was not asked for, where a report compares both.

    Not where that is the robust one and the pack so large that it would cost minutes.
    """
    asked = config.settings
    if not config.report or (asked.mode == "published" and images > COMPARED_IMAGES):
        return None
    return dataclasses.replace(asked, mode="robust" if asked.mode == "published" else "published")


def decide(
    faces: FaceVectors,
    settings: CleanSettings,
    engine: BlockEngine | None = None,
    clustering: Clustering | None = None,
) -> Decisions:
    """Clean the vectors; masked pictures shape no centre, and follow their bare picture where it is there.

    Parameters
    ----------
    faces : FaceVectors
    settings : CleanSettings
    engine : BlockEngine, optional
        Where pairs of identities are compared; by default the threads of this process.
    clustering : callable, optional
        Who clusters inside the identities; by default the threads of this process.
    """
    clustering = clustering or cluster_chunks
    return purify(faces.vectors, faces.labels, settings, faces.copies_of, ~faces.masked, engine, clustering)
