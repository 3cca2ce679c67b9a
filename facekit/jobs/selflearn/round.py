"""One round of self-learning; a part that is finished is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import REASONS
from facekit.clean.plausibility import check_loss, check_separation, measure_loss, measure_separation
from facekit.clean.vectors import Vectors
from facekit.embeddings import open_features
from facekit.embeddings.onnx_engine import file_hash
from facekit.errors import FacekitError
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.features import FeatureRows
from facekit.jobs.clean.job import clean
from facekit.jobs.clean.tables import read_decisions
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.job import evaluate
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.selflearn.config import SelfLearnConfig
from facekit.jobs.selflearn.processes import train_together
from facekit.jobs.selflearn.truth import purity_of, read_truth
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.export import ExportConfig, export
from facekit.jobs.train.job import train
from facekit.output import replace_file
from facekit.records.distinct import blocks, distinct
from facekit.records.key_rows import rows_of
from facekit.run.memory import release_freed

__all__ = ["Round", "StartModel", "finished_rounds", "prepare_start_model", "run_round"]

LISTS = "lists"
PARTS = ("features", "clean", "train/model.pt", "model.onnx")
CENTRE_ROWS = 8192

Say = Callable[[str], None]
Listen = Callable[[Any], None]


@dataclass(frozen=True)
class StartModel:
    """The model that a round begins from.

    Attributes
    ----------
    model : str
        ONNX, to embed with.
    weights : str or None
        To begin training from; None: from nothing.
    scores : dict from str to float
    """

    model: str
    weights: str | None
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """What a round came to.

    Attributes
    ----------
    number : int
    images, identities : int
        Of the initial pack.
    kept, identities_kept : int
        Images and identities that the round's model was trained on (without masked copies).
    purity : float or None
        Share of the kept images that show the person whom most kept images of their new label show.
    purity_before : float or None
        The same of the initial pack.
    reasons : dict from str to int
        Images by the reason of their decision.
    newly_kept, newly_dropped : int
        Compared with the round before.
    scores : dict from str to float
        Of the model that the round trained.
    model, weights, report : str
        Where they lie.
    """

    number: int
    images: int
    identities: int
    kept: int
    identities_kept: int
    purity: float | None
    purity_before: float | None
    reasons: dict[str, int]
    newly_kept: int
    newly_dropped: int
    scores: dict[str, float]
    model: str
    weights: str
    report: str


def prepare_start_model(config: SelfLearnConfig, out: Path, say: Say, report: Listen) -> StartModel:
    """Model 0: the one that was given, or one trained on the pack as it is."""
    if config.init is not None and config.init.endswith(".onnx"):
        return StartModel(config.init, None, _scores(config, config.init, out / "round-0"))
    folder = out / "round-0"
    folder.mkdir(exist_ok=True)
    weights = config.init
    if weights is None:
        say("round 0: training on the pack as it is")
        weights = _train(config, config.init_pack or config.source, folder, None, None, say, report)
    model = _export(weights, folder)
    return StartModel(model, weights, _scores(config, model, folder))


def finished_rounds(out: Path) -> int:
    """How many rounds, from the first, have nothing left to do but scores."""
    number = 0
    while all((out / f"round-{number + 1}" / part).exists() for part in PARTS):
        number += 1
    return number


def run_round(
    config: SelfLearnConfig, number: int, out: Path, first: StartModel, before: Round | None, say: Say, report: Listen
) -> Round:
    """Embed, clean, mask, train, evaluate."""
    folder = out / f"round-{number}"
    folder.mkdir(exist_ok=True)
    features, cleaned = folder / "features", folder / "clean"
    if not features.exists():
        say(f"round {number}: embedding the initial pack")
        embed(EmbedConfig(config.source, str(features), ModelChoice(first.model)))
    if not cleaned.exists():
        say(f"round {number}: cleaning the initial pack")
        # Whether it took too much is asked below, where its report lies already.
        wanted = CleanConfig(config.source, str(cleaned), str(features), settings=config.settings, round=number)
        clean(replace(wanted, allow_loss=1.0))
    release_freed()
    table = read_decisions(cleaned)
    vectors = _vectors_of(features, table)
    if not (table.new_label >= 0).any():
        raise FacekitError(f"round {number} left no image: the model tells nobody apart, or --intra is too strict")
    if not (folder / "train" / "model.pt").is_file():
        _check_loss(config, number, table, vectors, cleaned)
    pack = _masked(config, folder, cleaned, say)
    centres = _centres(vectors, table) if first.weights is not None else None
    say(f"round {number}: training on {int((table.new_label >= 0).sum())} images")
    del table, vectors  # training holds a pack of its own
    weights = _train(config, str(pack), folder, first.weights, centres, say, report)
    model = _export(weights, folder)
    release_freed()
    return _round(config, number, folder, read_decisions(cleaned), before, model, weights)


def _masked(config: SelfLearnConfig, folder: Path, cleaned: Path, say: Say) -> Path:
    masked = folder / "masked"
    if not config.masked_share:
        return cleaned
    if not masked.exists():
        from facekit.jobs.mask.config import PRESETS, MaskConfig, parse_types
        from facekit.jobs.mask.job import mask

        say(f"{folder.name}: masking")
        preset = PRESETS.get(config.mask_preset or "", {"types": "all", "mode": "add"})
        types = parse_types(preset["types"])
        mask(MaskConfig(str(cleaned), str(masked), config.masked_share, preset["mode"], types))
    return masked


def _train(
    config: SelfLearnConfig,
    pack: str,
    folder: Path,
    init: str | None,
    centres: npt.NDArray[np.float32] | None,
    say: Say,
    report: Listen,
) -> str:
    """Train where it is not done yet: the folder of the run."""
    run = folder / "train"
    if not (run / "model.pt").is_file():
        release_freed()  # of what looked through the pack, or cleaned it
        wanted = TrainConfig(config.plugin, pack, str(run), config.recipe, config.changes, init, resume=True)
        train_together(train, wanted, report, lambda sentence: say(f"warning: {sentence}"), centres)
    return str(run)


def _export(weights: str, folder: Path) -> str:
    path = folder / "model.onnx"
    if not path.is_file():
        export(ExportConfig(weights, str(path)))
    return str(path)


def _vectors_of(features: Path, table: DecisionTable) -> Vectors:
    """The unit vector of each decision, (N, D), read when it is asked for; of length 0 where there is none."""
    opened = open_features(features)
    return FeatureRows(opened, rows_of(opened.column("key"), table.keys))


def _check_loss(config: SelfLearnConfig, number: int, table: DecisionTable, vectors: Vectors, cleaned: Path) -> None:
    """Stop before a model is trained on what a cleaning left of the pack, where it left too little."""
    if config.allow_loss >= 1:
        return
    try:
        check_separation(measure_separation(vectors, table.old_label), config.settings)
        check_loss(measure_loss(table), config.allow_loss)
    except FacekitError as error:
        raise FacekitError(
            f"round {number}: {error}. Other settings need another OUT; a larger --allow-loss goes on with this one. "
            f"{cleaned / 'report' / 'index.html'} shows what was decided"
        ) from None


def _centres(vectors: Vectors, table: DecisionTable) -> npt.NDArray[np.float32]:
    """Mean of the unit vectors of each new label: (C, D); of length 0 where it has none."""
    centres = np.zeros((int(table.new_label.max()) + 1, vectors.shape[1]), np.float32)
    for part in blocks(len(table), CENTRE_ROWS):
        rows = part.start + np.flatnonzero(table.new_label[part] >= 0)
        np.add.at(centres, table.new_label[rows], vectors[rows])
    return centres


def _scores(config: SelfLearnConfig, model: str, folder: Path) -> dict[str, float]:
    """Accuracy and TAR on each list, kept in a file with the hashes of the lists."""
    path = folder / "scores.json"
    lists = {Path(pairs).stem: file_hash(Path(pairs)) for pairs in config.pairs}
    if path.is_file():
        known: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if known.pop(LISTS, None) == lists:
            return known
    found: dict[str, float] = {}
    for pairs in config.pairs:
        found |= _scores_of(config, model, pairs)
    folder.mkdir(exist_ok=True)
    replace_file(path, json.dumps({**found, LISTS: lists}))
    return found


def _scores_of(config: SelfLearnConfig, model: str, pairs: str) -> dict[str, float]:
    choice, name = ModelChoice(model, flip=True), Path(pairs).stem
    score = evaluate(EvalConfig(model, choice, pairs=pairs, pack=config.source, bootstrap=0)).scores[0]
    found = {} if score.accuracy is None else {f"{name} accuracy": score.accuracy}
    return found | {f"{name} TAR@{point.far:g}": point.tar for point in score.points}


def _round(
    config: SelfLearnConfig,
    number: int,
    folder: Path,
    table: DecisionTable,
    before: Round | None,
    model: str,
    weights: str,
) -> Round:
    keep = table.new_label >= 0
    purity = purity_before = None
    if config.truth is not None:
        person = read_truth(config.truth, table.keys)
        purity, purity_before = purity_of(person[keep], table.new_label[keep]), purity_of(person, table.old_label)
    kept_before = np.ones(len(table), np.bool_)
    if before is not None:
        earlier = folder.with_name(f"round-{number - 1}") / "clean"
        kept_before = read_decisions(earlier, ("new_label",)).new_label >= 0
    counts = np.bincount(table.reason_code, minlength=len(REASONS)).tolist()
    return Round(
        number=number,
        images=len(table),
        identities=len(distinct(table.old_label)),
        kept=int(keep.sum()),
        identities_kept=int((distinct(table.new_label) >= 0).sum()),
        purity=purity,
        purity_before=purity_before,
        reasons={reason: count for reason, count in sorted(zip(REASONS, counts, strict=True)) if count},
        newly_kept=int((keep & ~kept_before).sum()),
        newly_dropped=int((~keep & kept_before).sum()),
        scores=_scores(config, model, folder),
        model=model,
        weights=weights,
        report=str(folder / "clean" / "report" / "index.html"),
    )
