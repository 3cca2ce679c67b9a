"""An evaluation that is only planned: every list is read and every pair counted, and nothing is compared."""

from __future__ import annotations

import numpy as np

from facekit.embeddings import Features
from facekit.errors import ConfigError
from facekit.evaluate import AllPairs, FaceSet, Roc
from facekit.evaluate.open_set import refuse_fpir, refuse_one_kind
from facekit.evaluate.operating_points import allowed_accepts, check_genuine
from facekit.evaluate.pair_counts import mate_counts, pair_counts
from facekit.jobs.embed.pace import TIMED, seconds_a_pair
from facekit.jobs.evaluate.comparisons import Findings
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Network
from facekit.output import Input, open_folder
from facekit.output.dry_run import Forecast, stop_if_dry

__all__ = ["counted", "searched", "seconds_a_pair", "tell_evaluation"]

PLOT_BYTES = 8_000_000
"""Three charts take less: a curve has a point for each pixel of it."""


def counted(probe: FaceSet, gallery: FaceSet | None, fars: tuple[float, ...] | None) -> AllPairs:
    """The pairs that `facekit.evaluate.verify_all` would compare; refuses what it would refuse."""
    genuine, impostor = pair_counts(probe, gallery)
    check_genuine(genuine)
    for far in fars or ():
        allowed_accepts(far, impostor)
    nothing = np.zeros(0)
    return AllPairs(genuine, impostor, (), Roc(nothing, nothing))


def searched(probe: FaceSet, gallery: FaceSet, fpirs: tuple[float, ...]) -> int:
    """Probes without a mate; refuses what `identify` and `identify_open_set` of `facekit.evaluate` would refuse.

    Raises
    ------
    ConfigError
    """
    mates = mate_counts(probe, gallery)
    if not mates.any():
        raise ConfigError(f"none of {len(probe)} probes has another picture of its person in the gallery")
    strangers = int((mates == 0).sum())
    if fpirs:
        refuse_one_kind(len(probe), len(probe) - strangers)
    for fpir in fpirs:
        refuse_fpir(fpir, strangers)
    return strangers


def tell_evaluation(config: EvalConfig, subject: Network | Features, found: Findings, inputs: list[Input]) -> None:
    """End with the plan.

    Raises
    ------
    DryRun
    """
    pictures = sum(len(faces.keys) for faces in found.faces)
    counts = {"pictures": pictures}
    if "probes_without_mate" in found.more:
        counts["probes without a mate"] = int(found.more["probes_without_mate"])
    for score in found.scores:
        counts |= {f"{score.name}: genuine": score.genuine, f"{score.name}: impostor": score.impostor}
    timed, times = _times(config, subject, found)
    device = config.model.device if isinstance(subject, Network) else None
    forecast = Forecast(pictures, counts=counts, times=times, timed=timed, device=device)
    if config.plots is None:
        stop_if_dry("eval", None, tuple(inputs), 0, forecast=forecast)
    else:
        settings = {"subject": config.subject}
        open_folder(config.plots, "eval", inputs, settings, config.overwrite, PLOT_BYTES, forecast=forecast)


def _times(config: EvalConfig, subject: Network | Features, found: Findings) -> tuple[str, dict[str, float | None]]:
    times: dict[str, float | None] = {}
    said = "the vectors are there"
    if isinstance(subject, Network):
        seconds = sum(faces.seconds for faces in found.faces)
        times["network"], said = seconds, TIMED.format(config.model.device)
    listed = config.pairs is not None
    pairs = 0 if listed else sum(score.genuine + score.impostor for score in found.scores)
    if pairs:
        times["comparing"] = pairs * seconds_a_pair()
        said += "; the intervals of --bootstrap take time that is not estimated" * (config.bootstrap > 0)
    elif listed:
        said += "; comparing a list takes seconds, of millions of pairs a minute"
    return said, times
