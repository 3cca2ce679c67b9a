"""``facekit clean``: a pack and its vectors in; decisions, a cleaned pack and a report out.

Open what is read, decide, add findings, obey a person, write everything and move it into place.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from time import perf_counter

from facekit.clean import clean_embeddings
from facekit.clean.decisions import Decisions
from facekit.clean.pairs import BlockEngine
from facekit.clean.plausibility import check_loss, check_separation, measure_loss, measure_separation
from facekit.clean.settings import CleanSettings
from facekit.jobs.clean.compare import compare_modes
from facekit.jobs.clean.config import CleanConfig, CleanSummary
from facekit.jobs.clean.engine import block_engine
from facekit.jobs.clean.features import FaceVectors, open_inputs
from facekit.jobs.clean.findings import add_findings
from facekit.jobs.clean.tabulate import override_table, summarise, tabulate
from facekit.jobs.clean.write import write_output
from facekit.jobs.inputs.model import model_input
from facekit.jobs.inputs.source import source_bytes, source_input
from facekit.output import Input, check_folder, folder_input, input_of, open_folder
from facekit.output.dry_run import stop_if_dry
from facekit.run.platform_stamp import instruction_set

__all__ = ["clean", "decide"]

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
    """
    started, guarded = perf_counter(), guarded_inputs(config)
    check_folder(config.destination, guarded, config.overwrite)
    inputs = open_inputs(config)
    source, faces = inputs.source, inputs.faces
    if config.allow_loss < 1:
        check_separation(measure_separation(faces.vectors, faces.labels, faces.originals), config.settings)
    modes = _modes(config, len(source))
    every = (*guarded, source_input(source, config.source))
    stop_if_dry("clean", Path(config.destination), every, 0 if config.decisions_only else source_bytes(source))
    with block_engine(config) as engine:
        by_mode = {settings.mode: decide(faces, settings, engine) for settings in modes}
    decisions = by_mode[config.settings.mode]
    check_loss(measure_loss(decisions), config.allow_loss)
    table = tabulate(decisions, source, faces.model, config.round)
    table.about["comparison"] = compare_modes(by_mode)
    table = add_findings(table, inputs, config)
    table = override_table(table, inputs.overrides.arrays())
    record = {"input": source.content, "model": faces.model, "config": config.record(),
              "overrides": inputs.overrides.to_json(), "instruction_set": instruction_set()}  # fmt: skip
    read = [*guarded, source_input(source, config.source)]
    needed = 0 if config.decisions_only else source_bytes(source)
    with open_folder(config.destination, "clean", read, record, config.overwrite, needed) as output:
        if not output.published:
            write_output(output.new_folder(), source, table, pack=not config.decisions_only, decisions=decisions,
                         report=config.report)  # fmt: skip
            output.publish()
    return summarise(config.destination, table, perf_counter() - started)


def guarded_inputs(config: CleanConfig) -> list[Input]:
    """Everything that is named to be read; the pictures themselves count once the source is open."""
    inputs = [input_of(config.source, lambda: ())]
    named = [config.features, config.overrides, *config.exclude]
    inputs += [folder_input(path) if Path(path).is_dir() else input_of(path) for path in named if path is not None]
    return inputs if config.model is None else [*inputs, model_input(config.model)]


def _modes(config: CleanConfig, images: int) -> list[CleanSettings]:
    """The settings that were asked for, and for the report those of the other mode.

    Not where the other mode is the robust one and the pack so large that it would cost minutes.
    """
    asked = config.settings
    if not config.report or (asked.mode == "published" and images > COMPARED_IMAGES):
        return [asked]
    return [asked, dataclasses.replace(asked, mode="robust" if asked.mode == "published" else "published")]


def decide(faces: FaceVectors, settings: CleanSettings, engine: BlockEngine | None = None) -> Decisions:
    """Clean the vectors; masked pictures shape no centre, and follow their bare picture where it is there.

    Parameters
    ----------
    faces : FaceVectors
    settings : CleanSettings
    engine : BlockEngine, optional
        Where pairs of identities are compared; by default the threads of this process.
    """
    return clean_embeddings(
        faces.vectors,
        faces.labels,
        settings,
        copies_of=faces.copies_of,
        shapes_centres=~faces.masked,
        engine=engine,
    )
