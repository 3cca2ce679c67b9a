"""Everything that an embedding job knows of its source and its model, read once before the first vector."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import facekit
from facekit.embeddings import Engine
from facekit.embeddings.devices import parse_devices
from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.embed.shard import EmbedTask
from facekit.jobs.inputs.ledger import MaskFlags, read_flags
from facekit.jobs.inputs.model import ModelChoice, open_engine
from facekit.jobs.inputs.source import Source, open_source
from facekit.jobs.inputs.source_records import first_picture
from facekit.records.index_policy import index_policy
from facekit.run.platform_stamp import instruction_set
from facekit.run.shards import Shard, cut, shard_size

__all__ = ["EmbedPlan", "embedded_by", "make_plan"]


class EmbedPlan(NamedTuple):
    """What an embedding job will do.

    Attributes
    ----------
    source : Source
        Records in the order in which their vectors will stand.
    flags : MaskFlags
        What the ledger says of them.
    shards : list of Shard
    settings : dict
        JSON-able: what decides the vectors, and what identifies the input.
    """

    source: Source
    flags: MaskFlags
    shards: list[Shard]
    settings: dict[str, Any]

    def task(self, shard: Shard, path: Path) -> EmbedTask:
        """A shard with everything that a worker needs to do it; ``path`` is where its result goes."""
        span = shard.first, shard.stop
        return EmbedTask(shard, path, self.source.slice(*span), self.flags.slice(*span))


def make_plan(config: EmbedConfig, open_model: Callable[[ModelChoice], Engine] = open_engine) -> EmbedPlan:
    """Open the source and the model, and read what is known of both.

    Raises
    ------
    ConfigError
        The model cannot be used so, or the first picture that decodes does not fit it.
    RecordError
        The source is missing or corrupt.
    FacekitError
        The ledger beside it cannot be read, or belongs to another pack.
    """
    taken = index_policy(config.partial_index)
    source, _ = open_source(config.source, layout="flat", limit=config.limit, partial_index=taken)
    first, flags = first_picture(source), read_flags(source)
    shards = cut(len(source), shard_size(len(source)))
    engine = open_model(replace(config.model, device=parse_devices(config.model.device)[0]))
    if first is not None:
        engine.preprocessing.check(first)
    settings = {
        "facekit": facekit.__version__,
        "input": {"content": source.content, "changed": source.changed, "pictures": len(source)},
        **embedded_by(engine, config.model),
        "instruction_set": instruction_set(),
    }
    return EmbedPlan(source, flags, shards, settings)


def embedded_by(engine: Engine, model: ModelChoice) -> dict[str, Any]:
    """What decides the vector of a picture, as it stands in the description of a folder of vectors."""
    return {
        "model": engine.model_hash,
        "preprocessing": json.loads(engine.preprocessing.to_json()),
        "branch": (model.branch or "ledger") if engine.takes_flag else None,
        "flip": model.flip,
    }
