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

Every command takes two options more. On a terminal progress is a bar; elsewhere a job that takes longer than ten
seconds logs a line at each tenth of it and once a minute, and `--quiet` leaves both out. With `--log-json` progress,
warnings and errors are JSON lines on stderr with time, level, logger and message, progress also with title, unit, done,
total, rate (a second), seconds_left and refused, which is null where a job cannot refuse anything.

Names of commands and options are completed by the shell after one of these lines, in its startup file or for a session:

```sh
eval "$(_FACEKIT_COMPLETE=bash_source facekit)"      # bash 4.4 or later: ~/.bashrc
eval "$(_FACEKIT_COMPLETE=zsh_source facekit)"       # zsh: ~/.zshrc
_FACEKIT_COMPLETE=fish_source facekit | source       # fish: ~/.config/fish/config.fish
```
"""


def page() -> str:
    """The whole page."""
    sections = [f"## facekit {name}\n\n```text\n{help_of(name)}\n```\n" for name in every_command()]
    return "\n".join([HEAD, *sections])


def every_command() -> list[str]:
    """The commands, each followed by those it groups: ``textures``, ``textures list``."""
    names = []
    for name in COMMANDS:
        command = import_module(f"facekit.cli.{name}").command
        grouped = command.commands if isinstance(command, click.Group) else {}
        names += [name, *(f"{name} {inner}" for inner in grouped)]
    return names


def help_of(name: str) -> str:
    """What ``facekit NAME --help`` prints at a width of 100 characters."""
    outer, _, inner = name.partition(" ")
    command: click.Command = import_module(f"facekit.cli.{outer}").command
    context = click.Context(program, info_name="facekit", **program.context_settings)
    for part in (outer, inner) if inner else (outer,):
        command = command.commands[part] if part == inner and isinstance(command, click.Group) else command
        context = click.Context(command, context, info_name=part, terminal_width=100, max_content_width=100)
    return command.get_help(context).rstrip()


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page(), "utf-8")
