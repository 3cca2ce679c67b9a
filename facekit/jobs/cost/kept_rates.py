"""The rates that ``facekit cost`` measured last on this machine, kept so that ``--dry-run`` can tell a time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import facekit
from facekit.jobs.cost.job import PAIRS, CostSummary, Kept, seconds_of
from facekit.output.aside import replace_file
from facekit.run.platform_stamp import instruction_set

__all__ = ["keep_rates", "kept_seconds", "rates_path"]


def rates_path() -> Path:
    """Where they are: a file of facekit's in the user's folder of caches."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home, "facekit", "rates.json")


def keep_rates(summary: CostSummary) -> Path | None:
    """Keep what was measured, in place of what was kept before.

    Returns
    -------
    Path or None
        None where this user has no folder to write to: nothing depends on it.
    """
    rates = {name: [rate["cpu"], rate["wall"], rate["start_wall"]] for name, rate in summary.rates.items()}
    rates |= {PAIRS: [summary.pair_seconds, 0.0, 0.0]}
    rates.pop("embed", None)  # of one model, and another one may be asked about
    try:
        rates_path().parent.mkdir(parents=True, exist_ok=True)
        replace_file(rates_path(), json.dumps({**_stamp(), "rates": rates}))
    except OSError:
        return None
    return rates_path()


def kept_seconds(steps: Mapping[str, int], workers: int) -> float | None:
    """How long steps of these sizes will take.

    Parameters
    ----------
    steps : mapping from str to int
        See `facekit.output.dry_run.Plan`.
    workers : int
        Processes of a step that is spread.

    Returns
    -------
    float or None
        None where one of them was not measured here by this version of facekit.
    """
    try:
        found = json.loads(rates_path().read_text("utf-8"))
        rates = {name: Kept(*map(float, rate)) for name, rate in found.pop("rates").items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # missing, or of something else
        return None
    if found != _stamp() or not steps or not rates.keys() >= steps.keys():
        return None
    return seconds_of(steps, rates, workers)


def _stamp() -> dict[str, object]:
    return {"facekit": facekit.__version__, "instruction_set": instruction_set(), "cores": os.cpu_count()}
