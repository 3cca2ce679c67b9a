"""What facekit logs, on stderr: as text or as JSON lines, with progress or without."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timezone

import click

from facekit.cli.printing import echo, printable

__all__ = ["log_to_stderr", "say_error", "with_log_options"]

PROGRESS = "facekit.run.progress"
"""The logger of progress lines: the one whose INFO is shown."""

Turn = Callable[[click.Context, click.Parameter, bool], None]

_json = False


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _Json(logging.Formatter):
    """A record as one line: time, level, logger, message, and whatever fields it has."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        return _line(record.levelname, record.name, super().format(record), fields, record.created)


def _line(level: str, logger: str, message: str, fields: dict[str, object], created: float) -> str:
    when = datetime.fromtimestamp(created, timezone.utc).isoformat(timespec="milliseconds")
    return json.dumps({"time": when, "level": level.lower(), "logger": logger, "message": message, **fields})


def log_to_stderr() -> None:
    """Show warnings and progress as text, where nobody set logging up otherwise."""
    _show(logging.INFO, as_json=False, bars=True)


def _show(level: int, as_json: bool, bars: bool) -> None:
    from facekit.run.progress import draw_bars

    global _json
    _json = as_json
    draw_bars(bars)
    logging.getLogger(PROGRESS).setLevel(level)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Json() if as_json else _Text())
        logging.lastResort.setLevel(level)


def _be_quiet(_context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        _show(logging.WARNING, _json, bars=False)


def _log_as_json(_context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        _show(logging.getLogger(PROGRESS).level, as_json=True, bars=False)


def say_error(text: str) -> None:
    """Print what a command ends with, as JSON where that is asked for."""
    if _json:
        now = datetime.now(timezone.utc).timestamp()
        text = _line("ERROR", "facekit.cli", text.removeprefix("facekit: "), {}, now)
    echo(text, err=True)


def with_log_options(command: click.Command) -> click.Command:
    """Give a command, or each command of a group, ``--quiet`` and ``--log-json``; they are explained once, above."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_log_options(inner)
    elif not any(option.name == "log_json" for option in command.params):
        command.params += log_options(hidden=True)
    return command


def log_options(hidden: bool = False) -> list[click.Parameter]:
    """The two options; both take effect at once and reach no command."""
    return [
        _flag("--quiet", "Show no progress, neither a bar nor lines.", _be_quiet, hidden),
        _flag("--log-json", "Log progress, warnings and errors as JSON lines.", _log_as_json, hidden),
    ]


def _flag(name: str, words: str, turn: Turn, hidden: bool) -> click.Option:
    return click.Option(
        [name], is_flag=True, expose_value=False, is_eager=True, help=words, callback=turn, hidden=hidden
    )
