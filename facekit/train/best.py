"""The network with the highest score so far: best.pt beside best.json, which says when, and by which score."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from facekit.errors import ConfigError
from facekit.output import replace_file
from facekit.run.user_files import read_json
from facekit.train.model import save_file

if TYPE_CHECKING:
    from facekit.train.state import State

__all__ = ["BEST", "BestModel", "forget_later_best", "keep_best", "read_best"]

BEST, SAID = "best.pt", "best.json"


class BestModel(NamedTuple):
    """The best network of a run.

    Attributes
    ----------
    model : str
        Its file.
    name : str
        Of the score.
    value : float
        Of that score.
    step : int
        After which it was measured.
    """

    model: str
    name: str
    value: float
    step: int


def read_best(out: Path, name: str) -> BestModel | None:
    """What is known of the best network of a run by a score; None where nothing is.

    Parameters
    ----------
    out : Path
    name : str

    Raises
    ------
    ConfigError
        best.json is none of facekit's.
    """
    path = out / SAID
    if not path.is_file() or not (out / BEST).is_file():
        return None
    said = read_json(path, "remove it, and the run goes on with a new one")
    try:
        found = BestModel(str(out / BEST), str(said["name"]), float(said["value"]), int(said["step"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} does not say which network is best; remove it") from error
    return found if found.name == name else None


def forget_later_best(out: Path, step: int) -> None:
    """Forget what was noted beyond the step that a run goes on from: it will come again.

    Parameters
    ----------
    out : Path
    step : int
    """
    path = out / SAID
    said = read_json(path, "remove it") if path.is_file() else {}
    if isinstance(said, dict) and isinstance(said.get("step"), int) and said["step"] > step:
        path.unlink()


def keep_best(state: State, out: Path, name: str, scores: Mapping[str, float]) -> None:
    """Write the network where its score is above all before; of equal ones the first stays.

    Parameters
    ----------
    state : State
    out : Path
    name : str
        Of the score.
    scores : mapping from str to float

    Raises
    ------
    ConfigError
        There is no score of that name.
    """
    if name not in scores:
        raise ConfigError(f"--best {name}: there is no such score; there are {', '.join(scores) or 'none'}")
    before, value = read_best(out, name), scores[name]
    if not math.isfinite(value) or (before is not None and not value > before.value):
        return
    (out / SAID).unlink(missing_ok=True)  # a run that is killed between the two has no best
    save_file(state.model(), out / BEST)
    replace_file(out / SAID, json.dumps({"name": name, "value": value, "step": state.step}) + "\n")
