"""The ablations of both papers: every table in its smallest form, and commands for a cluster that parse."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from facekit.cli import program


@pytest.fixture
def ablation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module("ablation")


def test_every_table_has_its_rows(ablation: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "--identities 10 --images 5 --shares .25 --intras .5 --pairs 40 --set epochs=1 --set warmup=0"
    ablation.main(["--out", str(tmp_path), *given.split()])
    shown = capsys.readouterr().out
    titles = ("Table 1", "Table 2", "Table 3", "Table 4", "Table II:", "Table III", "Table IV", "its parts", "Misses")
    assert all(title in shown for title in titles)
    assert shown.count("| maskdul | half masked |") == 3
    assert "children" in shown
    assert "rank-5" in shown
    assert all("<svg" in (tmp_path / f"figure-{number}.svg").read_text() for number in (2, 4))


def test_cluster_commands_parse(ablation: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "--full --pack P --test T --groups g.csv --model m --gallery B --probe W --sets M-A.bin --noise-set a.bin"
    ablation.main(["--out", str(tmp_path), *given.split(), "--processes", "8"])
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    commands = [line[line.index("facekit") + 1 :] for line in lines if "facekit" in line]
    assert sum(line[0] == "torchrun" for line in lines) > 15
    for words in commands:
        words = words[: words.index(">")] if ">" in words else words
        command = program.get_command(None, words[0])
        command.make_context(words[0], words[1:])
