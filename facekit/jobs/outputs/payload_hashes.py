"""The hashes of all payloads of a source: one pass over its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.outputs.ledger_rows import hash_block, hashing_threads
from facekit.records.rewrite import read_blocks
from facekit.run.ledger import payload_hash
from facekit.run.progress import progress

__all__ = ["hash_payloads"]

PROGRESS_ROWS = 2048


def hash_payloads(source: Source) -> npt.NDArray[np.uint8]:
    """Return (N, 16) uint8, BLAKE2b of the payload of each record of a source: one pass over its bytes."""
    hashes = np.empty((len(source), 16), np.uint8)
    with progress("hashing", len(source)) as advance:
        for part, found in _hash_parts(source):
            hashes[part] = np.frombuffer(found, np.uint8).reshape(-1, 16)
            advance(part.stop - part.start)
    return hashes


def _hash_parts(source: Source) -> Iterator[tuple[slice, bytes]]:
    """The hashes of some records after others: of a pack many at once, in several threads."""
    if source.kind == "pack" and source.stored is None:
        with ThreadPoolExecutor(hashing_threads()) as pool:
            for read in read_blocks(Path(source.path), source.offsets, source.keys):
                yield read.rows, hash_block(read.block, read.starts, pool)
        return
    waiting: list[bytes] = []
    for at, (record, _) in enumerate(read_records(source), 1):
        waiting.append(payload_hash(record.payload))
        if len(waiting) == PROGRESS_ROWS or at == len(source):
            yield slice(at - len(waiting), at), b"".join(waiting)
            waiting.clear()
