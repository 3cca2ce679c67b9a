"""A network in memory as an engine, so that it is evaluated like an exported one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facekit.embeddings import Preprocessing
from facekit.embeddings.engine import NetworkOutput
from facekit.train.plugin import Plugin
from facekit.train.state import State
from facekit.train.task import Task

__all__ = ["LiveEngine", "live_engine"]


class LiveEngine:
    """A network in evaluation mode.

    Parameters
    ----------
    plugin : Plugin
    config : its settings
    network : torch.nn.Module
    device : torch.device
    image_size : (int, int)
    takes_flag : bool
    """

    model_hash = "in memory"

    def __init__(
        self,
        plugin: Plugin,
        config: Any,
        network: torch.nn.Module,
        device: torch.device,
        image_size: tuple[int, int],
        takes_flag: bool,
    ) -> None:
        self.plugin, self.config, self.network = plugin, config, network
        self.device, self.takes_flag = device, takes_flag
        self.preprocessing = Preprocessing(size=image_size)

    def run(self, planes: NDArray[np.float32], masked: NDArray[np.bool_]) -> NetworkOutput:
        """See `facekit.embeddings.engine.Engine.run`."""
        with torch.inference_mode():
            image = torch.from_numpy(planes).to(self.device)
            done = self.plugin.embed(self.config, self.network, image, torch.from_numpy(masked.copy()).to(self.device))
            uncertainty = None if done.uncertainty is None else done.uncertainty.float().cpu().numpy()
            return NetworkOutput(done.vector.float().cpu().numpy(), uncertainty)


@contextmanager
def live_engine(state: State, task: Task) -> Iterator[LiveEngine]:
    """The network as it is scored, while it is in training."""
    config = state.settings.plugin
    takes_flag = "mask_flag" in state.plugin.export_inputs(config)
    with state.deployed() as network:
        yield LiveEngine(state.plugin, config, network, state.device, task.facts.image_size, takes_flag)
