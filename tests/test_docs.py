"""What the documentation says is run, and compared where it shows output."""

from __future__ import annotations

import doctest
import inspect
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from facekit.clean.settings import CleanSettings
from facekit.cli import COMMANDS, main
from facekit.masks import TYPES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", ROOT / "docs" / "python.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]+)")


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text("utf-8"))]


def form(text: str) -> list[str]:
    """The lines without their numbers, and without the counts of types and reasons: they change as masks get better."""
    lines = [re.sub(r"\d[\d.,]*", "#", line) for line in text.strip().splitlines()]
    return [" ".join(line.split()) for line in lines if not re.fullmatch(r"  [\w#-]+ +#", line)]


def run_commands(text: str) -> None:
    """Run each line that begins with ``$ facekit``; compare its output with the lines that follow, if there are any."""
    for shown in re.split(r"^\$ ", text, flags=re.M)[1:]:
        line, _, expected = shown.partition("\n")
        command, _, redirected = line.partition(" > ")
        program, *arguments = shlex.split(command)
        assert program == "facekit", line
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0, err.getvalue()
        if redirected:
            Path(redirected).write_text(out.getvalue())
        elif expected.strip():
            assert form(out.getvalue()) == form(expected), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_on_the_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    ran = 0
    for block in blocks(page):
        if block.language == "console":
            run_commands(block.text)
        elif block.language == "python":
            exec(compile(block.text, str(page), "exec"), names)
        ran += block.language in ("console", "python")
    assert ran >= 2


SHOWN = sorted({*ROOT.glob("docs/*.md")} - {ROOT / "docs" / "commands.md"})


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_parses(page: Path) -> None:
    """Those that are not run too: names of commands and options, and the kinds of their values."""
    for block in blocks(page):
        for line in block.text.replace("\\\n", " ").splitlines() if block.language in ("sh", "text") else ():
            words = shlex.split(line, comments=True)
            if words[:1] != ["facekit"] or words[1:2] == [] or re.search(r"[<>|$;&]|\.\.\.", line):
                continue
            command: click.Command = import_module(f"facekit.cli.{words[1]}").command
            command.make_context(words[1], words[2:])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_an_example_that_parses(name: str) -> None:
    command: click.Command = import_module(f"facekit.cli.{name}").command
    for part in [command, *getattr(command, "commands", {}).values()]:
        if part is command and hasattr(command, "commands"):
            continue  # its commands have examples of their own
        _, _, examples = inspect.cleandoc(part.help or "").partition("\b\nExample")
        lines = [shlex.split(line) for line in re.findall(r"^  facekit (.*)$", examples, re.M)]
        assert lines, part.name
        for words in lines:
            import_module(f"facekit.cli.{words[0]}").command.make_context(words[0], words[1:])


def test_the_page_of_commands_is_what_the_help_says(tmp_path: Path) -> None:
    # In a process of its own: click remembers the help option of the first context a command was called in.
    command = [sys.executable, str(ROOT / "tools" / "write_commands_page.py"), str(tmp_path / "commands.md")]
    subprocess.run(command, check=True)
    written = (tmp_path / "commands.md").read_text("utf-8")
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == written, "run make docs"


def test_the_page_of_settings_is_what_the_docstrings_say(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "write_settings_page.py"), str(tmp_path / "settings.md")]
    subprocess.run(command, check=True)
    written = (tmp_path / "settings.md").read_text("utf-8")
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == written, "run make docs"
    for row in re.findall(r"^\| `\w+` \|.*$", written, re.M):
        assert re.fullmatch(r"\| `\w+` \| .+ \| .* \| \S.* \|", row), f"no meaning: {row}"


def test_the_page_of_json_is_what_the_docstrings_say(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "write_json_page.py"), str(tmp_path / "json.md")]
    subprocess.run(command, check=True)
    written = (tmp_path / "json.md").read_text("utf-8")
    assert (ROOT / "docs" / "json.md").read_text("utf-8") == written, "run make docs"
    rows = re.findall(r"^\| `.*$", written, re.M)
    assert [row for row in rows if not re.fullmatch(r"\| `\w+` \| .+ \| \S.* \|", row)] == [], "no meaning"
    headings = [set(re.findall(r"[a-z][a-z-]+", line)) for line in re.findall(r"^## facekit (.*)$", written, re.M)]
    unsaid = [path for path in commands_with_json() if not any({*path.split()} <= words for words in headings)]
    assert unsaid == []


