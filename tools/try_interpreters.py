"""Run a quick part of the tests on every interpreter of a supported version: ``python tools/try_interpreters.py``.

Interpreters are looked for on PATH and in pyenv's folder. Each gets an environment of its own, ``.venv-try-3.X``, which
is kept; without torch, Ray and the stores, so that making one takes a minute or two.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MINORS = range(10, 15)
"""Of Python 3; the newest is tried as soon as a machine has it, before setup.cfg allows it."""
NEEDED = (".[embed,clean,report]", "pytest", "pytest-randomly", "hypothesis", "scipy")
TRIED = (
    "test_architecture.py",
    "test_records_framing.py",
    "test_records_header.py",
    "test_records_pack.py",
    "test_run_shards.py",
    "test_output_lock.py",
    "test_public_names.py",
    "test_clean_merge.py",
    "test_other_systems.py",
)
COMMANDS = (
    "--help",
    "doctor",
    "synth people --identities 3 --images 4 --workers 1",
    "mask people masked --ratio 0.4 --workers 1",
    "check masked --deep",
)


def main() -> int:
    """Try each; 1 where one fails or none is found."""
    said = {}
    for minor in MINORS:
        python = interpreter(minor)
        said[f"3.{minor}"] = "not found" if python is None else attempt(minor, python)
    print("\n".join(f"python{version}  {result}" for version, result in said.items()))
    results = {*said.values()} - {"not found"}
    return int(results != {"passes"})


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


def attempt(minor: int, python: Path) -> str:
    """Make the environment where there is none, and run the tests and commands in it; what came of it."""
    folder = ROOT / f".venv-try-3.{minor}"
    own, stamp = folder / "bin" / "python", folder / ".made"
    newest = max((ROOT / name).stat().st_mtime for name in ("setup.cfg", "constraints.txt"))
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        install = [own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-c", "constraints.txt", "-e"]
        if not call(python, "-m", "venv", folder) or not call(*install, *NEEDED):
            return "cannot be installed"
        stamp.touch()
    if not call(own, "-W", "error", "-m", "compileall", "-q", "-f", "facekit", "plugins"):
        return "does not compile"
    if not call(own, "-m", "pytest", "-q", *(f"tests/{name}" for name in TRIED)):
        return "fails a test"
    demo = folder / "demo"
    shutil.rmtree(demo, ignore_errors=True)
    demo.mkdir()
    for words in COMMANDS:
        if not call(folder / "bin" / "facekit", *words.split(), cwd=demo):
            return f"fails at: facekit {words}"
    return "passes"


def call(*words: str | Path, cwd: Path = ROOT) -> bool:
    """Run a program; whether it succeeded."""
    print("$", *words, flush=True)
    return subprocess.run(words, cwd=cwd, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
