"""A network built without memory for it: what it refuses is known before anything is written."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import torch

from facekit.errors import ConfigError

if TYPE_CHECKING:
    from facekit.train.plugin import PackFacts, Plugin
    from facekit.train.recipe import Settings

__all__ = ["try_network"]

log = logging.getLogger(__name__)


def try_network(plugin: Plugin, settings: Settings, facts: PackFacts) -> None:
    """Build a plugin's network on torch's device ``meta``, and forget it.

    Raises
    ------
    ConfigError
        The network refuses its settings. Whatever else goes wrong without memory is left to the real one.
    """
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plugin.build_network(settings.plugin, facts)
    except ConfigError:
        raise
    except Exception:
        log.debug("the network cannot be built without memory", exc_info=True)
