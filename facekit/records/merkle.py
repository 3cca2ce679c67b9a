"""A pack in one number that tells what changed: trees of hashes over its records, by key.

A leaf is what is known of a record, packed: its key and its payload hash, or its key and its label. Leaves are
gathered by ``key // BLOCK_KEYS`` and hashed in the order of their keys; so a record that comes or goes touches one
block, wherever the record lies in the file. Blocks are hashed in pairs up to the root; an odd one out goes up as it is.
Hashes are BLAKE2b of 16 bytes; leaves and nodes are told apart by their personalisation (Merkle 1987; RFC 6962, 2.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_KEYS", "block_hashes", "changed_blocks", "root_of"]

BLOCK_KEYS = 4096
_BYTES = 16


def block_hashes(keys: NDArray[np.int64], said: NDArray[np.uint8]) -> dict[int, str]:
    """The hash of each block of keys that has records.

    Parameters
    ----------
    keys : (N,) int64
        In any order; each once.
    said : (N, W) uint8
        What a leaf says beside its key.

    Returns
    -------
    dict from int to str
        ``key // BLOCK_KEYS`` -> 32 hexadecimal digits, ascending.
    """
    order = np.argsort(keys, kind="stable")
    blocks = keys[order] // BLOCK_KEYS
    cuts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(keys)] if len(keys) else [0]
    found = {}
    for first, stop in pairwise(cuts):
        rows = order[first:stop]
        leaves = np.concatenate([keys[rows].astype("<i8")[:, None].view(np.uint8), said[rows]], 1)
        found[int(blocks[first])] = _hash(leaves.tobytes(), b"leaves").hex()
    return found


def root_of(blocks: dict[int, str]) -> str:
    """The root over all blocks; of none, the hash of nothing.

    Parameters
    ----------
    blocks : dict from int to str
        As `block_hashes` gives them.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    level: Sequence[bytes] = [
        _hash(number.to_bytes(8, "little", signed=True) + bytes.fromhex(blocks[number]), b"block")
        for number in sorted(blocks)
    ]
    if not level:
        return _hash(b"", b"node").hex()
    while len(level) > 1:
        pairs = [_hash(level[at] + level[at + 1], b"node") for at in range(0, len(level) - 1, 2)]
        level = pairs + list(level[len(level) - len(level) % 2 :])
    return level[0].hex()


def changed_blocks(before: dict[int, str], now: dict[int, str]) -> list[tuple[int, int]]:
    """Runs of keys of whose records some changed, came or went.

    Parameters
    ----------
    before, now : dict from int to str

    Returns
    -------
    list of (int, int)
        First and last key of each run of blocks, ascending.
    """
    runs: list[tuple[int, int]] = []
    for number in sorted(number for number in before.keys() | now.keys() if before.get(number) != now.get(number)):
        first, last = number * BLOCK_KEYS, (number + 1) * BLOCK_KEYS - 1
        if runs and runs[-1][1] + 1 == first:
            first = runs.pop()[0]
        runs.append((first, last))
    return runs


def _hash(content: bytes, person: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_BYTES, person=person).digest()
