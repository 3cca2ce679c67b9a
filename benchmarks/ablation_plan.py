"""What an ablation runs: facekit commands, each with the file that it makes, in the order in which they are needed.

A small ablation runs them in this process; for a cluster they are printed. Both are the same commands.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Bench", "Command", "Plan", "Row", "Table", "run_commands", "shell_line", "show"]


@dataclass(frozen=True)
class Bench:
    """What is compared, and where.

    Attributes
    ----------
    out : Path
        Everything that is made.
    pack, test : Path
        To train on; a pack of bare faces and masked copies, with its ledger.
    bare, worn : Path
        Gallery of bare faces, and masked probes made from it.
    sets : tuple of Path
        Masked pairs, as ``.bin``.
    noise_set : Path
        Bare pairs, which become noisy and then masked.
    model, groups : str
        ONNX that cleaning embeds with; a table of groups of ``test``, or nothing.
    full : bool
        The papers' recipes and FARs.
    processes : int
        That train, a machine.
    changes, maskdul_changes : tuple of str
        Settings of all runs, and of those of MaskDUL's tables.
    shares, intras : tuple of float
        Rows of BCL's Tables 3 and 4.
    """

    out: Path
    pack: Path
    test: Path
    bare: Path
    worn: Path
    sets: tuple[Path, ...]
    noise_set: Path
    model: str
    groups: str = ""
    full: bool = False
    processes: int = 1
    changes: tuple[str, ...] = ()
    maskdul_changes: tuple[str, ...] = ()
    shares: tuple[float, ...] = (0.05, 0.10, 0.15, 0.20, 0.25)
    intras: tuple[float, ...] = (0.05, 0.15, 0.25, 0.35, 0.45, 0.50)


class Command(NamedTuple):
    """A command, and what it makes.

    Attributes
    ----------
    path : Path
        There when it is done.
    words : tuple of str
        ``facekit`` or the name of a script of this folder, and what follows.
    captured : bool
        What it prints goes to ``path``.
    processes : int
        Under torchrun, if above 0.
    """

    path: Path
    words: tuple[str, ...]
    captured: bool = False
    processes: int = 0


class Row(NamedTuple):
    """A row of a table: its first cells, and the files that the others are read from."""

    labels: tuple[str, ...]
    files: Mapping[str, Path]


Read = Callable[[tuple[str, ...], Mapping[str, Any]], Mapping[str, str]]


class Table(NamedTuple):
    """A table: ``read`` makes cells by column of the labels and what stands in the files of a row."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[Row]
    read: Read


@dataclass
class Plan:
    """Commands in order, each once however often it is asked for."""

    bench: Bench
    commands: dict[Path, Command] = field(default_factory=dict)

    def facekit(self, path: Path, *words: object, captured: bool = False, processes: int = 0) -> Path:
        """A facekit command that makes ``path``."""
        return self._add(Command(path, ("facekit", *map(str, words)), captured, processes))

    def script(self, path: Path, *words: object, captured: bool = False) -> Path:
        """A script of this folder that makes ``path``."""
        return self._add(Command(path, tuple(map(str, words)), captured))

    def _add(self, command: Command) -> Path:
        known = self.commands.setdefault(command.path, command)
        if known != command:
            raise ValueError(f"{command.path} is made in two ways: {known.words} and {command.words}")
        return command.path

    def cleaned(self, intra: float) -> Path:
        """The pack without its noise."""
        folder, features = self.bench.out / f"clean-{intra:g}", self.features(self.bench.pack, self.bench.model)
        loss = () if self.bench.full else ("--allow-loss", 1)
        given = ("--features", features, "--intra", f"{intra:g}", "--no-report", *self.centres(), *loss)
        return self.facekit(folder, "clean", self.bench.pack, folder, *given)

    def centres(self) -> tuple[object, ...]:
        """Small networks put all faces close together: their thresholds of identities are higher."""
        return () if self.bench.full else ("--inter", 0.98, "--union", 0.99)

    def features(self, pack: Path, model: str | Path) -> Path:
        """Vectors of a pack."""
        path = self.bench.out / f"features-{Path(model).parent.name}-{pack.name}"
        return self.facekit(path, "embed", pack, path, "--model", model)

    def masked(self, pack: Path, preset: str, ratio: float) -> Path:
        """The pack with masks."""
        folder = self.bench.out / f"{pack.name}-{preset}-{ratio:g}"
        meshes = self.bench.out / f"meshes-{pack.name}"
        given = ("--preset", preset, "--ratio", f"{ratio:g}", "--mesh-cache", meshes)
        return self.facekit(folder, "mask", pack, folder, *given, *self._workers())

    def _workers(self) -> tuple[object, ...]:
        return () if self.bench.full else ("--workers", 1)

    def trained(self, name: str, plugin: str, recipe: str, pack: Path, changes: Sequence[str] = ()) -> Path:
        """The ONNX file of a run."""
        run, recipe = self.bench.out / f"run-{name}-{pack.name}", recipe + ("" if self.bench.full else "-small")
        settings = [word for one in (*self.bench.changes, *changes) for word in ("--set", one)]
        given = ("train", plugin, pack, run, "--recipe", recipe, "--resume", *settings)
        self.facekit(run / "model.pt", *given, processes=self.bench.processes if self.bench.full else 0)
        return self.facekit(run / "model.onnx", "export", run, run / "model.onnx")

    def evaluated(self, model: Path, name: str, *given: object) -> Path:
        """The scores of a model, as JSON."""
        path = model.parent / f"{name}.json"
        threads = () if self.bench.full else ("--threads", 1)
        return self.facekit(path, "eval", model, *given, *threads, "--bootstrap", 0, "--json", captured=True)


def shell_line(command: Command) -> str:
    """A command as one types it."""
    program = "" if command.words[0] == "facekit" else "python benchmarks/"
    line = program + shlex.join(command.words)
    if command.processes:
        line = f"torchrun --nproc-per-node {command.processes} -m {line}"
    return line + (f" > {shlex.quote(str(command.path))}" if command.captured else "")


def run_commands(commands: Sequence[Command]) -> None:
    """Run what is not done yet, in this process."""
    for command in commands:
        if command.path.exists():
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            _run(command.words)
        if command.captured:
            command.path.write_text(printed.getvalue())


def _run(words: Sequence[str]) -> None:
    if words[0] != "facekit":
        importlib.import_module(words[0].removesuffix(".py")).main(words[1:])
        return
    from facekit.cli import program

    program.main(["--quiet", *words[1:]], standalone_mode=False)


def show(table: Table) -> str:
    """A table in Markdown; a cell of which nothing is known is a dash."""
    cells = [table.read(row.labels, {key: json.loads(path.read_text()) for key, path in row.files.items()})
             for row in table.rows]  # fmt: skip
    columns = list(dict.fromkeys(name for row in cells for name in row))
    lines = ["| " + " | ".join((*table.head, *columns)) + " |", "|---" * (len(table.head) + len(columns)) + "|"]
    for row, found in zip(table.rows, cells, strict=True):
        labels = (label.replace("|", "\\|") for label in row.labels)
        lines.append("| " + " | ".join((*labels, *(found.get(name, "-") for name in columns))) + " |")
    return "\n".join((f"{table.title}\n", *lines))
