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
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import facekit
from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError, DestinationExists
from facekit.jobs.selflearn_round import First, Round, do_round, first_model
from facekit.jobs.source import open_source
from facekit.report.rounds_page import build_rounds_page

__all__ = ["SelfLearnConfig", "SelfLearnSummary", "selflearn"]

CONFIG, ROUNDS, PAGE = "config.json", "rounds.json", "index.html"


@dataclass(frozen=True)
class SelfLearnConfig:
    """Settings of ``facekit selflearn``.

    Attributes
    ----------
    source : str
        The initial pack.
    destination : str
    plugin : str
    rounds : int
    init : str, optional
        Model 0: a run's folder or ``model.pt`` of the plugin, which round 1 also begins from; or an ``.onnx``, which
        only embeds.
    init_pack : str, optional
        Train model 0 on this pack. Without both, model 0 is trained on the initial pack as it is.
    mask : float
        Share of masked pictures that each round's pack is given; 0: none.
    recipe : str, optional
    changes : tuple of str
        ``key=value`` of the plugin or the loop.
    settings : CleanSettings
    pairs : tuple of str
        Lists that each model is scored on: ``.bin``, or ``.csv`` over the keys of the initial pack.
    truth : str, optional
        Who is really in the pictures: ``.parquet`` (as ``facekit synth`` writes) or ``.csv``, with the columns key and
        identity or true_person; without it no purity is known.
    """

    source: str
    destination: str
    plugin: str = "bcl"
    rounds: int = 3
    init: str | None = None
    init_pack: str | None = None
    mask: float = 0.0
    recipe: str | None = None
    changes: tuple[str, ...] = ()
    settings: CleanSettings = field(default_factory=CleanSettings)
    pairs: tuple[str, ...] = ()
    truth: str | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds is {self.rounds}; it must be at least 1")
        if self.init is not None and self.init_pack is not None:
            raise ConfigError("--init and --init-pack are two ways to a first model; give one of them")
        if not 0 <= self.mask < 1:
            raise ConfigError(f"mask is {self.mask}; it must be a share from 0 to below 1")

    def record(self) -> dict[str, Any]:
        """What decides the result; more rounds may be added to a run."""
        given = asdict(self)
        given["settings"].pop("threads")
        for name in ("destination", "rounds", "source"):
            del given[name]
        return given


@dataclass(frozen=True)
class SelfLearnSummary:
    """The result of ``facekit selflearn``."""

    destination: str
    page: str
    rounds: tuple[Round, ...]
    seconds: float


def selflearn(
    config: SelfLearnConfig,
    say: Callable[[str], None] = lambda sentence: None,
    report: Callable[[Any], None] = lambda report: None,
) -> SelfLearnSummary:
    """Clean and train in rounds.

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
        Something that is to be read is missing or corrupt, or a round left nothing to train on.
    """
    started, out = perf_counter(), Path(config.destination)
    _begin(config, out)
    before: Round | None = None
    first = first_model(config, out, say, report)
    rounds: list[Round] = []
    for number in range(1, config.rounds + 1):
        model = First(before.model, before.weights) if before is not None else first
        before = do_round(config, number, out, model, before, say, report)
        rounds.append(before)
        _write(out / ROUNDS, json.dumps([asdict(one) for one in rounds], indent=2) + "\n")
        _write(
            out / PAGE, build_rounds_page(config.source, config.plugin, first.scores, [asdict(one) for one in rounds])
        )
    return SelfLearnSummary(str(out), str(out / PAGE), tuple(rounds), perf_counter() - started)


def _begin(config: SelfLearnConfig, out: Path) -> None:
    """Make the folder, or agree with what was begun in it."""
    source, _ = open_source(config.source, layout="flat")
    record = json.loads(
        json.dumps({"facekit": facekit.__version__, "input": source.content, "config": config.record()})
    )
    path = out / CONFIG
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        if before != record:
            old, new = before["config"], record["config"]
            names = [name for name in new if old.get(name) != new[name]] or ["the initial pack"]
            raise ConfigError(f"{out} was begun with other settings ({', '.join(names)}); choose another destination")
        return
    if out.exists() and any(out.iterdir()):
        raise DestinationExists(f"{out} exists already and is not of facekit selflearn; choose another destination")
    out.mkdir(parents=True, exist_ok=True)
    _write(path, json.dumps(record, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}")
    aside.write_text(text, "utf-8")
    os.replace(aside, path)
