"""``facekit export``: a trained network as an ONNX file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_choice
from facekit.jobs.train.checks import require
from facekit.output import ONNX, check_files, input_of, open_files

if TYPE_CHECKING:
    from facekit.train.export import Exported

__all__ = ["ExportConfig", "export"]

BRANCHES = ("face", "masked", "both")


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
    branch : str, optional
        ``face``, ``masked`` or ``both``: one input and one output, see `facekit.train.export.export_onnx`.
    """

    checkpoint: str
    destination: str
    overwrite: bool = False
    branch: str | None = None

    def __post_init__(self) -> None:
        if self.branch is not None:
            check_choice("branch", self.branch, BRANCHES)
        if Path(self.destination).suffix != ".onnx":
            raise ConfigError(f"{self.destination} must end in .onnx: choose such a name")


def export(config: ExportConfig) -> Exported:
    """Export a model.

    Raises
    ------
    ConfigError, DestinationExists
        torch or onnx is not installed, there is no such model, or the destination exists.
    FacekitError
        The file would not do what the network does.
    """
    targets = {config.destination: ONNX}
    check_files(targets, [], config.overwrite)
    require("exporting", "torch", "onnx", "onnxruntime")
    from facekit.train.export import export_onnx
    from facekit.train.model import weights_file

    read = [input_of(weights_file(Path(config.checkpoint)))]

    with open_files(targets, "export", read, asdict(config), config.overwrite) as output:
        exported = export_onnx(config.checkpoint, output.paths[0], config.branch)
    return exported._replace(path=config.destination)
