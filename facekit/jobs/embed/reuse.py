"""Vectors that are embedded once, and taken as they are when they are wanted again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facekit.embeddings import open_features
from facekit.errors import ConfigError
from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.embed.job import embed
from facekit.jobs.embed.plan import embedded_by
from facekit.jobs.inputs.model import open_engine

__all__ = ["SAME_SPACE", "difference", "embed_once"]

SAME_SPACE = ("model", "preprocessing", "flip")
"""What has to be the same for two vectors to be comparable."""


def embed_once(config: EmbedConfig, cure: str) -> str:
    """Embed a source, unless its folder of vectors is there and this model made them in this way.

    Whether they are of this source is for the caller to say: it opens the source anyway.

    Parameters
    ----------
    config : EmbedConfig
    cure : str
        What somebody can do whose folder was made in another way, besides moving it away.

    Returns
    -------
    str
        The folder of vectors.

    Raises
    ------
    ConfigError
        There are vectors that another model made, or the same one in another way.
    PartFinished
        The share of the part that was asked for is done.
    """
    path, model = config.destination, config.model
    if not Path(path).exists():
        embed(config)
        return path
    made = open_features(path).description
    found = difference(embedded_by(open_engine(model), model), made, (*SAME_SPACE, "branch"))
    if found:
        raise ConfigError(
            f"{path} was embedded in another way than {model.path} is asked to ({found}): move it away, or {cure}"
        )
    return path


def difference(asked: dict[str, Any], made: dict[str, Any], names: tuple[str, ...]) -> str:
    """In what two ways to embed differ; empty where they do not.

    Parameters
    ----------
    asked, made : dict
        Descriptions, as `facekit.jobs.embed.plan.embedded_by` makes them.
    names : tuple of str
        What of them is compared.
    """
    return "; ".join(
        f"{name} is {asked.get(name)}, was {made.get(name)}" for name in names if asked.get(name) != made.get(name)
    )
