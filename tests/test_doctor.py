"""``facekit doctor`` says what is there, what is not, and what helps; it compiles what no job has compiled yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from writing_commands import call

from facekit.compiled import KERNELS
from facekit.jobs.doctor import caches, extras
from facekit.jobs.doctor.probes import PROBES, Question, run_probe

ROOT = Path(__file__).parents[1]


def test_what_is_installed_is_found_with_its_version() -> None:
    found = json.loads(call(["doctor", "--json"]).out)
    known = {one["name"]: one for one in found["libraries"]}
    assert {name: known[name]["version"] for name in ("numpy", "numba", "pyarrow")} == {
        name: version(name) for name in ("numpy", "numba", "pyarrow")
    }
    assert known["ai-edge-litert"]["detail"] == "the face mesh runs"
    assert found["problems"] == []
    assert found["machine"]["instruction_set"]
    assert found["kernels"]["kernels"] > 80
    text = call(["doctor"]).out
    for name in (*known, "kernels:", "instruction set"):
        assert name in text


def test_a_library_that_is_missing_broken_or_silent_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = run_probe(Question("x", "import no_such_library"))
    assert (missing.version, missing.problem) == (None, "")
    assert "no_such_library" in run_probe(Question("x", "import no_such_library", needed=True)).problem
    assert run_probe(Question("x", "raise ImportError('libcuda is missing')")).problem.endswith("libcuda is missing")
    assert "-11" in run_probe(Question("x", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")).problem
    chatty = run_probe(Question("x", "print('hello', end='')\nversion, detail = '1', 'two'"))
    assert (chatty.version, chatty.detail) == ("1", "two")
    monkeypatch.setattr("facekit.jobs.doctor.probes.SECONDS", 0.2)
    assert "does not answer" in run_probe(Question("x", "import time; time.sleep(60)")).problem


def test_something_needed_that_fails_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Question("numpy", "raise OSError('no such file')", needed=True)
    monkeypatch.setattr("facekit.jobs.doctor.job.PROBES", (broken,))
    said = call(["doctor"])
    assert said.code == 1
    assert "numpy does not work: OSError: no such file" in said.out


def test_an_extra_names_what_it_lacks_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=2", 'click>=8; extra == "one"', 'no-such-distribution>=3; extra == "one"', "absent; extra == 'two'",
        'old; python_version < "3.0" and extra == "two"', 'click; extra == "three"', 'click; extra == "all"',
    ]  # fmt: skip
    monkeypatch.setattr(extras, "requires", lambda name: lines)
    found = {one.name: one for one in extras.find_extras()}
    assert list(found) == ["one", "three", "two"]
    assert found["one"].missing == ["no-such-distribution>=3"]
    assert "'.[one]'" in found["one"].command
    assert found["two"].missing == ["absent"]
    assert (found["three"].missing, found["three"].command) == ([], "")


def test_every_extra_says_what_it_adds_and_every_file_with_kernels_is_known() -> None:
    named = {one.name for one in extras.find_extras()}
    assert named <= set(extras.ADDS), "say in ADDS what the extra is for"
    rooms = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in (ROOT / "facekit").rglob("*.py")
        if "@kernel(" in path.read_text()
    }
    assert rooms == {file for room in KERNELS.values() for file in room}
    assert len({question.name for question in PROBES}) == len(PROBES)


COUNT = "from facekit.jobs.doctor.caches import kernel_cache as c; found = c(); print(found.compiled, found.kernels)"


def test_compile_leaves_nothing_to_be_compiled(tmp_path: Path) -> None:
    """In a cache of its own, which has nothing before and everything afterwards."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def count() -> list[str]:
        command = [sys.executable, "-c", COUNT]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.split()

    before, all_of_them = count()
    assert (before, int(all_of_them) > 80) == ("0", True)
    command = [sys.executable, "-m", "facekit", "doctor", "--compile", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    kernels = json.loads(done.stdout)["kernels"]
    assert kernels["compiled"] == kernels["kernels"], "give the kernel a job in compile_kernels"
    assert count() == [all_of_them, all_of_them]


def test_a_cache_that_cannot_be_written_is_a_problem_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_writable", lambda folder: False)
    assert "NUMBA_CACHE_DIR" in caches.kernel_cache().problem
