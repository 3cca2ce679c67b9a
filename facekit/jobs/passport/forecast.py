"""What a dry run of ``facekit passport`` tells."""

from __future__ import annotations

from collections import Counter

from facekit.jobs.clean.features import open_vectors
from facekit.jobs.embed.pace import reading_pace
from facekit.jobs.inputs.source import Source
from facekit.jobs.overlap.config import OverlapConfig
from facekit.jobs.overlap.job import overlap
from facekit.jobs.passport.config import PassportConfig
from facekit.output import JSON, Input, open_files
from facekit.output.dry_run import DryRun, Forecast, Plan, stop_if_dry
from facekit.records.distinct import distinct

__all__ = ["tell_passport"]

HEAD_BYTES, BLOCK, BLOCK_BYTES = 1_000_000, 4096, 200
"""Of a passport at the most: all but the hashes, and two of these for every block of keys."""


def tell_passport(config: PassportConfig, source: Source, inputs: list[Input]) -> None:
    """End with the plan; test sets and vectors are opened, and refused as the run would.

    Parameters
    ----------
    config : PassportConfig
    source : Source
        The pack.
    inputs : list of Input

    Raises
    ------
    DryRun
    """
    counts = {"images": len(source), "identities": len(distinct(source.labels))}
    counts |= {"sampled": min(config.sample, len(source)), "test sets": len(config.against)}
    times: Counter[str] = Counter({"reading": reading_pace(source) * len(source)})
    if config.features is not None:
        open_vectors(config.features, source)
    for path in config.against:
        times.update({name: seconds for name, seconds in plan_of(config, path).times.items() if seconds is not None})
    known: dict[str, float | None] = {**times, **({} if config.features is None else {"noise": None})}
    timed = "measured now, on the first pictures of each"
    timed += "; the noise is a facekit clean --mode robust, whose time facekit cost predicts" * ("noise" in known)
    device = None if config.model is None else config.model.device
    forecast = Forecast(len(source), counts=counts, times=known, timed=timed, device=device)
    if config.destination is None:
        stop_if_dry("passport", None, tuple(inputs), 0, forecast=forecast)
        return
    keys = int(source.keys.max(initial=0)) + 1
    needed = HEAD_BYTES + BLOCK_BYTES * (keys // BLOCK + 1)
    open_files({config.destination: JSON}, "passport", inputs, {}, config.overwrite, needed, forecast=forecast)


def plan_of(config: PassportConfig, path: str) -> Plan:
    """What the comparison with a test set would do."""
    try:
        overlap(OverlapConfig(config.source, path, model=config.model, features_a=config.features))
    except DryRun as told:
        return told.plan
    raise AssertionError("a dry run of overlap ends with its plan")
