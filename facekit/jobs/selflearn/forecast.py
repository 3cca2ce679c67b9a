"""What a dry run of ``facekit selflearn`` tells: rounds, disk, memory and time, by a few steps of the network."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from facekit.jobs.cost.kept_rates import kept_seconds
from facekit.jobs.embed.job import BYTES_A_VECTOR
from facekit.jobs.embed.pace import source_pace
from facekit.jobs.inputs.model import ModelChoice, open_engine
from facekit.jobs.inputs.pair_tables import read_pairs
from facekit.jobs.inputs.source import Source, open_source, source_bytes
from facekit.jobs.mask.config import PRESETS
from facekit.jobs.selflearn.config import SelfLearnConfig
from facekit.jobs.selflearn.round import finished_rounds
from facekit.jobs.train.forecast import LOG_BYTES, REPORT_BYTES, forecast_training
from facekit.output import Input
from facekit.output.dry_run import Forecast, stop_if_dry
from facekit.records.bins import read_bins
from facekit.records.distinct import distinct
from facekit.run.processors import processors

if TYPE_CHECKING:
    from facekit.train.rehearsal import Length, Outline
    from facekit.train.task import Task

__all__ = ["tell_selflearn"]

ROW_BYTES, REPORT, MODEL_BYTES = 600, 20_000_000, 2_000_000
"""Of a decision at the most, with its place in the tables and the ledger; of a report; of what an .onnx has besides."""


class _Rounds(NamedTuple):
    """What is still to be done."""

    total: int
    left: int
    begin: int
    """1: model 0 is to be trained."""
    each: float
    """Images that a round trains on, over those of the pack, at the most."""
    first: float
    """The same of model 0."""


def tell_selflearn(config: SelfLearnConfig, out: Path, inputs: list[Input]) -> None:
    """End with the plan.

    Parameters
    ----------
    config : SelfLearnConfig
        Its inputs were checked.
    out : Path
    inputs : list of Input

    Raises
    ------
    DryRun
    """
    source, _ = open_source(config.source, layout="flat")
    rounds, pace = _rounds(config, source, out), [float("nan")]
    task = _task(config, out)

    def score(engine: Any) -> tuple[int, float]:
        pace[0] = source_pace(engine, ModelChoice("in memory.pt"), source) or 0.0
        return 0, 0.0

    told, length, outline = forecast_training(task, score)
    if config.init is not None and config.init.endswith(".onnx"):
        choice = ModelChoice(config.init)
        pace[0] = source_pace(open_engine(choice), choice, source) or 0.0
    elif told.device != "cpu":
        pace[0] = float("nan")
    scored = sum(map(_pictures_of, config.pairs))
    steps = rounds.left * _steps(task, rounds.each) + rounds.begin * _steps(task, rounds.first)
    counts = {"images": len(source), "identities": len(distinct(source.labels)), "rounds": rounds.total}
    counts |= {"rounds left": rounds.left, "trainings left": rounds.left + rounds.begin}
    counts |= {"steps left at most": steps, "pictures scored each round": scored}
    times, timed = _times(config, told, rounds, source, pace[0], scored)
    writes = ("round-N: features, clean, masked, train, model.onnx, scores.json", "rounds.json, index.html")
    forecast = Forecast(len(source), counts=counts, writes=writes, memory=told.memory, memory_free=told.memory_free,
                        device=told.device, times=times, timed=timed)  # fmt: skip
    needed = _bytes(task, rounds, source, length, outline, bool(config.masked_share))
    stop_if_dry("selflearn", out, tuple(inputs), needed, out.is_dir() and finished_rounds(out) > 0, forecast)


def _task(config: SelfLearnConfig, out: Path) -> Task:
    """A training on the pack as it is, which is the most that a round trains on before masks are added."""
    from facekit.jobs.train.job import facts_of
    from facekit.masks.augment import MaskAugment
    from facekit.train.plugin import load_plugin
    from facekit.train.recipe import read_settings
    from facekit.train.samples import TrainingSet
    from facekit.train.task import Task

    settings = read_settings(load_plugin(config.plugin), config.recipe, config.changes)
    train = settings.train
    wear = MaskAugment(train.online_masks, train.mask_types, train.seed) if train.online_masks else None
    samples = TrainingSet(config.source, train, wear)
    init = None if config.init is None or config.init.endswith(".onnx") else config.init
    facts, place = facts_of(samples, samples.labels), out / f"round-{config.rounds + 1}" / "train"
    return Task(config.plugin, settings, samples, samples.labels, facts, place, init)


def _steps(task: Task, share: float) -> int:
    """Of a training on so many images for each of the pack."""
    train, world = task.settings.train, int(os.environ.get("WORLD_SIZE", "1"))
    steps = math.ceil(share * len(task.labels)) // (train.batch * train.accumulate * world) * train.epochs
    return min(train.max_steps or steps, steps)


def _rounds(config: SelfLearnConfig, source: Source, out: Path) -> _Rounds:
    finished = finished_rounds(out)
    total = max(config.rounds, finished)
    begin = config.init is None and not (out / "round-0" / "train" / "model.pt").is_file()
    mode = str(PRESETS.get(config.mask_preset or "", {"mode": "add"})["mode"])
    each = 1 / (1 - config.masked_share) if mode == "add" else 1.0
    first = 1.0 if config.init_pack is None else len(open_source(config.init_pack)[0]) / max(len(source), 1)
    return _Rounds(total, total - finished, int(begin), each, first)


def _pictures_of(path: str) -> int:
    """Of a list that models are scored on, as they go through the network."""
    if path.endswith(".bin"):
        return len(read_bins(path).payloads)
    keys = read_pairs(path).keys
    return sum(len(np.unique(keys[:, side])) for side in (0, 1))


def _times(
    config: SelfLearnConfig, told: Forecast, rounds: _Rounds, source: Source, pace: float, scored: int
) -> tuple[dict[str, float | None], str]:
    one, count = told.times.get("training"), len(source)
    trained = rounds.left * rounds.each + rounds.begin * rounds.first
    known = bool(np.isfinite(pace))
    times: dict[str, float | None] = {"training": None if one is None else one * trained}
    times["embedding"] = pace * count * rounds.left if known else None
    if scored:
        scorings = rounds.left + (rounds.left > 0)
        times["scoring"] = 2 * pace * scored * scorings if known else None
    people = len(distinct(source.labels))
    steps = {"cleaning": {"clean": count, "pairs of centres": people * (people - 1) // 2}}
    steps |= {"masking": {"mask": round(count * (rounds.each - 1)), "convert": count}} if config.masked_share else {}
    unknown = []
    for name, one_of in steps.items():
        seconds = kept_seconds(one_of, processors())
        unknown += [name] * (seconds is None)
        times |= {} if seconds is None else {name: seconds * rounds.left}
    said = f"{told.timed}; every image is taken to be kept"
    said += f"; without {' and '.join(unknown)}, which facekit cost SRC measures" * bool(unknown)
    return times, said if known else said + "; vectors are made on the cores, by a model that is not there yet"


def _bytes(task: Task, rounds: _Rounds, source: Source, length: Length, outline: Outline, masked: bool) -> int:
    """That the rounds leave: nothing of a finished one is removed."""
    from facekit.train.task import bytes_to_write

    pack = source_bytes(source) + ROW_BYTES * len(source)
    training = bytes_to_write(task, outline.checkpoint) + LOG_BYTES
    training += round(REPORT_BYTES * (length.reports + 1) * max(rounds.each, rounds.first)) + outline.kept + MODEL_BYTES
    each = BYTES_A_VECTOR * len(source) + pack + REPORT + round(pack * rounds.each * 1.5) * masked + training
    return rounds.left * each + rounds.begin * training
