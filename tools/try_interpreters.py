"""Run a quick part of the tests on every interpreter of a supported version: ``python tools/try_interpreters.py``.

Interpreters are looked for on PATH and in pyenv's folder. Each gets an environment of its own, ``.venv-try-3.X``, which
is kept; without torch, Ray and the stores, so that making one takes a minute or two.

``--seconds N`` is what `make test` does: interpreters other than the one that runs this, the oldest and the newest
first, with what facekit needs at the least, fewer tests, and no longer than N seconds in all. What there was no time
for is said and is no failure, nor is a package that cannot be had for one of them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).parents[1]
MINORS = range(10, 15)
"""Of Python 3; the newest is tried as soon as a machine has it, before setup.cfg allows it."""
TESTERS = ("pytest", "pytest-randomly", "hypothesis", "scipy")
SOON = (
    "test_records_framing.py",
    "test_records_header.py",
    "test_records_pack.py",
    "test_run_shards.py",
    "test_output_lock.py",
    "test_public_names.py",
)
"""What is tried where the time is short."""
TRIED = (*SOON, "test_architecture.py", "test_clean_merge.py", "test_other_systems.py")
COMMANDS = (
    "--help",
    "doctor",
    "synth people --identities 3 --images 4 --workers 1",
    "mask people masked --ratio 0.4 --workers 1",
    "check masked --deep",
)


UNDECIDED = ("not found", "not tried", "no time was left", "cannot be installed here")
"""What is said of an interpreter that neither passed nor failed."""


@dataclass(frozen=True)
class Trial:
    """How much is tried.

    Attributes
    ----------
    until : float
        Of the monotonic clock.
    short : bool
        There is an end: less is installed and tried, and what programs say is shown only where they fail.
    """

    until: float = inf

    @property
    def short(self) -> bool:
        return self.until < inf

    @property
    def needed(self) -> tuple[str, ...]:
        return ("." if self.short else ".[embed,clean,report]", *TESTERS)

    def folder(self, minor: int) -> Path:
        return ROOT / f".venv-{'soon' if self.short else 'try'}-3.{minor}"

    def call(self, *words: str | Path, cwd: Path = ROOT) -> bool:
        """Run a program; whether it succeeded. Raises `TimeoutError` where the time is over."""
        left = self.until - monotonic()
        if left <= 0:
            raise TimeoutError
        if not self.short:
            print("$", *words, flush=True)
        said = subprocess.PIPE if self.short else None
        try:
            done = subprocess.run(
                words,
                cwd=cwd,
                check=False,
                stdout=said,
                stderr=said and subprocess.STDOUT,
                text=True,
                timeout=left if self.short else None,
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        if done.returncode and self.short:
            print("$", *words, f"\n{done.stdout[-6000:]}", flush=True)
        return done.returncode == 0


def main() -> int:
    """Try each; 1 where one fails, or where none is found though there was time."""
    parser = argparse.ArgumentParser(description="A quick part of the tests on every interpreter that is found.")
    parser.add_argument("--seconds", type=float, default=inf, help="for all of them together")
    trial = Trial(monotonic() + parser.parse_args().seconds)
    said = dict.fromkeys(MINORS, "not tried")
    for minor in in_turn(trial):
        python = interpreter(minor)
        said[minor] = "not found" if python is None else attempt(minor, python, trial)
    if trial.short:
        said[sys.version_info[1]] = "runs all tests"
    print("\n".join(f"python3.{minor}  {result}" for minor, result in said.items()))
    results = {*said.values()}
    if trial.short:
        return int(not results <= {"passes", "runs all tests", *UNDECIDED})
    return int(results - {"not found"} != {"passes"})


def in_turn(trial: Trial) -> list[int]:
    """All versions; in a hurry others than this one, from the outside inward."""
    if not trial.short:
        return [*MINORS]
    others = [minor for minor in MINORS if minor != sys.version_info[1]]
    return sorted(others, key=lambda minor: min(minor - MINORS[0], MINORS[-1] - minor))


def interpreter(minor: int) -> Path | None:
    """The first interpreter of a version that starts."""
    for path in candidates(minor):
        done = subprocess.run([path, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True)
        if done.stdout.strip() == str(minor):  # a shim of pyenv is there without the version being chosen
            return path
    return None


def candidates(minor: int) -> Iterator[Path]:
    """Where an interpreter may be: on PATH, then what pyenv built, the newest release first."""
    found = shutil.which(f"python3.{minor}")
    if found:
        yield Path(found)
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    built = list(versions.glob(f"3.{minor}.*/bin/python3"))
    yield from sorted(built, key=lambda path: int((re.findall(r"\d+", path.parts[-3]) + [0] * 3)[2]), reverse=True)


def attempt(minor: int, python: Path, trial: Trial) -> str:
    """Make the environment where there is none, and run the tests and commands in it; what came of it."""
    try:
        return _attempt(trial.folder(minor), python, trial)
    except TimeoutError:
        return "no time was left"


def _attempt(folder: Path, python: Path, trial: Trial) -> str:
    own, stamp = folder / "bin" / "python", folder / ".made"
    newest = max((ROOT / name).stat().st_mtime for name in ("setup.cfg", "constraints.txt"))
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        install = [own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-c", "constraints.txt", "-e"]
        if not trial.call(python, "-m", "venv", folder) or not trial.call(*install, *trial.needed):
            return "cannot be installed here" if trial.short else "cannot be installed"
        stamp.touch()
    if not trial.call(own, "-W", "error", "-m", "compileall", "-q", "-f", "facekit", "plugins"):
        return "does not compile"
    if not trial.call(own, "-m", "pytest", "-q", *(f"tests/{name}" for name in (SOON if trial.short else TRIED))):
        return "fails a test"
    demo = folder / "demo"
    shutil.rmtree(demo, ignore_errors=True)
    demo.mkdir()
    for words in COMMANDS:
        if not trial.call(folder / "bin" / "facekit", *words.split(), cwd=demo):
            return f"fails at: facekit {words}"
    return "passes"


if __name__ == "__main__":
    sys.exit(main())
