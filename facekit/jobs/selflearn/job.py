"""``facekit selflearn``: embed, clean, mask, train, evaluate; and again, always from the initial pack.

Round i embeds the initial pack with model i - 1, cleans it, and trains model i on what is left, starting from model
i - 1. Every part of a round that is finished is a file or folder that appeared whole, so a run goes on anywhere.

    OUT/
        config.json  rounds.json  index.html
        round-0/     train/  model.onnx                (without --init)
        round-1/     features/  clean/  masked/  train/  model.onnx  scores.json
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from facekit.errors import ConfigError, DestinationExists
from facekit.jobs.selflearn.checks import check_inputs
from facekit.jobs.selflearn.config import SelfLearnConfig
from facekit.jobs.selflearn.forecast import tell_selflearn
from facekit.jobs.selflearn.processes import follow, is_first, processes
from facekit.jobs.selflearn.round import Round, StartModel, finished_rounds, prepare_start_model, run_round
from facekit.jobs.train.job import train
from facekit.output import Input, input_of, look_at_run_folder, open_run_folder, replace_file
from facekit.output.dry_run import is_dry
from facekit.report.rounds_page import build_rounds_page

__all__ = ["SelfLearnSummary", "selflearn"]

CONFIG, ROUNDS, PAGE = "config.json", "rounds.json", "index.html"


@dataclass(frozen=True)
class SelfLearnSummary:
    """The result of ``facekit selflearn``; of a process that only trained with the first, without rounds."""

    destination: str
    page: str
    rounds: tuple[Round, ...]
    seconds: float


def selflearn(
    config: SelfLearnConfig,
    say: Callable[[str], None] = lambda _: None,
    report: Callable[[Any], None] = lambda _: None,
) -> SelfLearnSummary:
    """Clean and train in rounds; in several processes, as torchrun starts them, all train and the first does the rest.

    Parameters
    ----------
    config : SelfLearnConfig
    say : callable
        Is told which part begins, and warnings.
    report : callable
        Is told how far training is.

    Raises
    ------
    ConfigError, DestinationExists
        Settings that contradict each other, or a destination that something else lies in.
    FacekitError
        Something that is to be read is missing or corrupt (then nothing was written), or a round left nothing to train
        on.
    """
    started, out = perf_counter(), Path(config.destination)
    record = check_inputs(config)
    if is_dry():
        inputs = guarded_inputs(config)
        look_at_run_folder(out, "selflearn", inputs)
        _refuse_resume({name: value for name, value in record.items() if name != "device"}, out)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # training says it
            tell_selflearn(config, out, inputs)
    if not is_first():
        with processes(record["device"]):
            follow(train)
        return SelfLearnSummary(str(out), str(out / PAGE), (), perf_counter() - started)
    with (
        open_run_folder(out, "selflearn", guarded_inputs(config)),
        processes(record.pop("device")),
    ):
        _check_resume(record, out)
        rounds = _run_rounds(config, out, say, report)
    return SelfLearnSummary(str(out), str(out / PAGE), tuple(rounds), perf_counter() - started)


def guarded_inputs(config: SelfLearnConfig) -> list[Input]:
    """Everything that is named to be read: a run's folder may not be one of them, hold one or lie in one."""
    named = (config.source, config.init, config.init_pack, config.recipe, config.truth, *config.pairs)
    return [input_of(path, lambda: ()) for path in named if path is not None and Path(path).exists()]


def _run_rounds(
    config: SelfLearnConfig, out: Path, say: Callable[[str], None], report: Callable[[Any], None]
) -> list[Round]:
    before: Round | None = None
    first = prepare_start_model(config, out, say, report)
    rounds: list[Round] = []
    finished = finished_rounds(out)
    for number in range(1, max(config.rounds, finished) + 1):
        model = StartModel(before.model, before.weights) if before is not None else first
        before = run_round(config, number, out, model, before, say, report)
        rounds.append(before)
        if number >= finished:
            _write_page(config, out, first, rounds)
    return rounds


def _check_resume(record: dict[str, Any], out: Path) -> None:
    """Write the record of a new run, or check that this one may go on with these settings."""
    if not _refuse_resume(record, out):
        replace_file(out / CONFIG, json.dumps(record, indent=2) + "\n")


def _refuse_resume(record: dict[str, Any], out: Path) -> bool:
    """Whether there is a run to go on with; one of other settings is refused."""
    path = out / CONFIG
    before = _read(path) if path.is_file() else {}
    begun = bool(before) and _anything_done(out)
    names = _changed(before, record) if begun else []
    if names:
        raise ConfigError(f"{out} was started with other settings ({', '.join(names)}); choose another destination")
    return begun


def _read(path: Path) -> dict[str, Any]:
    """The record of a self-learning run; those of other commands have the same name."""
    try:
        before = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; restore it, or choose another destination") from error
    if not isinstance(before, dict) or not all(isinstance(before.get(part), dict) for part in ("config", "training")):
        raise DestinationExists(f"{path} is not of facekit selflearn; choose another destination")
    return before


def _anything_done(out: Path) -> bool:
    """Whether there is something to lose; until the first checkpoint there is not."""
    wanted = ("round-[1-9]*/*", "round-0/*.onnx", "round-0/scores.json", "round-0/train/checkpoints/[0-9]*")
    return any(True for pattern in wanted for _ in out.glob(pattern))


def _changed(before: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """The settings, and what else, that a run was started with and that are others now."""
    names = [name for part in ("config", "training") for name, value in record[part].items()
             if before.get(part, {}).get(name) != value]  # fmt: skip
    names += [what for name, what in (("input", "the initial pack"), ("facekit", "the version of facekit"))
              if before.get(name) != record[name]]  # fmt: skip
    return names


def _write_page(config: SelfLearnConfig, out: Path, first: StartModel, rounds: list[Round]) -> None:
    rows = [asdict(one) for one in rounds]
    replace_file(out / ROUNDS, json.dumps(rows, indent=2) + "\n")
    replace_file(out / PAGE, build_rounds_page(config.source, config.plugin, first.scores, rows))
