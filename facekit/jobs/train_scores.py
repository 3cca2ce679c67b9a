"""Verification while a network is trained: the same scores as ``facekit eval``'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facekit.errors import ConfigError
from facekit.jobs.eval_config import EvalConfig
from facekit.jobs.eval_faces import Network
from facekit.jobs.eval_scores import bin_scores, key_scores
from facekit.jobs.model import ModelChoice

__all__ = ["scorer"]


def scorer(pairs: tuple[str, ...], pack: str) -> Callable[[Any], Mapping[str, float]]:
    """From an engine to the accuracy and the TAR of each list of pairs.

    Raises
    ------
    ConfigError
        A list is not there.
    """
    for path in pairs:
        if not Path(path).is_file():
            raise ConfigError(f"--eval {path}: there is no such file")

    def evaluate(engine: Any) -> Mapping[str, float]:
        found: dict[str, float] = {}
        choice = ModelChoice("in memory.pt")
        for path in pairs:
            config = EvalConfig("in memory", choice, pairs=path, pack=pack)
            score = (bin_scores if path.endswith(".bin") else key_scores)(config, Network(engine, choice)).scores[0]
            name = Path(path).stem
            if score.accuracy is not None:
                found[f"{name} accuracy"] = score.accuracy
            found |= {f"{name} TAR@{point.far:g}": point.tar for point in score.points}
        return found

    return evaluate
