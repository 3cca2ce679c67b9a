"""Write docs/settings.md from the docstrings of the settings: ``python tools/write_settings_page.py [FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path

from facekit.clean.settings import CleanSettings
from facekit.jobs.selflearn.config import SelfLearnConfig
from facekit.run.described import described_fields
from facekit.train.backbones import BACKBONES
from facekit.train.config import LoopConfig
from facekit.train.plugin import find_plugins

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# Settings

Made from the docstrings by `make docs`; a test holds the two together.

A recipe (TOML) and `--set key=value` of `facekit train` and `facekit selflearn` take the settings of the plugin and of
the loop side by side. Lists are written with commas. `facekit plugins bcl` shows a plugin's settings in the terminal.
"""
OWN = ("bcl", "maskdul", "pfe")


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for one in find_plugins():
        if one.name in OWN and one.plugin is not None:
            recipes = ", ".join(f"`{name}`" for name in one.plugin.recipes)
            head = f"## Plugin {one.name}\n\n{one.plugin.summary} Recipes: {recipes}.\n"
            parts += [head, table_of(one.plugin.config)]
    parts += [f"Backbones: {', '.join(f'`{name}`' for name in BACKBONES)}.\n", "## The loop\n", table_of(LoopConfig)]
    parts += ["## Self-learning\n\nWhat `facekit selflearn` is asked to do; its options have the same names.\n"]
    parts += [table_of(SelfLearnConfig), "## Cleaning\n", table_of(CleanSettings)]
    return "\n".join(parts)


def table_of(settings: type) -> str:
    """A row for each setting."""
    rows = ["| setting | kind or choices | default | meaning |", "|---|---|---|---|"]
    for one in described_fields(settings):
        default = f"`{one.default}`" if one.default and len(one.default) < 40 else ""
        kind, meaning = (text.replace("``", "`").replace("|", "\\|") for text in (one.kind, one.meaning))
        rows.append(f"| `{one.name}` | {kind} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page(), "utf-8")
