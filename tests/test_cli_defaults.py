"""An option that is not given is the default of the job's settings: one truth, whether a person or a program asks."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from typing import Any, NamedTuple

import click
import pytest
from click.core import ParameterSource

from facekit.cli import COMMANDS


class Job(NamedTuple):
    """Where a command hands its settings to, and the arguments that it cannot do without."""

    home: str
    function: str
    arguments: tuple[str, ...]


JOBS = {
    "mask": Job("facekit.jobs.mask.job", "mask", ("SRC", "DST")),
    "synth": Job("facekit.jobs.synth.job", "synth", ("DST",)),
    "pack": Job("facekit.jobs.pack.job", "pack", ("SRC", "DST")),
    "embed": Job("facekit.jobs.embed.job", "embed", ("SRC", "DST", "--model", "model.onnx")),
    "clean": Job("facekit.jobs.clean.job", "clean", ("SRC", "DST", "--features", "F")),
    "apply": Job("facekit.jobs.clean.apply", "apply", ("SRC", "DECISIONS", "DST")),
    "lists export": Job("facekit.jobs.lists.job", "export_list", ("CLEANED", "LIST")),
    "lists merge": Job("facekit.jobs.lists.merge", "merge_lists", ("A", "B", "DST")),
    "lists sign": Job("facekit.jobs.lists.signature", "sign", ("LIST", "--key", "KEY")),
    "sweep": Job("facekit.jobs.clean.sweep", "sweep", ("SRC", "F")),
    "review": Job("facekit.jobs.clean.report", "open_review", ("DIR",)),
    "eval": Job("facekit.jobs.evaluate.job", "evaluate", ("model.onnx", "--pairs", "lfw.bin")),
    "convert": Job("facekit.jobs.packs.convert", "convert", ("SRC", "DST")),
    "cost": Job("facekit.jobs.cost.job", "cost", ()),
    "check": Job("facekit.jobs.packs.check", "check", ("SRC",)),
    "inspect": Job("facekit.jobs.packs.inspect", "inspect", ("SRC",)),
    "unpack": Job("facekit.jobs.packs.unpack", "unpack", ("SRC", "DST")),
    "merge": Job("facekit.jobs.packs.merge", "merge", ("A", "B", "DST")),
    "split": Job("facekit.jobs.packs.split", "split", ("SRC", "DST", "--test", "0.1")),
    "passport": Job("facekit.jobs.passport.job", "make_passport", ("PACK",)),
    "overlap": Job("facekit.jobs.overlap.job", "overlap", ("A", "B")),
    "reindex": Job("facekit.jobs.packs.reindex", "reindex", ("SRC",)),
    "bins make": Job("facekit.jobs.packs.bins", "make_bins", ("LIST", "SRC", "DST")),
    "bins draw": Job("facekit.jobs.packs.bins", "draw_bins", ("SRC", "DST")),
    "bins show": Job("facekit.jobs.packs.bins_show", "show_bins", ("SRC",)),
    "benchmark make": Job("facekit.jobs.benchmark.job", "make_benchmark", ("DST",)),
    "benchmark run": Job("facekit.jobs.benchmark.run", "run_benchmark", ("BENCH", "model.onnx")),
    "benchmark score-cleaning": Job(
        "facekit.jobs.benchmark.cleaning", "score_result", ("BENCH", "mine.csv", "--task", "drawn")
    ),
    "train": Job("facekit.jobs.train.job", "train", ("bcl", "SRC", "OUT")),
    "export": Job("facekit.jobs.train.export", "export", ("RUN", "model.onnx")),
    "selflearn": Job("facekit.jobs.selflearn.job", "selflearn", ("SRC", "OUT")),
}
"""Commands by their words. A new command belongs here, or below where it has no settings."""

WITHOUT_SETTINGS = {"doctor", "textures list", "textures preview", "textures check", "diff", "explain", "plugins",
                    "lists show", "lists diff"}  # fmt: skip
"""Commands whose job takes plain arguments; their options are switches, or defaults of `FUNCTIONS`."""

FUNCTIONS = {("textures preview", "seed"): ("facekit.jobs.textures.job", "preview")}

ON_PURPOSE = {"workers": len(os.sched_getaffinity(0))}
"""A person at a machine means all of its processors; a program says how many."""


class Caught(Exception):
    """Carries the settings out of the command."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings


def commands() -> dict[str, click.Command]:
    found = {}
    for name in COMMANDS:
        command: click.Command = import_module(f"facekit.cli.{name}").command
        parts = getattr(command, "commands", None)
        found |= {name: command} if parts is None else {f"{name} {part}": each for part, each in parts.items()}
    return found


def differences(settings: Any, path: str = "") -> Iterator[str]:
    """What is not the default of its class, in nested settings too; what has no default is what was given."""
    for field in fields(settings):
        name, value = f"{path}{field.name}", getattr(settings, field.name)
        if is_dataclass(value):
            yield from differences(value, name + ".")
        elif field.default is MISSING and field.default_factory is MISSING:
            continue
        else:
            default = field.default if field.default_factory is MISSING else field.default_factory()
            if value != default and value != ON_PURPOSE.get(field.name, default):
                yield f"{name} is {value!r} by the option's default, {default!r} in {type(settings).__name__}"


def test_every_command_is_known() -> None:
    assert set(JOBS) | WITHOUT_SETTINGS == set(commands())
    assert not set(JOBS) & WITHOUT_SETTINGS


@pytest.mark.parametrize("name", JOBS)
def test_an_option_that_is_not_given_is_the_default_of_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job, command = JOBS[name], commands()[name]

    def catch(settings: Any, *rest: Any) -> None:
        raise Caught(settings)

    monkeypatch.setattr(f"{job.home}.{job.function}", catch)
    context = command.make_context(name.split()[-1], list(job.arguments))
    with context, pytest.raises(Caught) as caught:
        command.invoke(context)
    given = {n for n in context.params if context.get_parameter_source(n) == ParameterSource.COMMANDLINE}
    found = [line for line in differences(caught.value.settings) if line.split()[0] not in given]
    assert not found


@pytest.mark.parametrize("name", sorted(WITHOUT_SETTINGS))
def test_options_of_other_commands_are_switches_or_defaults_of_a_function(name: str) -> None:
    command = commands()[name]
    required = [each for each in command.params if isinstance(each, click.Argument) and each.required]
    context = command.make_context(name.split()[-1], ["1"] * len(required))
    for option, default in context.params.items():
        if context.get_parameter_source(option) == ParameterSource.DEFAULT and default not in (None, False, ()):
            home, function = FUNCTIONS[name, option]
            assert default == inspect.signature(getattr(import_module(home), function)).parameters[option].default
