"""``facekit plugins``."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.named_json import to_json
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.train.plugin import PluginEntry

__all__ = ["PluginFacts", "command"]


@dataclass(frozen=True)
class PluginFacts:
    """A plugin for programs.

    Attributes
    ----------
    name : str
        As ``facekit train`` takes it.
    distribution : str
        Which installed it.
    problem : str or None
        Why it cannot be used; null where it can.
    summary : str or None
        What it trains, in a sentence; null where it cannot be used, as are the next two.
    recipes : dict or None
        Name to settings.
    settings : dict or None
        Every setting with its default.
    """

    name: str
    distribution: str
    problem: str | None
    summary: str | None = None
    recipes: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None


@click.command("plugins", short_help="List the training plugins and their recipes.")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the training plugins and their recipes; with NAME, the settings of one.

    Other distributions offer plugins by an entry point of the group facekit.plugins. One that cannot be used is listed
    with the reason.

    \b
    Examples:
      facekit plugins
      facekit plugins bcl
    """
    from facekit.errors import ConfigError, did_you_mean
    from facekit.train.plugin import find_plugins

    every = find_plugins()
    found = [one for one in every if name in (None, one.name)]
    if name is not None and not found:
        near = did_you_mean(name, [one.name for one in every])
        raise ConfigError(f"there is no plugin {name!r}; facekit plugins lists them{near}")
    if as_json:
        echo(to_json([facts_of(one) for one in found]))
    else:
        echo("\n".join(line for one in found for line in lines_of(one, name is not None)) or "no plugin")


def facts_of(found: PluginEntry) -> PluginFacts:
    """What is known about a plugin."""
    if found.plugin is None:
        return PluginFacts(found.name, found.distribution, found.problem)
    recipes = {name: dict(recipe) for name, recipe in found.plugin.recipes.items()}
    return PluginFacts(
        found.name, found.distribution, found.problem, found.plugin.summary, recipes, asdict(found.plugin.config())
    )


def lines_of(found: PluginEntry, whole: bool) -> list[str]:
    """A plugin for a person."""
    if found.plugin is None:
        return [f"{found.name}  ({found.distribution})  cannot be used: {found.problem}"]
    lines = [f"{found.name}  ({found.distribution})  {found.plugin.summary}", f"  {', '.join(found.plugin.recipes)}"]
    return lines + settings_lines(found.plugin.config) if whole else lines


def settings_lines(config: type) -> list[str]:
    """The settings of a plugin with their defaults, choices and meaning."""
    from facekit.run.described import described_fields

    lines = []
    for one in described_fields(config):
        lines.append(f"  {one.name} = {one.default}  ({one.kind})")
        lines += [f"      {line}" for line in textwrap.wrap(one.meaning, 100)]
    return lines
