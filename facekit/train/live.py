"""A network in memory as an engine, so that it is evaluated like an exported one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facekit.embeddings import Preprocessing
from facekit.embeddings.engine import NetworkOutput
from facekit.train.plugin import Plugin

__all__ = ["LiveEngine"]


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
