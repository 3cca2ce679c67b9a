"""The pictures of a source -> what they show, as perceptual hashes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError
from facekit.images import decode
from facekit.images.perceptual import HASH_BYTES, perceptual_hash
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import read_records
from facekit.records.mapped_array import mapped_array
from facekit.run.processors import processors
from facekit.run.progress import progress

__all__ = ["hash_payload", "hash_pictures"]

AT_ONCE = 1024


def hash_pictures(source: Source) -> npt.NDArray[np.uint8]:
    """Decode every picture of a source, in as many threads as there are cores.

    Parameters
    ----------
    source : Source
        N records.

    Returns
    -------
    (N, 40) uint8
        See `facekit.images.perceptual`; zero where a picture does not decode. Mapped where they are many.

    Raises
    ------
    RecordError
        A record is truncated or corrupt.
    """
    hashes = mapped_array((len(source), HASH_BYTES), np.uint8)
    records, first = read_records(source), 0
    with (
        progress("looking", len(source)) as advance,
        ThreadPoolExecutor(processors()) as pool,
    ):
        while payloads := [record.payload for record, _ in islice(records, AT_ONCE)]:
            found = b"".join(pool.map(hash_payload, payloads, chunksize=64))
            hashes[first : first + len(payloads)] = np.frombuffer(found, np.uint8).reshape(-1, HASH_BYTES)
            first += len(payloads)
            advance(len(payloads))
    return hashes


def hash_payload(payload: bytes) -> bytes:
    """What a stored picture shows, 40 bytes; all zero where it does not decode."""
    try:
        return perceptual_hash(decode(payload))
    except PictureError:
        return bytes(HASH_BYTES)
