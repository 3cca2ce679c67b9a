"""Recipes: names, files and ``key=value`` to the two frozen configs of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from facekit.errors import ConfigError, did_you_mean
from facekit.records.named_inputs import describe_path, require_text
from facekit.run.user_files import read_toml
from facekit.train.config import LoopConfig
from facekit.train.plugin import Plugin

__all__ = ["Settings", "read_settings", "settings_of"]

MOST_DIMENSIONS = 1 << 16


class Settings(NamedTuple):
    """What a run is to do."""

    train: LoopConfig
    plugin: Any
    """Of the plugin's own class."""


def read_settings(plugin: Plugin, recipe: str | None = None, given: Sequence[str] = ()) -> Settings:
    """Settings from a recipe and what was changed in it.

    Parameters
    ----------
    plugin : Plugin
    recipe : str, optional
        A name of the plugin's, or a TOML file; by default the plugin's first.
    given : sequence of str
        ``key=value``, the fields of the plugin's config or the loop's.

    Raises
    ------
    ConfigError
        There is no such recipe or field, or a value is not allowed.
    """
    found = dict(_recipe(plugin, recipe))
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: write key=value")
        found[name.strip()] = value.strip()
    return settings_of(plugin, found)


def settings_of(plugin: Plugin, given: Mapping[str, Any]) -> Settings:
    """Settings from fields of both configs, side by side; texts are read as what the field holds.

    Raises
    ------
    ConfigError
        There is no such field, or a value is not allowed.
    """
    renamed = getattr(plugin, "renamed_settings", {})
    given = {renamed.get(name, name): value for name, value in given.items()}
    homes = {field.name: kind for kind in (LoopConfig, plugin.config) for field in fields(kind)}
    unknown = sorted(set(given) - set(homes))
    if unknown:
        near = did_you_mean(unknown[0], homes)
        raise ConfigError(f"there is no setting {unknown[0]!r}; there are {', '.join(sorted(homes))}{near}")
    hints = {kind: get_type_hints(kind) for kind in (LoopConfig, plugin.config)}
    parts: dict[type, dict[str, Any]] = {LoopConfig: {}, plugin.config: {}}
    for name, value in given.items():
        parts[homes[name]][name] = _as(name, value, hints[homes[name]][name])
    own = plugin.config(**parts[plugin.config])
    _check_own(own)
    return Settings(LoopConfig(**parts[LoopConfig]), own)


def _check_own(own: Any) -> None:
    """What every plugin calls alike; torch says nothing, or nothing that can be understood."""
    if not 1 <= own.dimensions <= MOST_DIMENSIONS:
        raise ConfigError(
            f"dimensions is {own.dimensions}; it must be at least 1 and at most {MOST_DIMENSIONS} (usual: 128 to 512)"
        )
    dropout = getattr(own, "dropout", 0.0)
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout is {dropout}; it must be from 0 to below 1")


def _recipe(plugin: Plugin, recipe: str | None) -> Mapping[str, Any]:
    if recipe is None:
        return next(iter(plugin.recipes.values()))
    if recipe in plugin.recipes:
        return plugin.recipes[recipe]
    if Path(recipe).suffix != ".toml":
        if os.path.exists(recipe):
            require_text(recipe, "a recipe", "give a .toml file")
        near = did_you_mean(recipe, plugin.recipes)
        names = ", ".join(plugin.recipes)
        found = f" (at that path is {describe_path(recipe)})" if os.path.exists(recipe) else ""
        raise ConfigError(f"there is no recipe {recipe!r}{found}; there are {names}, or give a .toml file{near}")
    require_text(recipe, "a recipe", "give a .toml file")
    try:
        return read_toml(Path(recipe))
    except ConfigError as error:
        raise ConfigError(f"recipe {error}") from error


def _as(name: str, value: Any, kind: Any) -> Any:
    """A value as what a field holds: numbers, words, booleans, and tuples of them."""
    if get_origin(kind) is UnionType:  # optional
        if value in (None, "none"):
            return None
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)):
            raise ConfigError(f"{name} is {value!r}; it must be a list: [{value!r}]")
        return tuple(_as(name, part, get_args(kind)[0]) for part in parts)
    if kind is bool and isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise ConfigError(f"{name} is {value!r}; it must be true or false")
        return value.lower() == "true"
    wrong = ConfigError(f"{name} is {value!r}; it must be of type {getattr(kind, '__name__', kind)}")
    if not _converts(value, kind):
        raise wrong
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        raise wrong from None


def _converts(value: Any, kind: Any) -> bool:
    """Whether the value of a TOML file can become what a field holds, and nothing of it is lost."""
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    if kind is str:
        return isinstance(value, str)
    return not (kind is int and isinstance(value, float) and not value.is_integer())
