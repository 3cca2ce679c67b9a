"""What one payload of a pack is: whether it decodes, how large it is, whether it is cut off, what the decoder says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError
from facekit.images import decode
from facekit.jobs.packs.check_decoder import capture_stderr, warnings_of_each
from facekit.records import unpack_record
from facekit.records.framing import unframe
from facekit.records.read_at import read_at
from facekit.records.structure import Structure
from facekit.run.ledger import payload_hash
from facekit.run.processors import processors

__all__ = ["Verdict", "Verdicts", "judged", "verdicts_here"]

AT_ONCE = 256


class Verdict(NamedTuple):
    """What one payload is."""

    height: int
    width: int
    problem: str
    cut: bool
    hash: bytes
    warning: str = ""


Verdicts = Callable[[Path, Structure, npt.NDArray[np.int64]], Iterator[tuple[int, list[Verdict]]]]
"""Gives what some rows of a structure are, in order, some at a time, with the place of the first."""


def verdicts_here(rec: Path, records: Structure, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, list[Verdict]]]:
    """What the payloads are, some at a time, decoded by as many threads as there are cores."""
    yield from judged(rec, records.offsets[rows], records.stops[rows], processors())


def judged(
    rec: Path, starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64], threads: int
) -> Iterator[tuple[int, list[Verdict]]]:
    """The same of records by where they start and stop in the file."""
    with open(rec, "rb", buffering=0) as file, ThreadPoolExecutor(threads) as pool:

        def judge(place: int) -> Verdict:
            start, stop = int(starts[place]), int(stops[place])
            framed = read_at(file.fileno(), stop - start, start)
            padding = bytes(-len(framed) & 3)  # the last record may lack it
            return _judge(unpack_record(unframe(framed + padding)[0])[1])

        for first in range(0, len(starts), AT_ONCE):
            part = range(first, min(first + AT_ONCE, len(starts)))
            with capture_stderr() as stderr:
                verdicts = list(pool.map(judge, part))
                warned = stderr.damage()
            if warned:
                verdicts = [one._replace(warning=text) for one, text in zip(verdicts, warnings_of_each(judge, part))]
            yield first, verdicts


def _judge(payload: bytes) -> Verdict:
    digest = payload_hash(payload)
    try:
        height, width = decode(payload).shape[:2]
    except PictureError as error:
        return Verdict(0, 0, str(error), False, digest)
    cut = payload.startswith(b"\xff\xd8") and payload.rfind(b"\xff\xd9") < payload.rfind(b"\xff\xda")
    return Verdict(height, width, "", cut, digest)
