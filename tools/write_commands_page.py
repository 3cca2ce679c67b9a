"""Write docs/commands.md from the help texts of the commands: ``python tools/write_commands_page.py [FILE]``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from facekit.cli import COMMANDS, program

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
HEAD = """# Commands

Made from the help texts by `make docs`; a test holds the two together.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 bad data, 2 bad usage, 130 interrupted.
"""


def page() -> str:
    """The whole page."""
    sections = [f"## facekit {name}\n\n```text\n{help_of(name)}\n```\n" for name in COMMANDS]
    return "\n".join([HEAD, *sections])


def help_of(name: str) -> str:
    """What ``facekit NAME --help`` prints at a width of 100 characters."""
    command: click.Command = import_module(f"facekit.cli.{name}").command
    parent = click.Context(program, info_name="facekit", **program.context_settings)
    context = click.Context(command, parent, info_name=name, terminal_width=100, max_content_width=100)
    return command.get_help(context).rstrip()


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page(), "utf-8")
