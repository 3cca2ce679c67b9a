"""``facekit export``: a trained network as an ONNX file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_choice
from facekit.jobs.train.checks import require
from facekit.output import ONNX, check_files, input_of, open_files
from facekit.output.dry_run import NOTHING_MORE, Forecast, is_dry

if TYPE_CHECKING:
    from facekit.train.export import Exported

__all__ = ["ExportConfig", "export"]

BRANCHES = ("face", "masked", "both")
GRAPH_BYTES, CLASS_BYTES = 2_000_000, 24
"""Besides the weights at the most: the graph, and the images of each class as text."""


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

    needed, forecast = _forecast(config) if is_dry() else (0, NOTHING_MORE)
    with open_files(targets, "export", read, asdict(config), config.overwrite, needed, forecast=forecast) as output:
        exported = export_onnx(config.checkpoint, output.paths[0], config.branch)
    return exported._replace(path=config.destination)


def _forecast(config: ExportConfig) -> tuple[int, Forecast]:
    """What a dry run tells: the network's weights, with its graph and the images of each class beside them."""
    from facekit.train.export import open_exported

    model, inputs = open_exported(config.checkpoint, config.branch)
    weights = [one for one in model.network.state_dict().values() if one.is_floating_point()]
    classes = 0 if model.class_counts is None else len(model.class_counts)
    needed = sum(4 * one.numel() for one in weights) + GRAPH_BYTES + CLASS_BYTES * classes
    counts = {"parameters": sum(one.numel() for one in model.network.parameters()), "inputs": len(inputs)}
    counts |= {"dimensions": model.settings.plugin.dimensions, "classes": classes}
    return needed, Forecast(counts=counts, timed="not estimated: under a minute for the usual networks")
