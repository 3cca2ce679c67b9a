"""The plugin contract: what a method of training is, and how facekit finds the installed ones.

A distribution offers a method by an entry point of the group ``facekit.plugins`` whose value is an object with the
attributes of `Plugin`. It builds networks and losses and does one step; it has no loop and touches no file. Importing
its module must not import torch, so that the methods can be listed at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from facekit.errors import ConfigError, did_you_mean
from facekit.train.config import LoopConfig

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from facekit.train.classifier import Classifier

__all__ = [
    "API_VERSION",
    "Batch",
    "Embedding",
    "PackFacts",
    "Plugin",
    "PluginEntry",
    "Step",
    "find_plugins",
    "load_plugin",
]

API_VERSION = 2
GROUP = "facekit.plugins"
NEEDED = (
    "summary", "config", "recipes", "build_network", "build_head", "training_step", "embed", "export_inputs",
    "config_warnings",
)  # fmt: skip


@dataclass(frozen=True)
class PackFacts:
    """What a plugin may know about the pack.

    Attributes
    ----------
    class_counts : (C,) int64
        Training images of each class in the whole pack.
    image_size : (int, int)
        Height and width, pixels.
    masked_share : float or None
        Share of the images that wear a mask by the ledger; None without a ledger.
    """

    class_counts: NDArray[np.int64]
    image_size: tuple[int, int]
    masked_share: float | None = None


class Batch(NamedTuple):
    """What a step is given, on the device that trains."""

    image: torch.Tensor
    """(B, 3, H, W) float32, RGB in [-1, 1]."""
    label: torch.Tensor
    """(B,) int64."""
    masked: torch.Tensor
    """(B,) bool."""


class Step(NamedTuple):
    """What a step gives back."""

    loss: torch.Tensor
    """() with gradient."""
    measures: Mapping[str, torch.Tensor]
    """() each, detached: for the log."""


class Embedding(NamedTuple):
    """What a network says about pictures."""

    vector: torch.Tensor
    """(B, D), not normalised."""
    uncertainty: torch.Tensor | None = None
    """(B,) norm of sigma."""


class Plugin(Protocol):
    """A method of training.

    Attributes
    ----------
    api_version : int
        `API_VERSION` of the facekit that it was written for.
    summary : str
        One line.
    config : type
        A frozen dataclass whose fields all have defaults that JSON can hold; ``dimensions``, the length of an
        embedding, is one of them. None has a name of `facekit.train.config.LoopConfig`'s.
    recipes : mapping
        Names to settings of ``config`` and of `facekit.train.config.LoopConfig`, side by side; the first by default.
    needs_init : bool, optional
        It makes nothing of random weights: a run needs some to start from.
    renamed_settings : mapping, optional
        Former names of settings to those of now: recipes and models that were written with them are still read.
    """

    api_version: int
    summary: str
    config: type
    recipes: Mapping[str, Mapping[str, Any]]

    def build_network(self, config: Any, facts: PackFacts) -> torch.nn.Module:
        """The network.

        Parameters
        ----------
        config : its own settings
        facts : PackFacts

        Returns
        -------
        network : nn.Module
            On the CPU. Under ``torch.device("meta")`` too, where only shapes are asked for.
        """

    def build_head(self, config: Any, facts: PackFacts) -> torch.nn.Module:
        """The loss without the classifier's weights.

        Parameters
        ----------
        config : its own settings
        facts : PackFacts

        Returns
        -------
        head : nn.Module
            What it keeps in buffers and parameters is saved and resumed. It warns (UserWarning) of settings that do not
            fit.
        """

    def training_step(
        self, config: Any, network: torch.nn.Module, head: torch.nn.Module, classifier: Classifier, batch: Batch
    ) -> Step:
        """One forward pass.

        Parameters
        ----------
        config : its own settings
        network : nn.Module
            May be wrapped: call it, and touch no attribute of it.
        head : nn.Module
        classifier : Classifier
        batch : Batch
            On the device that trains.

        Returns
        -------
        step : Step
        """

    def embed(self, config: Any, network: torch.nn.Module, image: torch.Tensor, masked: torch.Tensor) -> Embedding:
        """Embed pictures.

        Parameters
        ----------
        config : its own settings
        network : nn.Module
            In evaluation mode.
        image : (B, 3, H, W) float32 tensor
            RGB in [-1, 1].
        masked : (B,) bool tensor

        Returns
        -------
        embedding : Embedding
        """

    def export_inputs(self, config: Any) -> tuple[str, ...]:
        """Inputs of an exported file: ``("image",)`` or ``("image", "mask_flag")``.

        Parameters
        ----------
        config : its own settings
        """

    def config_warnings(self, config: Any, train: Any, facts: PackFacts) -> list[str]:
        """Sentences about settings that contradict each other or the pack.

        Parameters
        ----------
        config : its own settings
        train : LoopConfig
        facts : PackFacts
        """


class PluginEntry(NamedTuple):
    """An entry point: a plugin, or why it is none."""

    name: str
    distribution: str
    plugin: Plugin | None
    problem: str | None


def find_plugins() -> list[PluginEntry]:
    """All entry points of the group, by name; those that cannot be used say why."""
    found = entry_points(group=GROUP)
    return sorted(map(_load, found), key=lambda one: one.name)


def load_plugin(name: str) -> Plugin:
    """The plugin of a name.

    Raises
    ------
    ConfigError
        There is none, or it cannot be used.
    """
    named = [point for point in entry_points(group=GROUP) if point.name == name]
    if not named:
        names = sorted(entry_points(group=GROUP).names)
        near = did_you_mean(name, names)
        raise ConfigError(f"there is no plugin {name!r}; installed are: {', '.join(names) or 'none'}{near}")
    if len({point.value for point in named}) > 1:
        raise ConfigError(f"plugin {name!r} comes from {' and '.join(map(_origin, named))}: uninstall one of them")
    loaded = _load(named[0])
    if loaded.plugin is None:
        raise ConfigError(f"plugin {name!r} of {loaded.distribution} cannot be used: {loaded.problem}")
    return loaded.plugin


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "?"


def _load(point: EntryPoint) -> PluginEntry:
    origin = _origin(point)
    try:
        plugin = point.load()
        problem = _problem(plugin)
    except (Exception, SystemExit) as error:  # whatever somebody else's module raises
        return PluginEntry(point.name, origin, None, f"{type(error).__name__}: {error}")
    return PluginEntry(point.name, origin, None if problem else plugin, problem)


def _problem(plugin: Any) -> str | None:
    version = getattr(plugin, "api_version", None)
    if version != API_VERSION:
        return f"it was written for version {version} of the contract; this facekit has version {API_VERSION}"
    missing = [name for name in NEEDED if not hasattr(plugin, name)]
    if missing:
        return f"it lacks {', '.join(missing)}"
    if not isinstance(plugin.summary, str):
        return "its summary is not a text"
    return _problem_of_config(plugin.config) or _problem_of_recipes(plugin.recipes)


def _problem_of_config(config: Any) -> str | None:
    if not isinstance(config, type) or not is_dataclass(config):
        return "its config is not a dataclass"
    names = {field.name for field in fields(config)}
    if "dimensions" not in names:
        return "its config has no field dimensions"
    taken = sorted(names & {field.name for field in fields(LoopConfig)})
    if taken:
        return f"its config has {', '.join(taken)}, which the loop has too: --set could mean either; rename"
    try:
        defaults = config()
    except Exception as error:  # whatever somebody else's class raises
        return f"its config cannot be made of defaults alone: {type(error).__name__}: {error}"
    return _problem_of_json("its config", asdict(defaults))


def _problem_of_recipes(recipes: Any) -> str | None:
    if not isinstance(recipes, Mapping):
        return f"its recipes are a {type(recipes).__name__}; they must be a mapping of names to settings"
    for name, settings in recipes.items():
        if not isinstance(name, str) or not isinstance(settings, Mapping):
            return f"its recipe {name!r} is no mapping of settings to values, or its name is no text"
        problem = _problem_of_json(f"its recipe {name}", settings)
        if problem:
            return problem
    return None if recipes else "it has no recipe"


def _problem_of_json(where: str, settings: Mapping[str, Any]) -> str | None:
    """Settings are written into checkpoints, exports and lists as JSON."""
    for name, value in settings.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            return f"{where} has {name} = {value!r}, a {type(value).__name__}, which JSON cannot hold"
    return None
