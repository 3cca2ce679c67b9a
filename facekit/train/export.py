"""A trained network -> an ONNX file that says how pictures are to be prepared, checked against the network."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from facekit.embeddings import Preprocessing
from facekit.embeddings.preprocessing import METADATA_KEY
from facekit.errors import FacekitError
from facekit.train.model import Model, open_model

__all__ = ["Exported", "export_onnx"]

FLAG = "mask_flag"
TOLERANCE = 1e-4


class Exported(NamedTuple):
    """What was written."""

    path: str
    plugin: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dimensions: int
    image_size: tuple[int, int]
    deviation: float
    """Largest distance between unit vectors of the file and of the network, over batches of several sizes."""


class _Deployed(nn.Module):
    """Tensors in, a tuple of tensors out, as a graph needs it."""

    def __init__(self, model: Model, takes_flag: bool) -> None:
        super().__init__()
        self.network, self.plugin, self.config = model.network, model.plugin, model.settings.plugin
        self.takes_flag = takes_flag

    def forward(self, image: torch.Tensor, mask_flag: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        if mask_flag is None:
            mask_flag = torch.zeros(1, dtype=torch.bool, device=image.device).expand(image.shape[0])
        done = self.plugin.embed(self.config, self.network, image, mask_flag)
        return (done.vector,) if done.uncertainty is None else (done.vector, done.uncertainty)


def export_onnx(checkpoint: str, path: Path) -> Exported:
    """Write a model as ONNX.

    Parameters
    ----------
    checkpoint : str
        A run's folder, a checkpoint, or a ``model.pt``.
    path : Path
        Is replaced when the file is whole and was checked.

    Raises
    ------
    ConfigError
        There is no such model.
    FacekitError
        onnxruntime's embeddings differ from torch's by more than 1e-4.
    """
    model = open_model(checkpoint)
    inputs = tuple(model.plugin.export_inputs(model.settings.plugin))
    deployed = _Deployed(model, FLAG in inputs).eval()
    samples = [_sample(model, count, FLAG in inputs) for count in (2, 1, 5)]
    with torch.inference_mode():
        outputs = ("embedding", "uncertainty")[: len(deployed(*samples[0]))]
    aside = path.with_name(f".{path.name}.{os.getpid()}.onnx")
    try:
        _write(deployed, samples[0], inputs, outputs, aside, model)
        deviation = max(_deviation(deployed, aside, sample, inputs) for sample in samples)
        if not deviation <= TOLERANCE:
            raise FacekitError(f"the exported file differs from the network by {deviation:.2g}; nothing was written")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    size = model.settings.plugin.dimensions
    return Exported(str(path), model.name, inputs, outputs, size, model.image_size, deviation)


def _sample(model: Model, count: int, takes_flag: bool) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(count)
    image = torch.rand(count, 3, *model.image_size, generator=generator) * 2 - 1
    flags = torch.arange(count) % 2 == 0
    return (image, flags) if takes_flag else (image,)


def _write(
    deployed: nn.Module,
    sample: tuple[torch.Tensor, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    path: Path,
    model: Model,
) -> None:
    import onnx

    axes = {name: {0: "batch"} for name in (*inputs, *outputs)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about shapes that are constant here
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            deployed, sample, str(path), input_names=list(inputs), output_names=list(outputs), dynamic_axes=axes,
            opset_version=17, dynamo=False,
        )  # fmt: skip
    graph = onnx.load(str(path))
    facts: dict[str, Any] = {
        METADATA_KEY: Preprocessing(size=model.image_size).to_json(),
        "facekit.plugin": model.name,
        "facekit.settings": json.dumps(model.settings.plugin.__dict__),
    }
    onnx.helper.set_model_props(graph, facts)
    onnx.save(graph, str(path))


def _deviation(deployed: nn.Module, path: Path, sample: tuple[torch.Tensor, ...], inputs: tuple[str, ...]) -> float:
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {name: tensor.numpy() for name, tensor in zip(inputs, sample, strict=True)}
    with torch.inference_mode():
        wanted = [value.float().numpy() for value in deployed(*sample)]
    found = session.run(None, feeds)
    units = [value / np.linalg.norm(value, axis=1, keepdims=True) for value in (wanted[0], found[0])]
    apart = float(np.linalg.norm(units[0] - units[1], axis=1).max())
    rest = [float(np.abs(a / b - 1).max()) for a, b in zip(wanted[1:], found[1:], strict=True)]
    return max([apart, *rest])
