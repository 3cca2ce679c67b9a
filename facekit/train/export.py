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

import facekit
from facekit.embeddings import Preprocessing
from facekit.embeddings.preprocessing import METADATA_KEY
from facekit.errors import ConfigError, FacekitError
from facekit.train.model import Model, open_model
from facekit.train.plugin import Embedding

__all__ = ["Exported", "export_onnx", "open_exported"]

FLAG = "mask_flag"
TOLERANCE = 1e-4
MOST_LISTED = 1 << 20
"""Classes whose counts are written into the file: some megabytes."""


class Exported(NamedTuple):
    """What was written.

    Attributes
    ----------
    path : str
        The ONNX file.
    plugin : str
        Whose network it is.
    inputs, outputs : list of str
        Their names in the graph.
    dimensions : int
    image_size : list of int
        Height and width, pixels.
    deviation : float
        Largest distance between unit vectors of the file and of the network, over batches of several sizes.
    """

    path: str
    plugin: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dimensions: int
    image_size: tuple[int, int]
    deviation: float


class _Deployed(nn.Module):
    """Tensors in, a tuple of tensors out, as a graph needs it."""

    def __init__(self, model: Model, branch: str | None = None) -> None:
        super().__init__()
        self.network, self.plugin, self.config = model.network, model.plugin, model.settings.plugin
        self.branch = branch

    def forward(self, image: torch.Tensor, mask_flag: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        if self.branch == "both":
            return ((self._embed(image, False).vector + self._embed(image, True).vector) / 2,)
        if self.branch is not None:
            return (self._embed(image, self.branch == "masked").vector,)
        if mask_flag is None:
            done = self._embed(image, False)
        else:
            done = self.plugin.embed(self.config, self.network, image, mask_flag)
        return (done.vector,) if done.uncertainty is None else (done.vector, done.uncertainty)

    def _embed(self, image: torch.Tensor, masked: bool) -> Embedding:
        one = (torch.ones if masked else torch.zeros)(1, dtype=torch.bool, device=image.device)
        return self.plugin.embed(self.config, self.network, image, one.expand(image.shape[0]))


def export_onnx(checkpoint: str, path: Path, branch: str | None = None) -> Exported:
    """Write a model as ONNX.

    With a branch the file has one input and one output, as other programs expect of a recognition model (insightface's
    own class among them): pictures of 112 x 112 in, embeddings out.

    Parameters
    ----------
    checkpoint : str
        A run's folder, a checkpoint, or a ``model.pt``.
    path : Path
        Is replaced when the file is whole and was checked.
    branch : {"face", "masked", "both"}, optional
        The branch that all pictures take, or the average of both. None: the inputs that the plugin names, and the
        uncertainty if the network says it.

    Raises
    ------
    ConfigError
        There is no such model, or it has no branch for masked faces and one was asked for.
    FacekitError
        onnxruntime's embeddings differ from torch's by more than 1e-4.
    """
    model, inputs = open_exported(checkpoint, branch)
    deployed = _Deployed(model, branch).eval()
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


def open_exported(checkpoint: str, branch: str | None) -> tuple[Model, tuple[str, ...]]:
    """What `export_onnx` turns into a file, and the inputs that the file will have; raises what that raises first."""
    model = open_model(checkpoint)
    inputs = tuple(model.plugin.export_inputs(model.settings.plugin))
    if branch in ("masked", "both") and FLAG not in inputs:
        raise ConfigError(
            f"branch {branch}: {checkpoint} has no branch for masked faces; export it without, or as face"
        )
    return model, inputs if branch is None else inputs[:1]


def _sample(model: Model, count: int, takes_flag: bool) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(count)
    image = torch.rand(count, 3, *model.image_size, generator=generator) * 2 - 1
    flags = torch.arange(count) % 2 == 0
    return (image, flags) if takes_flag else (image,)


def _write(
    deployed: _Deployed,
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
        "facekit.version": facekit.__version__,
        "facekit.plugin": model.name,
        "facekit.settings": json.dumps(model.settings.plugin.__dict__),
        **({} if deployed.branch is None else {"facekit.branch": deployed.branch}),
        **_classes(model),
    }
    onnx.helper.set_model_props(graph, facts)
    onnx.save(graph, str(path))


def _classes(model: Model) -> dict[str, str]:
    """The classes that the network was trained on, by label: images of each."""
    if model.class_counts is None:
        return {}
    counts = {"facekit.classes": str(len(model.class_counts))}
    if len(model.class_counts) <= MOST_LISTED:
        counts["facekit.class_counts"] = json.dumps(model.class_counts.tolist())
    return counts


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
