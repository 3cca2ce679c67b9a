"""A trained network on disk: weights, the plugin that made it and its settings, read back without running anything."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from facekit.errors import ConfigError, FacekitError, WrongInput
from facekit.output import replacing
from facekit.records.named_inputs import describe_path, require_file, require_there
from facekit.train.plugin import PackFacts, Plugin, load_plugin
from facekit.train.public_weights import Translated, translated, unpacked
from facekit.train.recipe import Settings, settings_of

__all__ = [
    "MODEL",
    "Model",
    "describe",
    "init_sentences",
    "load_file",
    "load_initial_weights",
    "open_model",
    "save_file",
]

FORMAT = 1
MOST_CLASSES, LARGEST_SIDE = 1 << 31, 4096
MODEL, CHECKPOINTS, COMMON = "model.pt", "checkpoints", "common.pt"


@dataclass(frozen=True)
class Model:
    """What was trained.

    Attributes
    ----------
    name : str
        Of the plugin.
    plugin : Plugin
    settings : Settings
    network : nn.Module
        With its weights (the averaged ones, if there was an average), in evaluation mode, on the CPU.
    image_size : (int, int)
        Height and width, pixels.
    class_counts : (C,) int64 or None
        Training images of each class; None in files of before they were written.
    """

    name: str
    plugin: Plugin
    settings: Settings
    network: nn.Module
    image_size: tuple[int, int]
    class_counts: NDArray[np.int64] | None = None


def describe(name: str, settings: Settings, facts: PackFacts) -> dict[str, Any]:
    """What a file of weights says besides the weights.

    Parameters
    ----------
    name : str
        Of the plugin.
    settings : Settings
    facts : PackFacts

    Returns
    -------
    description : dict
        Numbers, texts, and the counts of the classes as a tensor.
    """
    given = json.dumps(asdict(settings.train) | asdict(settings.plugin))
    return {
        "format": FORMAT,
        "plugin": name,
        "settings": given,
        "classes": len(facts.class_counts),
        "image_size": list(facts.image_size),
        "class_counts": torch.tensor(facts.class_counts),
    }


def save_file(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors aside, and rename when they are on the disk.

    Parameters
    ----------
    content : mapping
        Tensors, numbers and texts, which `load_file` reads.
    path : Path
        Is replaced.
    """
    with replacing(path) as file:
        torch.save(dict(content), file)


def load_file(path: Path) -> dict[str, Any]:
    """Read tensors, numbers and texts; nothing in the file is executed.

    Raises
    ------
    ConfigError
        There is no such file.
    FacekitError
        It cannot be read.
    """
    require_file(path, "weights of torch", "name a .pt file")
    try:
        recent = zipfile.is_zipfile(path)  # what torch wrote before 1.6 cannot be mapped
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=recent)
    except pickle.UnpicklingError as error:
        _refuse_other_kind(path)
        raise FacekitError(
            f"{path} cannot be read as weights: it holds something else than tensors, numbers and texts, and nothing "
            "in it is executed; save its state_dict alone"
        ) from error
    except Exception as error:  # the unpickler raises whatever the bytes lead it to
        _refuse_other_kind(path)
        raise FacekitError(f"{path} cannot be read as weights: {error}") from error
    return content


def _refuse_other_kind(path: Path) -> None:
    """Refuse what is no file of torch's by its first bytes: what torch says of it helps nobody."""
    what = describe_path(path)
    if what not in ("weights of torch", "a file of another kind"):
        raise WrongInput(f"it is {what}, not weights of torch: name a .pt file", path)


def open_model(path: str | os.PathLike[str]) -> Model:
    """Open what ``facekit train`` wrote: its folder, a checkpoint in it, or a ``.pt`` file.

    Raises
    ------
    ConfigError
        It is none of these, or its plugin is not installed.
    FacekitError
        The file cannot be read.
    """
    file = weights_file(Path(path))
    content = load_file(file)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConfigError(f"{file} is no model of facekit's, or of another version")
    name, given, facts = _description(content, file)
    weights = _state_dict(content, str(file))
    plugin = load_plugin(name)
    try:
        settings = settings_of(plugin, given)
        _check_shapes(plugin, settings, facts, weights)
        network = plugin.build_network(settings.plugin, facts)
        network.load_state_dict(weights)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    except RuntimeError as error:
        raise FacekitError(f"{file} does not fit the network of plugin {name}: {_in_short(str(error))}") from error
    return Model(name, plugin, settings, network.eval(), facts.image_size, _class_counts(content, facts))


def _class_counts(content: Mapping[str, Any], facts: PackFacts) -> NDArray[np.int64] | None:
    """Training images of each class, if the file says them."""
    counts = content.get("class_counts")
    if not torch.is_tensor(counts) or counts.shape != facts.class_counts.shape or counts.dtype != torch.int64:
        return None
    return np.asarray(counts.numpy())


