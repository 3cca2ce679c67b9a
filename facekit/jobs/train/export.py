"""``facekit export``: a trained network as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import ConfigError, DestinationExists
from facekit.jobs.train.checks import require

if TYPE_CHECKING:
    from facekit.train.export import Exported

__all__ = ["ExportConfig", "export"]


@dataclass(frozen=True)
class ExportConfig:
    """Settings of ``facekit export``.

    Attributes
    ----------
    checkpoint : str
        A run's folder, a checkpoint, or a ``model.pt``.
    destination : str
        Ends in ``.onnx``.
    overwrite : bool
    """

    checkpoint: str
    destination: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        if Path(self.destination).suffix != ".onnx":
            raise ConfigError(f"{self.destination} must end in .onnx")


def export(config: ExportConfig) -> Exported:
    """Export a model.

    Raises
    ------
    ConfigError, DestinationExists
        torch or onnx is not installed, there is no such model, or the destination exists.
    FacekitError
        The file would not do what the network does.
    """
    path = Path(config.destination)
    if path.exists() and not config.overwrite:
        raise DestinationExists(f"{path} exists already; choose another destination or pass --overwrite")
    require("exporting", "torch", "onnx", "onnxruntime")
    from facekit.train.export import export_onnx

    path.parent.mkdir(parents=True, exist_ok=True)
    return export_onnx(config.checkpoint, path)
