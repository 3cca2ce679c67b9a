"""Names come from data: what the terminal gets must show them and not obey them."""

from __future__ import annotations

import ast
import doctest
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import facekit.cli
from facekit.cli import printing
from facekit.cli.printing import printable
from facekit.records import Header, PackWriter

STEERING = "\x1b]0;owned\x07"
BIDIRECTIONAL = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@given(st.text(st.characters(codec=None)))
def test_what_is_printed_steers_nothing(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    for character in shown:
        assert character in "\t\n" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in BIDIRECTIONAL
    assert printable(shown) == shown


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_ordinary_names_stay_as_they_are(text: str) -> None:
    assert printable(text + " é \n") == text + " é \n"


def test_the_examples_are_true() -> None:
    assert doctest.testmod(printing).failed == 0


def test_nothing_is_printed_but_through_here() -> None:
    for path in Path(facekit.cli.__file__).parent.glob("*.py"):
        called = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)}
        raw = {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}
        assert path.name == "printing.py" or not called & raw, path.name


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "facekit", *arguments], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["inspect", f"no{STEERING}pack"], 2),
        (["mask", f"no{STEERING}pack", "out"], 2),
        (["mask", "pack", "out", "--types", STEERING], 2),
        (["inspect", "pack", f"--no{STEERING}option"], 2),
        (["inspect", "pack\udcff"], 2),
    ],
)
def test_errors_show_names_written_out(arguments: list[str], code: int) -> None:
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert b"\x1b" not in done.stderr + done.stdout
    assert b"Traceback" not in done.stderr
    assert b"\\x1b]0;owned\\x07" in done.stderr or b"\\xff" in done.stderr


def test_summaries_show_names_written_out(tmp_path: Path) -> None:
    folder = tmp_path / f"pack{STEERING}"
    with PackWriter(folder) as writer:
        writer.write(Header(0, 0.0, 1, 0), b"not a picture")
    text, plain = run("inspect", str(folder)), run("inspect", str(folder), "--json")
    for done in (text, plain):
        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
    assert any(STEERING in str(value) for value in json.loads(plain.stdout).values())


def test_logged_warnings_show_names_written_out() -> None:
    code = (
        "import logging; from facekit.cli.logs import log_to_stderr; log_to_stderr()\n"
        f"logging.getLogger('facekit').warning('%s was never closed', {'pack' + STEERING!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "pack\\x1b]0;owned\\x07 was never closed\n"
