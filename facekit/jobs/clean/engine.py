"""Where a cleaning job multiplies the blocks of the search of all pairs of centres."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from facekit.clean.pairs import BlockEngine
from facekit.jobs.clean.config import CleanConfig
from facekit.output import new_aside

__all__ = ["block_engine"]


@contextmanager
def block_engine(config: CleanConfig) -> Iterator[BlockEngine | None]:
    """A graphics card, several workers, or None: the threads of this process.

    The centres that workers map lie beside the destination, where every machine sees them, while they are searched.
    """
    if config.device != "cpu":
        from facekit.embeddings.torch_blocks import TorchBlocks

        yield TorchBlocks(config.device)
        return
    if config.workers == 1 and not config.executor.is_shared:
        yield None
        return
    from facekit.clean.shared_blocks import SharedBlocks

    folder = new_aside(config.destination)
    try:
        yield SharedBlocks(folder, config.workers, config.executor)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
