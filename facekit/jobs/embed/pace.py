"""How fast a network takes pictures here, from a few of them: for plans."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from time import perf_counter

import numpy as np

from facekit.embeddings import Engine
from facekit.evaluate import FaceSet, verify_all
from facekit.jobs.embed.in_memory import embed_payloads
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.outputs.payload_hashes import hash_payloads

__all__ = ["TIMED", "reading_pace", "seconds_a_pair", "seconds_a_picture", "source_pace"]

FIRST, PATIENCE, READ = 8, 3.0, 2000
FACES, WIDTH = 3000, 512
TIMED = "measured now, on the first pictures through this network on {}; other programs that were at work count too"


def seconds_a_picture(do: Callable[[int], None], most: int) -> float:
    """Seconds of one picture among many, from a batch: the second one, for the first is slower.

    Parameters
    ----------
    do : callable
        Does so many pictures, the same ones each time.
    most : int
        Of a batch, 1 or more. One that would take more than three seconds is timed by its first eight pictures.

    Returns
    -------
    float
    """
    few = min(FIRST, most)
    do(few)
    one = _timed(do, few) / few
    if few == most or one * most > PATIENCE:
        return one
    do(most)
    return _timed(do, most) / most


def _timed(do: Callable[[int], object], count: int) -> float:
    started = perf_counter()
    do(count)
    return perf_counter() - started


def source_pace(engine: Engine, model: ModelChoice, source: Source) -> float | None:
    """Seconds that a picture of a source takes to be decoded and embedded; None where there is none.

    Parameters
    ----------
    engine : Engine
    model : ModelChoice
        How it is used.
    source : Source
    """
    some = [record.payload for record, _ in islice(read_records(source), model.batch)]
    if not some:
        return None
    return seconds_a_picture(lambda count: _embed(engine, model, some[:count], source.path), len(some))


def _embed(engine: Engine, model: ModelChoice, payloads: list[bytes], name: str) -> None:
    embed_payloads(engine, model, payloads, name, skip=True)


def reading_pace(source: Source) -> float:
    """Seconds that a record of a source takes to be read and hashed, by its first two thousand."""
    some = source.slice(0, min(len(source), READ))
    started = perf_counter()
    hash_payloads(some)
    return (perf_counter() - started) / max(len(some), 1)


def seconds_a_pair() -> float:
    """Seconds that a comparison of all with all takes for each pair, by random vectors of the usual length."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(FACES, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = FaceSet(vectors, np.arange(FACES) // 3)
    verify_all(people.take(np.arange(64)))  # compiles
    return _timed(lambda _: verify_all(people), 1) / (FACES * (FACES - 1) / 2)
