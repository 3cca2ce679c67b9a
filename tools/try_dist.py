"""Build the sdist and, from it, the wheel; then try each in an environment of its own: ``python tools/try_dist.py``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
TRIED = (
    ("--version",),
    ("synth", "people", "--identities", "3", "--images", "2", "--workers", "1"),
    ("mask", "people", "masked", "--ratio", "0.4", "--workers", "1"),
    ("check", "masked"),
    ("plugins",),
)
"""What an installation without extras must do; the models, textures and plugins come with it."""


def main() -> None:
    """Build, install, try; ends with the first command that fails."""
    with tempfile.TemporaryDirectory() as folder:
        python = environment(Path(folder, "build"))
        call(python, "-m", "pip", "install", "--quiet", "build")
        call(python, "-m", "build", "--outdir", DIST, ROOT)
    for archive in sorted(DIST.iterdir()):
        with tempfile.TemporaryDirectory() as folder:
            attempt(archive, Path(folder))
            print(f"{archive.name} installs and runs", flush=True)


def environment(folder: Path) -> Path:
    """Make an empty virtual environment; its interpreter."""
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def attempt(archive: Path, folder: Path) -> None:
    """Install an archive and run what it offers, away from the checkout."""
    python = environment(folder / "environment")
    call(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", archive)
    for words in TRIED:
        call(python.with_name("facekit"), *words, cwd=folder)


def call(*words: str | Path, cwd: Path | None = None) -> None:
    """Run a program and stop where it fails."""
    print("$", *words, flush=True)
    done = subprocess.run([str(word) for word in words], cwd=cwd, check=False)
    if done.returncode:
        sys.exit(f"{words[0]} {words[1]} ended with {done.returncode}")


if __name__ == "__main__":
    main()
