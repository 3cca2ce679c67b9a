"""``facekit eval``: vectors, or a model and pictures, in; verification and identification scores out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.embeddings import Features, is_features, open_features
from facekit.errors import ConfigError
from facekit.evaluate import OpenSetPoint
from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.embed.reuse import embed_once
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Network, open_subject
from facekit.jobs.evaluate.mapped_faces import LookedAt
from facekit.jobs.evaluate.rehearsal import tell_evaluation
from facekit.jobs.evaluate.scores import Findings, Score, bin_scores, gallery_scores, key_scores, pack_scores
from facekit.jobs.evaluate.template_scores import template_scores
from facekit.jobs.evaluate.tinyface_scores import tinyface_scores
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.tinyface_lists import is_tinyface
from facekit.output import Input, check_folder, input_of, open_folder
from facekit.output.dry_run import is_dry
from facekit.report.score_charts import density_svg, det_svg, roc_svg

__all__ = ["EvalSummary", "evaluate"]


@dataclass(frozen=True)
class EvalSummary:
    """The result of ``facekit eval``.

    Attributes
    ----------
    model : str
        BLAKE2b of the model file.
    pictures : int
        That have a vector.
    errors : dict from str to int
        Pictures that have none, by the reason.
    left_out : int
        Pairs of a list that one of those pictures belongs to.
    scores : tuple of Score
    contradictions : int
        Pairs by key whose ``same`` is not what the labels say: many of them mean keys of another pack.
    masked_score : float or None
        A quarter of masked to bare at 1e-4 and three quarters of bare to bare at 1e-6 (ICCV21-MFR).
    protocol : dict from str to float
        TARs at that challenge's FARs: of masked to bare, of bare to bare, and of the bare faces of each group.
    protocol_missing : tuple of str
        Parts of it that the pack is too small for, and why; empty where FARs were asked for.
    ranks : dict from int to float, or None
        Identification accuracy by rank.
    probes_without_mate : int
        Probes whose person is not in the gallery; they do not count in ``ranks``.
    open_set : tuple of OpenSetPoint
        TPIR at each FPIR, which those probes measure.
    branches : dict from str to int
        Pictures by the branch they took: face, masked or both; empty of a network without branches.
    uncertainty : dict from str to float
        Median norm of sigma of bare and of masked faces, for networks that say it.
    milliseconds_per_image : float or None
        Of the network with its preprocessing and flips; None for vectors that were there.
    plots : tuple of str
        Files written.
    """

    model: str
    pictures: int
    errors: dict[str, int]
    scores: tuple[Score, ...]
    left_out: int = 0
    contradictions: int = 0
    masked_score: float | None = None
    protocol: dict[str, float] = field(default_factory=dict)
    protocol_missing: tuple[str, ...] = ()
    ranks: dict[int, float] | None = None
    probes_without_mate: int = 0
    open_set: tuple[OpenSetPoint, ...] = ()
    branches: dict[str, int] = field(default_factory=dict)
    uncertainty: dict[str, float] = field(default_factory=dict)
    milliseconds_per_image: float | None = None
    plots: tuple[str, ...] = ()


def evaluate(config: EvalConfig) -> EvalSummary:
    """Evaluate a model or the vectors it made.

    Raises
    ------
    ConfigError
        The settings contradict each other, a FAR that was asked for cannot be measured, there is nothing to compare, or
        the vectors that are there are of another pack or model.
    PartFinished
        The share of the part that was asked for is done.
    RecordError, FacekitError
        Something that is to be read is missing or corrupt.
    """
    if config.plots is not None:
        check_folder(config.plots, eval_inputs(config), config.overwrite)
    subject = open_subject(config.subject, config.model) if config.features is None else embedded_pack(config)
    if isinstance(subject, Features) and (config.wear or config.blur):
        raise ConfigError("--wear and --blur change pictures, and a folder of vectors has none: give the model")
    if config.templates is not None:
        found = template_scores(config, subject)
    elif config.pairs is not None:
        found = bin_scores(config, subject) if config.pairs.endswith(".bin") else key_scores(config, subject)
    elif is_tinyface(config.gallery) or is_tinyface(config.probe):
        found = tinyface_scores(config, subject)
    elif config.gallery is not None:
        found = gallery_scores(config, subject)
    else:
        found = pack_scores(config, subject)
    if is_dry():
        tell_evaluation(config, subject, found, eval_inputs(config))
    return _summary(config, subject, found)


def embedded_pack(config: EvalConfig) -> Features:
    """The vectors of the pack, made by the model now or before.

    Raises
    ------
    ConfigError
        The subject is a folder of vectors itself, or the vectors that are there are of another pack or model.
    PartFinished
        The share of the part that was asked for is done.
    """
    features, pack = str(config.features), str(config.pack)
    if is_features(Path(config.subject)):
        raise ConfigError(f"{config.subject} is a folder of vectors, of which --features would make another: give one")
    asked = EmbedConfig(pack, features, config.model, workers=config.workers, executor=config.executor)
    found = open_features(embed_once(asked, "name another folder with --features"))
    if found.description.get("input", {}).get("content") != open_source(pack, layout="flat")[0].content:
        raise ConfigError(f"{features} was made from another pack than {pack}: name another folder with --features")
    return found


def _summary(config: EvalConfig, subject: Network | Features, found: Findings) -> EvalSummary:
    pictures = sum(len(faces.keys) for faces in found.faces)
    seconds = sum(faces.seconds for faces in found.faces)
    return EvalSummary(
        model=subject.model_hash if isinstance(subject, Features) else subject.engine.model_hash,
        pictures=pictures,
        errors=dict(sum((faces.errors for faces in found.faces), Counter[str]())),
        scores=tuple(found.scores),
        branches=dict(sum((faces.branches for faces in found.faces), Counter[str]())),
        uncertainty={name: float(np.median(values)) for name, values in _uncertainty(found.faces).items()},
        milliseconds_per_image=1000 * seconds / pictures if seconds else None,
        plots=_draw(config, found),
        **found.more,
    )


def _uncertainty(faces: Sequence[LookedAt]) -> dict[str, npt.NDArray[np.float32]]:
    """Norms of sigma of bare and of masked faces."""
    found: dict[str, list[npt.NDArray[np.float32]]] = {}
    for side in faces:
        if side.uncertainty is not None:
            for name, keep in (("bare", ~side.masked), ("masked", side.masked)):
                found.setdefault(name, []).append(side.uncertainty[keep])
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return {name: values for name, values in joined.items() if len(values)}


def _draw(config: EvalConfig, found: Findings) -> tuple[str, ...]:
    if config.plots is None:
        return ()
    drawings = {"roc.svg": roc_svg(found.curves), "det.svg": det_svg(found.curves)}
    uncertainty = _uncertainty(found.faces)
    if uncertainty:
        drawings["uncertainty.svg"] = density_svg(uncertainty, "Uncertainty of bare and masked faces", "|sigma|")
    inputs, settings = eval_inputs(config), {"subject": config.subject}
    with open_folder(config.plots, "eval", inputs, settings, config.overwrite) as output:
        folder = output.new_folder()
        for name, text in drawings.items():
            (folder / name).write_text(text, encoding="utf-8")
        output.publish()
    return tuple(str(Path(config.plots) / name) for name in drawings)


def eval_inputs(config: EvalConfig) -> list[Input]:
    """Everything that is named to be read: none of it is written to."""
    named = (config.subject, config.pairs, config.pack, config.gallery, config.probe, config.groups, config.templates)
    return [input_of(path, lambda: ()) for path in named if path is not None]
