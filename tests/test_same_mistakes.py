"""The same mistake ends every command in the same way: exit code 2, and one message that names it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click
import pytest
from writing_commands import call

from facekit.cli import COMMANDS


def leaves() -> dict[str, click.Command]:
    """Every command that does something, by its words."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = import_module(f"facekit.cli.{name}").command
        inner = command.commands.items() if isinstance(command, click.Group) else ()
        found |= {f"{name} {sub}": one for sub, one in inner} or {name: command}
    return found


LEAVES = leaves()


def words_of(name: str, folder: Path) -> list[str]:
    """The command with something for everything that it cannot do without."""
    command, words = LEAVES[name], name.split()
    for one in command.params:
        if isinstance(one, click.Argument) and one.required:
            whole = isinstance(one.type, click.types.IntParamType)
            count = max(one.nargs, 2 if one.nargs < 0 else 1)
            words += ["1" if whole else str(folder / f"no-{one.name}-{number}") for number in range(count)]
        elif isinstance(one, click.Option) and one.required:
            number = isinstance(one.type, click.types.FloatParamType)
            words += [one.opts[0], ".5" if number else str(folder / f"no-{one.name}")]
    return words


def options(name: str) -> list[click.Option]:
    return [one for one in LEAVES[name].params if isinstance(one, click.Option) and not one.is_flag]


@pytest.mark.parametrize("name", LEAVES)
def test_nothing_is_there(name: str, tmp_path: Path) -> None:
    if not any(isinstance(one, click.Argument) and one.required for one in LEAVES[name].params):
        return
    if name in ("synth", "benchmark make", "textures preview", "cost"):  # these read nothing
        return
    said = call(words_of(name, tmp_path))
    assert said.code == 2, said
    assert len([line for line in said.err.splitlines() if line.startswith("facekit: ")]) == 1, said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", LEAVES)
def test_mistakes_of_usage(name: str, tmp_path: Path) -> None:
    """A word is missing, one is too many, an option is unknown or lacks its value, a number is none."""
    words = words_of(name, tmp_path)
    mistakes = [[*words, "--no-such-option"]]
    if not any(isinstance(one, click.Argument) and one.nargs < 0 for one in LEAVES[name].params):
        mistakes.append([*words, "too", "many"])
    for option in options(name):
        mistakes.append([*words, option.opts[0]])
        numbers = (click.types.IntParamType, click.types.FloatParamType, click.Choice)
        if isinstance(option.type, numbers):
            mistakes.append([*words, option.opts[0], "zzz"])
    for mistake in mistakes:
        said = call(mistake)
        assert said.code == 2, (mistake, said)
        assert said.err.count("Error: ") == 1, (mistake, said)
        assert said.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", LEAVES)
def test_numbers_outside_what_is_allowed(name: str, tmp_path: Path) -> None:
    """Whatever else is wrong, too: a number that cannot be is the first thing that is said."""
    for option in options(name):
        for flag, bad in (("--seed", "-1"), ("--workers", "0"), ("--limit", "0"), ("--batch", "0"), ("--folds", "0"),
                          ("--bootstrap", "-1"), ("--threads", "-1"), ("--port", "-1"), ("--rounds", "0"),
                          ("--part", "3/2"), ("--allow-loss", "2")):  # fmt: skip
            if flag in option.opts:
                more = ["--features", "f"] if name == "clean" else []
                said = call([*words_of(name, tmp_path), *more, flag, bad])
                assert said.code == 2, (flag, said)
                assert flag.strip("-").replace("-", "_") in said.err.replace("-", "_"), (flag, said.err)
    assert not list(tmp_path.iterdir())