def _description(content: Mapping[str, Any], file: Path) -> tuple[str, dict[str, Any], PackFacts]:
    """Name of the plugin, its settings and the pack's facts, of a file that anybody may have written."""

    def refuse(name: str, wanted: str) -> ConfigError:
        return ConfigError(f"{file}: {name} is {_shown(content.get(name))}; it must be {wanted}: the file is damaged")

    if not isinstance(content.get("plugin"), str):
        raise refuse("plugin", "the name of a plugin")
    try:
        given = json.loads(content.get("settings", ""))
    except (TypeError, ValueError, RecursionError):
        raise refuse("settings", "a JSON object") from None
    if not isinstance(given, dict):
        raise refuse("settings", "a JSON object")
    classes, size = content.get("classes"), content.get("image_size")
    if type(classes) is not int or not 1 <= classes <= MOST_CLASSES:
        raise refuse("classes", f"a whole number from 1 to {MOST_CLASSES:,}")
    if not (isinstance(size, (list, tuple)) and len(size) == 2 and all(type(one) is int for one in size)):
        raise refuse("image_size", "height and width")
    if not all(1 <= one <= LARGEST_SIDE for one in size):
        raise refuse("image_size", f"from 1 to {LARGEST_SIDE} pixels a side")
    counts = np.broadcast_to(np.int64(1), (classes,))  # no memory, however many
    return content["plugin"], given, PackFacts(counts, (size[0], size[1]))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_shapes(plugin: Plugin, settings: Settings, facts: PackFacts, weights: Mapping[str, torch.Tensor]) -> None:
    """Compare names and shapes with those of the network before any memory is taken for it.

    Raises
    ------
    RuntimeError
        As `torch.nn.Module.load_state_dict` does.
    """
    try:
        with torch.device("meta"):
            outline = plugin.build_network(settings.plugin, facts)
    except ConfigError:
        raise
    except Exception:  # a plugin that computes with its first weights: these say later whether they fit
        return
    wanted = outline.state_dict()
    shapes = {name: torch.empty_like(value, device="meta") for name, value in weights.items()}
    if set(shapes) != set(wanted) or any(shapes[name].shape != value.shape for name, value in wanted.items()):
        outline.load_state_dict(shapes)


def _state_dict(content: Mapping[str, Any], where: str) -> dict[str, torch.Tensor]:
    """The averaged weights of a model or checkpoint by name, or where there are none the others.

    Raises
    ------
    ConfigError
        It holds something else.
    """
    average = content.get("average")
    found = average if isinstance(average, Mapping) and average else content.get("network")
    if not isinstance(found, Mapping) or not found or not all(map(torch.is_tensor, found.values())):
        raise ConfigError(f"{where} holds no weights by name: give OUT of a run, a checkpoint, or a model.pt")
    return {str(name): value for name, value in found.items()}


def weights_file(path: Path) -> Path:
    """The file with the weights.

    Parameters
    ----------
    path : Path
        A run's folder (its ``model.pt``, or that of its last checkpoint), a checkpoint, or a file, which is itself.

    Raises
    ------
    ConfigError
        There is none.
    """
    if path.is_file():
        return path
    finished = sorted((path / CHECKPOINTS).glob("[0-9]*"))
    for candidate in (path / MODEL, path / COMMON, *(folder / COMMON for folder in finished[-1:])):
        if candidate.is_file():
            return candidate
    require_there(path, "run of facekit train")
    what = f"{path} is {describe_path(path)}: it"
    raise ConfigError(f"{what} holds no {MODEL} and no checkpoint; give what facekit train wrote")


def load_initial_weights(network: nn.Module, path: str) -> list[str]:
    """Start from other weights: facekit's own, or those of a public backbone, see `facekit.train.public_weights`.

    Returns
    -------
    list of str
        Sentences about what was changed, assumed or left over.

    Raises
    ------
    ConfigError
        They are of another architecture.
    """
    found = _weights_in(load_file(weights_file(Path(path))), path)
    state = found.state
    wrapped = all(name.startswith("network.") for name in state)
    inner: Any = network.network if wrapped and hasattr(network, "network") else network
    try:
        if set(state) != set(network.state_dict()) and hasattr(inner, "load_backbone"):
            with torch.no_grad():
                inner.load_backbone({n.removeprefix("network.") if wrapped else n: v for n, v in state.items()})
        else:
            network.load_state_dict(state)
    except (RuntimeError, ConfigError) as error:
        kind = f"of {found.backbone}: --set backbone={found.backbone}" if found.backbone else "of another"
        raise ConfigError(
            f"--init {path} does not fit this network, these are weights {kind}: {_in_short(str(error))}"
        ) from error
    return [f"--init {path}: {sentence}" for sentence in found.sentences()]


def init_sentences(path: str) -> list[str]:
    """What `load_initial_weights` will say, from the file alone.

    Parameters
    ----------
    path : str
    """
    found = _weights_in(load_file(weights_file(Path(path))), path)
    return [f"--init {path}: {sentence}" for sentence in found.sentences()]


def _weights_in(content: Any, path: str) -> Translated:
    """Weights by facekit's names, without what DataParallel puts before the names."""
    if isinstance(content, dict) and "network" in content:
        return Translated(_state_dict(content, f"--init {path}"))
    packed = unpacked(content)
    if not isinstance(packed, Mapping) or not packed or not all(map(torch.is_tensor, packed.values())):
        raise ConfigError(
            f"--init {path} holds no weights by name: give OUT of a run, a checkpoint, or a backbone.pt (a state_dict)"
        )
    return translated({str(name).removeprefix("module."): value for name, value in packed.items()})


def _in_short(said: str) -> str:
    """The first names of each line of what torch says, which lists every weight."""
    lines = [line.strip().rstrip(".") for line in said.splitlines() if line.strip()]
    short = []
    for line in lines[1:4] if len(lines) > 1 else lines:
        names = line.split(", ")
        more = len(names) - 3
        short.append(line if not line.endswith('"') or more <= 0 else f"{', '.join(names[:3])} and {more} more")
    return "; ".join(short)