def commands_with_json() -> list[str]:
    """Every command and command of a group that takes ``--json``."""
    found = []
    for name in COMMANDS:
        command = import_module(f"facekit.cli.{name}").command
        inner = getattr(command, "commands", {})
        every = {f"{name} {one}": own for one, own in inner.items()} or {name: command}
        found += [path for path, own in every.items() if any(p.name == "as_json" for p in own.params)]
    return found


def test_the_choices_of_the_page_of_settings_are_those_that_are_allowed() -> None:
    from facekit.clean.settings import _CHOICES
    from facekit.run.described import described_fields
    from facekit.train.config import CHOICES, LoopConfig

    for config, choices in ((LoopConfig, CHOICES), (CleanSettings, _CHOICES)):
        said = {one.name: set(re.findall(r'"(\w+)"', one.kind)) for one in described_fields(config)}
        assert {name: said[name] for name in choices} == {name: set(values) for name, values in choices.items()}


def test_the_help_of_mask_names_every_type() -> None:
    text = " ".join(str(import_module("facekit.cli.mask").command.help).split())
    assert f"Types: {', '.join(TYPES)}." in text


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_files_that_contributors_are_sent_to_exist() -> None:
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert len(named) > 20
    for file in named:
        assert (ROOT / file).exists() or re.search("NAME|FAMILY|^build/", file), file


def test_the_docstrings_of_public_names_say_what_they_are() -> None:
    import facekit

    for name in facekit.__all__:
        text = getattr(facekit, name).__doc__
        assert text, name
        assert text.strip().splitlines()[0].rstrip().endswith((".", ":")) or "\n" in text.strip(), name


def modules_with_examples() -> list[str]:
    files = [path.relative_to(ROOT) for path in (ROOT / "facekit").rglob("*.py") if ">>> " in path.read_text("utf-8")]
    return [".".join(path.with_suffix("").parts) for path in files]


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(import_module(module))
    assert not result.failed


def test_the_figures_beside_others_are_those_of_the_benchmarks() -> None:
    table = (ROOT / "README.md").read_text("utf-8").partition("## Beside others")[2].partition("\n## ")[0]
    cells = [cell for row in re.findall(r"^\| .*$", table, re.M)[1:] for cell in row.split("|")[2:4]]
    figure = re.compile(r"(?<![\d.])(?:\d+k/s|\d*\.\d+ s|\.\d{3})(?!\S*\d)")
    figures = {found for cell in cells for found in figure.findall(cell)}
    measured = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    assert len(figures) >= 10
    assert [found for found in sorted(figures) if found not in measured] == []


def test_the_table_of_costs_is_what_facekit_cost_prints(tmp_path: Path) -> None:
    steps = [
        {"step": step, "cpu_hours": 94.21, "gpu_hours": 23.9, "memory_bytes": 26e9, "peak_disk_bytes": 4812e9}
        for step in ("fetch", "mask", "embed", "clean")
    ]
    sizes = [5_800_000, 17_000_000, 42_000_000, 260_000_000]
    (tmp_path / "cost.json").write_text(json.dumps({"costs": [{"images": size, "steps": steps} for size in sizes]}))
    (tmp_path / "tools").mkdir()
    for name in ("README.md", "tools/write_cost_table.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run([sys.executable, "tools/write_cost_table.py", "cost.json"], cwd=tmp_path, check=True)
    shown, made = ((folder / "README.md").read_text("utf-8") for folder in (ROOT, tmp_path))
    figures = re.compile(r"(?<=\| )[\d.,]+(?= \|)")
    assert figures.sub("#", shown) == figures.sub("#", made), "python tools/write_cost_table.py cost.json"
    rows = re.findall(r"^\| (\S+) million .*$", made.partition("## What it costs")[2], re.M)
    assert rows == [f"{size / 1e6:g}" for size in sizes]
    assert "| 5.8 million | 94 | 24 | 94 | 26 | 4,800 |" in made
