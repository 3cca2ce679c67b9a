"""What a dry run of packing tells where the source is files of samples, whose pictures nobody counts beforehand."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from time import perf_counter

from facekit.jobs.inputs.sample_files import SampleFiles, read_samples
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.samples import make_keeper
from facekit.output.dry_run import Forecast
from facekit.run.processors import processors
from facekit.run.trial import APART, DONE, OTHERS, SHARED, Pace, in_processes
from facekit.run.work import ShardWork

__all__ = ["forecast_samples"]

BUDGET, MOST = 1.2, 48
"""Seconds and samples of a trial, at the most; the first sample is done whatever it takes."""


def forecast_samples(files: SampleFiles, work: ShardWork, config: PackConfig, finished: set[int]) -> Forecast:
    """What a dry run tells, having packed the first samples of the first file that is left.

    Parameters
    ----------
    files : SampleFiles
    work : ShardWork
        A shard for each of them.
    config : PackConfig
    finished : set of int
        Numbers of the files that an earlier run has done.
    """
    waiting = [files.files[shard.number] for shard in work.taken() if shard.number not in finished]
    counts = {"files": len(files.files), **({"done before": len(finished)} if finished else {})}
    told = Forecast(counts=counts)
    if not waiting:
        return replace(told, timed=DONE)
    if work.executor.is_shared:
        return replace(told, timed=SHARED)
    started = perf_counter()
    keep = make_keeper(config)
    pace, payloads, began = Pace(0, 0.0, perf_counter() - started), 0, perf_counter()
    with closing(read_samples(waiting[0])) as samples:
        for sample in samples:
            keep(sample)
            payloads += len(sample.payload)
            spent = perf_counter() - began
            pace = Pace(pace.records + 1, spent / (pace.records + 1), pace.start)
            if spent > BUDGET or pace.records == MOST:
                break
    if not payloads:
        return replace(told, timed=f"not estimated: {waiting[0].address} holds no samples")
    workers = min(work.workers, len(waiting), processors())
    # A file is little more than its pictures, of which it does not say how many they are.
    left = pace.records * sum(file.size for file in waiting) / payloads
    times: dict[str, float | None] = {"start": pace.start, work.title: pace.each * left / workers}
    return replace(told, times=times, timed="; ".join((in_processes(pace, workers), OTHERS, APART)))
