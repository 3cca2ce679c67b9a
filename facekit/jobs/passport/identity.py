"""The number of a pack: the roots of its trees, and a hash of its ledger."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facekit.jobs.inputs.source import Source
from facekit.jobs.outputs.payload_hashes import hash_payloads
from facekit.records.merkle import BLOCK_KEYS, block_hashes, root_of
from facekit.run.ledger import ledger_path

__all__ = ["Trees", "ledger_hash", "trees_of"]

READ_BYTES = 1 << 22


class Trees(NamedTuple):
    """Hashes of the blocks of a pack.

    Attributes
    ----------
    pictures, labels : dict from int to str
        As `facekit.records.merkle.block_hashes` gives them.
    """

    pictures: dict[int, str]
    labels: dict[int, str]

    def described(self) -> dict[str, Any]:
        """JSON-able; blocks as a list of number and hash."""
        found: dict[str, Any] = {"blockKeys": BLOCK_KEYS}
        for name, blocks in self._asdict().items():
            found[name] = {"root": root_of(blocks), "blocks": [[number, said] for number, said in blocks.items()]}
        return found

    @staticmethod
    def read(described: dict[str, Any]) -> Trees:
        """The trees of a passport."""
        return Trees(
            *({int(number): str(said) for number, said in described[name]["blocks"]} for name in Trees._fields)
        )


def trees_of(source: Source) -> Trees:
    """Hash every record of a pack: one pass over its bytes.

    Parameters
    ----------
    source : Source
        In the layout ``flat``: pictures alone.
    """
    labels = source.labels.astype("<i8")[:, None].view(np.uint8)
    return Trees(block_hashes(source.keys, hash_payloads(source)), block_hashes(source.keys, labels))


def ledger_hash(source: Source) -> str | None:
    """BLAKE2b of the ledger beside a pack, 32 hexadecimal digits; None where there is none."""
    path = ledger_path(Path(source.path))
    if source.kind != "pack" or not path.exists():
        return None
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
