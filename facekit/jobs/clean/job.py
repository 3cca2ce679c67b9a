"""``facekit clean``: a pack and its vectors in; decisions, a cleaned pack and a report out.

Read the vectors, decide, look for findings, listen to a person, write the tables, write the pack, move all into place.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import facekit
from facekit.clean import clean_embeddings
from facekit.clean.decisions import ACTIONS, REASONS, Decisions
from facekit.clean.overrides import Overrides, load_overrides, override, renumber
from facekit.clean.settings import CleanSettings
from facekit.errors import DestinationExists, FacekitError
from facekit.jobs.clean.config import CleanConfig, CleanSummary
from facekit.jobs.clean.features import FaceVectors, open_vectors
from facekit.jobs.clean.findings import find
from facekit.jobs.clean.report import PAIRS, write_pairs, write_report
from facekit.jobs.clean.tables import (
    DECISIONS,
    IDENTITIES,
    DecisionTable,
    evidence_of,
    label_table,
    write_decisions,
    write_identities,
)
from facekit.jobs.clean.write import copy_pack, hash_payloads, write_pack
from facekit.jobs.inputs.source import Source, open_source
from facekit.jobs.outputs.tables import (
    LABELS,
    SOURCE_LIST,
    TRAIN_CONFIG,
    write_labels,
    write_source_list,
    write_train_config,
)
from facekit.run.destination import check_destination
from facekit.run.journal import Journal, was_published

__all__ = ["clean", "embed_source", "overridden", "publish", "summarise"]

NEAR_MISS = 0.1
COMPARED_IMAGES = 200_000  # robust mode on as many takes some ten CPU seconds


def clean(config: CleanConfig) -> CleanSummary:
    """Clean a pack.

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, the destination exists, or another run writes it.
    FacekitError
        Vectors or overrides that belong to another pack.
    """
    started, destination = perf_counter(), Path(os.path.abspath(config.destination))
    may_replace(destination, config.overwrite)
    source, _ = open_source(config.source, layout="flat")
    faces = open_vectors(config.features or embed_source(config), source)
    settings = {
        "facekit": facekit.__version__,
        "input": source.content,
        "model": faces.model,
        "config": config.record(),
    }
    overrides = load_overrides(config.overrides) if config.overrides else Overrides()
    settings["overrides"] = overrides.to_json()
    decisions = decide(config.settings, faces, source, config.device)
    table = tabulate(config, source, faces, decisions)
    if config.report:
        table.about["comparison"] = compare_modes(config, faces, source, decisions)
    table = find(config, source, faces, table)
    table = overridden(table, overrides)
    if config.overwrite or not was_published(destination, settings):
        with Journal(destination, settings, config.overwrite) as journal:
            publish(journal, source, table, not config.decisions_only, decisions, config.report)
    return summarise(config.destination, table, perf_counter() - started)


def embed_source(config: CleanConfig) -> str:
    """Embed the source beside the destination; what is there already from the same model is taken as it is."""
    from facekit.jobs.embed.job import EmbedConfig, embed

    if config.model is None:
        raise FacekitError("there is no model")
    path = config.destination.rstrip("/") + ".features"
    if not Path(path).exists():
        embed(EmbedConfig(config.source, path, config.model))
    return path


def decide(settings: CleanSettings, faces: FaceVectors, source: Source, device: str = "cpu") -> Decisions:
    """Clean the vectors; masked pictures shape no centre, and follow their bare picture where it is there."""
    given = {"near_miss": NEAR_MISS} | {
        f.name: getattr(settings, f.name) for f in dataclasses.fields(settings) if f.name != "near_miss"
    }
    engine = None
    if device != "cpu":
        from facekit.embeddings.torch_blocks import TorchBlocks

        engine = TorchBlocks(device)
    return clean_embeddings(
        faces.vectors,
        source.labels,
        copies_of=faces.copies_of,
        shapes_centres=~faces.masked,
        engine=engine,
        **given,
    )


def compare_modes(
    config: CleanConfig, faces: FaceVectors, source: Source, decisions: Decisions
) -> list[dict[str, Any]]:
    """Count what the published and the robust mode each make of the pack, and on how many images they agree.

    Empty where the mode that was not asked for is the robust one and the pack so large that it would cost minutes.
    """
    asked = config.settings.mode
    if asked == "published" and len(source) > COMPARED_IMAGES:
        return []
    other = "robust" if asked == "published" else "published"
    second = decide(dataclasses.replace(config.settings, mode=other), faces, source, config.device)
    agree = int((decisions.action_code == second.action_code).sum())
    rows = []
    for mode, found in ((asked, decisions), (other, second)):
        counts = np.bincount(found.action_code, minlength=len(ACTIONS)).tolist()
        identities = len(np.unique(found.new_label[found.new_label >= 0]))
        rows.append({"mode": mode, **dict(zip(ACTIONS, counts)), "identities": identities, "agree": agree})
    return rows


def tabulate(config: CleanConfig, source: Source, faces: FaceVectors, decisions: Decisions) -> DecisionTable:
    """Add what only the pack knows: keys and payload hashes."""
    about = {
        "facekit": facekit.__version__,
        "source": {"path": source.path, "layout": source.layout, "content": source.content, "images": len(source)},
        "model": faces.model,
        "settings": decisions.settings,
    }
    return DecisionTable(
        keys=source.keys,
        payload_hash=hash_payloads(source),
        old_label=decisions.old_label,
        new_label=decisions.new_label,
        action_code=decisions.action_code,
        reason_code=decisions.reason_code,
        similarity=decisions.similarity,
        threshold=decisions.threshold,
        nearest=decisions.nearest,
        cluster=decisions.cluster,
        round=np.full(len(source), config.round, np.int32),
        evidence=np.array([*evidence_of(decisions), None], object)[:-1],
        about=about,
    )


def overridden(table: DecisionTable, overrides: Overrides) -> DecisionTable:
    """Apply what a person decided, and number the labels through."""
    found = override(overrides, table.keys, table.old_label, table.action_code, table.reason_code, table.new_label)
    evidence = table.evidence.copy()
    evidence[found.reason_code == REASONS.index("override")] = "a person decided"
    return dataclasses.replace(
        table,
        action_code=found.action_code,
        reason_code=found.reason_code,
        new_label=renumber(found.new_label),
        evidence=evidence,
    )


def publish(
    journal: Journal,
    source: Source,
    table: DecisionTable,
    pack: bool,
    decisions: Decisions | None = None,
    report: bool = False,
) -> None:
    """Put the output together in the journal and move it into place."""
    folder = journal.output()
    if not pack:
        folder.mkdir()
    elif source.kind == "pack" and np.array_equal(table.new_label, table.old_label):
        copy_pack(source, folder)
    else:
        write_pack(source, table, folder)
    check_counts(table)
    write_decisions(folder / DECISIONS, table)
    write_identities(folder / IDENTITIES, table, decisions)
    write_labels(folder / LABELS, label_table(table))
    write_train_config(folder / TRAIN_CONFIG, *_out(table))
    if source.files:
        write_source_list(source, folder / SOURCE_LIST)
    if decisions is not None:
        write_pairs(folder / PAIRS, decisions)
        if report:
            write_report(folder / "report", source, table, folder / PAIRS)
    journal.publish()


def check_counts(table: DecisionTable) -> None:
    """Assert that every image has one outcome and that the outcomes add up."""
    each = np.bincount(table.action_code, minlength=len(ACTIONS))
    inside = int((table.new_label >= 0).sum())
    if each.sum() != len(table) or each[0] + each[1] != inside or len(np.unique(table.keys)) != len(table):
        raise FacekitError("the decisions do not add up; please report this")


def may_replace(destination: Path, overwrite: bool) -> None:
    """Refuse an existing destination, except that decisions alone may be replaced when asked for."""
    if not (overwrite and (destination / DECISIONS).is_file()):
        try:
            check_destination(destination, overwrite)
        except DestinationExists:
            if not was_partial(destination):
                raise


def was_partial(destination: Path) -> bool:
    """Whether a run was killed between moving its output into place and removing its journal."""
    return destination.with_name(destination.name + ".partial").exists() and (destination / "run.json").is_file()


def _out(table: DecisionTable) -> tuple[int, int]:
    inside = table.new_label[table.new_label >= 0]
    return int(inside.max(initial=-1)) + 1, len(inside)


def summarise(destination: str, table: DecisionTable, seconds: float) -> CleanSummary:
    """Count what happened."""
    actions: dict[str, int] = {a: int((table.action_code == c).sum()) for c, a in enumerate(ACTIONS)}
    reasons = {r: int(n) for r, n in zip(REASONS, np.bincount(table.reason_code, minlength=len(REASONS))) if n}
    classes, images = _out(table)
    settings: dict[str, Any] = dict(table.about.get("settings", {}))
    return CleanSummary(
        destination=destination,
        images=len(table),
        identities=len(np.unique(table.old_label)),
        kept=actions["keep"],
        moved=actions["move"],
        dropped=actions["drop"],
        review=actions["review"],
        reasons=reasons,
        images_out=images,
        identities_out=len(np.unique(table.new_label[table.new_label >= 0])),
        settings=settings,
        config=f"config.num_classes = {classes}\nconfig.num_image = {images}",
        seconds=seconds,
    )
