"""A PyTorch network as an engine: arcface_torch's ``backbone.pt`` with its network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facekit.embeddings.devices import card_number, check_devices
from facekit.embeddings.engine import NetworkOutput
from facekit.embeddings.onnx_engine import file_hash
from facekit.embeddings.preprocessing import Preprocessing
from facekit.errors import ConfigError, FacekitError
from facekit.records.named_inputs import describe_path, require_there

if TYPE_CHECKING:
    import torch

__all__ = ["TorchEngine", "read_state"]


def read_state(path: Path) -> dict[str, Any]:
    """The tensors of a weights file, by name; nothing in it is executed.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict from str to torch.Tensor
        On the CPU; the prefix ``module.`` of DistributedDataParallel is taken off.

    Raises
    ------
    ConfigError
        No such file, it is what ``facekit train`` wrote, or torch is not installed.
    FacekitError
        It is not a dictionary of tensors.
    """
    if not path.is_file():
        require_there(path, "model")
        raise ConfigError(f"{path} is {describe_path(path)}, no model file")
    try:
        import torch
    except ImportError as error:
        raise ConfigError("weights of PyTorch need torch: pip install '.[train]' in the checkout") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever the bytes lead it to
        what = describe_path(path)
        reason = error if what == "weights of torch" else f"it is {what}"
        raise FacekitError(f"{path} is not a weights file that can be read safely: {reason}; name another") from error
    if isinstance(state, dict) and {"format", "plugin", "settings"} <= state.keys():
        raise ConfigError(
            f"{path} is what facekit train wrote, with a network of its plugin {state['plugin']}: "
            f"facekit export {path} MODEL.onnx makes a model of it"
        )
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise FacekitError(f"{path} is not a dictionary of tensors, as arcface_torch's backbone.pt is")
    return {str(name).removeprefix("module."): value for name, value in state.items()}


class TorchEngine:
    """A network with its weights loaded.

    Parameters
    ----------
    network : torch.nn.Module
        (B, 3, H, W) to (B, D).
    path : Path
        The weights file, for its hash.
    preprocessing : Preprocessing
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.
    """

    takes_flag = False

    def __init__(self, network: torch.nn.Module, path: Path, preprocessing: Preprocessing, device: str = "cpu") -> None:
        import torch

        check_devices(device)
        if device != "cpu" and card_number(device) >= torch.cuda.device_count():
            raise ConfigError(f"device {device!r} is not there; use cpu")
        self.network = network.eval().to(device)
        self.device, self.preprocessing = device, preprocessing
        self.model_hash = file_hash(path)

    def run(self, planes: NDArray[np.float32], masked: NDArray[np.bool_]) -> NetworkOutput:
        """See `Engine.run`; ``masked`` is not looked at.

        Parameters
        ----------
        planes : (B, 3, H, W) float32
        masked : (B,) bool

        Returns
        -------
        NetworkOutput
        """
        import torch

        del masked  # the network has no branches
        with torch.inference_mode():
            return NetworkOutput(self.network(torch.from_numpy(planes).to(self.device)).float().cpu().numpy(), None)
