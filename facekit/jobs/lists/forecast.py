"""How long ``facekit lists export`` will take, from some pictures: for its plan."""

from __future__ import annotations

from time import perf_counter

from facekit.jobs.inputs.picture_hashes import hash_pictures
from facekit.jobs.inputs.source import Source
from facekit.jobs.lists.config import ExportConfig
from facekit.jobs.outputs.payload_hashes import hash_payloads
from facekit.jobs.outputs.picture_shards import journal_of
from facekit.output import is_begun
from facekit.run.processors import processors
from facekit.run.trial import OTHERS, SHARED, milliseconds

__all__ = ["looking_times"]

FIRST, READ = 200, 2000
"""Pictures that are decoded, and records that are hashed."""


def looking_times(source: Source, config: ExportConfig) -> tuple[dict[str, float | None], str]:
    """Seconds of each part, and what they come from.

    Parameters
    ----------
    source : Source
        The pack that was decided about.
    config : ExportConfig

    Returns
    -------
    dict from str to float or None
    str
    """
    if config.executor.is_shared:
        return {}, SHARED
    some = source.slice(0, min(FIRST, len(source)))
    if not len(some):
        return {}, "seconds: there are no pictures"
    started = perf_counter()
    hash_pictures(some)
    looking = (perf_counter() - started) / len(some)
    read = source.slice(0, min(READ, len(source)))
    started = perf_counter()
    hash_payloads(read)
    reading = (perf_counter() - started) / len(read)
    cores = processors()
    if config.workers > 1:  # one alone uses a thread for each core
        looking *= cores / min(config.workers, cores)
    times: dict[str, float | None] = {"reading": reading * len(source), "looking": looking * len(source)}
    said = f"timed on {len(some)} pictures, {milliseconds(looking)} each; {OTHERS}"
    begun = "; what an earlier run has looked at is not done again" * is_begun(journal_of(config))
    return times, said + begun
