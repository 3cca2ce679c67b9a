"""The commands of docs/scale.md, run as they stand there: parallel shells, an array job, an indexed job."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from killed_runs import whole
from small_models import save_model
from writing_commands import do

from facekit.cli import COMMANDS, program
from facekit.cli.embed import command as embed_command
from facekit.embeddings.devices import parse_devices

PAGE = (Path(__file__).parents[1] / "docs" / "scale.md").read_text("utf-8")
BLOCKS = [(kind, text) for kind, text in re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)]


def block(kind: str, word: str = "") -> str:
    """The only block of a kind with a word in it."""
    (found,) = [text for name, text in BLOCKS if name == kind and word in text]
    return found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of drawn people, and what masking it by one process gives."""
    drawn = tmp_path_factory.mktemp("drawn")
    do(["synth", drawn / "people", "--identities", 10, "--images", 13, "--workers", 1])
    assert shell("facekit mask people alone --ratio 0.5 --workers 1", drawn) == ""
    return drawn


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """Where the commands are given."""
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    return tmp_path


def shell(script: str, folder: Path, **given: str) -> str:
    """Run a script; what it says on stderr."""
    (folder / "bin").mkdir(exist_ok=True)
    program_file = folder / "bin" / "facekit"
    program_file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m facekit "$@"\n')
    program_file.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", **given}
    command = ["sh", "-ec", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def assert_masked(folder: Path) -> None:
    masked, alone = whole(folder / "masked"), whole(folder / "alone")
    assert masked == alone
    assert not (folder / "masked.partial").exists()


def test_parallel_shells(folder: Path) -> None:
    shell(block("sh", "--part"), folder)
    assert_masked(folder)


def test_an_array_job_and_the_job_that_publishes(folder: Path) -> None:
    script, numbers = block("slurm"), re.search(r"--array=(\d+)-(\d+)", block("slurm"))
    assert numbers is not None
    for number in range(int(numbers[1]), int(numbers[2]) + 1):
        assert not (folder / "masked").exists()
        shell(script, folder, SLURM_ARRAY_TASK_ID=str(number), SLURM_CPUS_PER_TASK="1")
    last = re.search(r'--wrap "(.*)"', block("text", "sbatch"))
    assert last is not None
    shell(last[1], folder)
    assert_masked(folder)


def test_an_indexed_job_of_which_one_pod_never_ran(folder: Path) -> None:
    job = yaml.safe_load(block("yaml"))
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    (script,) = container["args"]
    assert spec["completionMode"] == "Indexed"
    assert f"/{spec['completions']} " in script
    for index in range(1, spec["completions"]):
        shell(script, folder, JOB_COMPLETION_INDEX=str(index))
    shell(re.sub(r" --part \S+.*?/\d+", "", script), folder)
    assert_masked(folder)


def test_every_other_command_parses(tmp_path: Path) -> None:
    save_model(tmp_path / "model.onnx")
    found = [line for _, text in BLOCKS for line in text.splitlines() if line.startswith("facekit ")]
    lines = [line for line in found if "$" not in line]
    assert len(lines) >= 3
    for line in lines:
        name, *words = line.split()[1:]
        command = program.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        command.make_context(name, words)
    context = embed_command.make_context("embed", block("sh", "embed").split()[2:])
    assert parse_devices(context.params["device"], cards=2) == ("cuda:0", "cuda:1")


def test_the_commands_that_the_page_names_have_the_options() -> None:
    (line,) = re.findall(r"(`mask`, .*?) have all three", PAGE, re.DOTALL)
    named = set(re.findall(r"`(\w+)`", line))
    for name in COMMANDS:
        said = CliRunner().invoke(program, [name, "--help"]).output
        assert (name in named) == ("--part I/N" in said), name
