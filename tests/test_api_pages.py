"""The API reference: written without a warning, with every public name explained and every docstring rendered."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = re.findall(r'^    "(facekit[a-z_.]*)",$', (ROOT / "tools" / "write_api.py").read_text("utf-8"), re.M)
DOCSTRING = re.compile(r'<div class="docstring">(.*?)</div>', re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("api")
    done = subprocess.run([sys.executable, ROOT / "tools" / "write_api.py", written], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return written


def page_of(folder: Path, module: str) -> str:
    return folder.joinpath(*module.split(".")).with_suffix(".html").read_text("utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_each_listed_name_is_on_its_page_and_says_what_it_is(folder: Path, module: str) -> None:
    page = page_of(folder, module)
    for name in import_module(module).__all__:
        start = page.find(f'<section id="{name}">')
        assert start > 0, name
        end = page.find("\n                </section>", start)
        shown = DOCSTRING.search(page, start, end)
        constant = name.isupper()  # a docstring below it is an expression: the page may have it, the compiler has not
        assert constant or (shown and len(shown[1].split()) > 2), f"{module}.{name} has no docstring"


@pytest.mark.parametrize("module", MODULES)
def test_sections_become_headings_and_literals_become_code(folder: Path, module: str) -> None:
    for shown in DOCSTRING.findall(page_of(folder, module)):
        assert not re.search(r"``|^\s*-{3,}\s*$|^\s*(Parameters|Returns|Raises)\s*$", unescape(shown), re.M), shown


def test_every_public_package_has_a_page() -> None:
    assert "facekit" in MODULES
    homes = {getattr(import_module("facekit"), name).__module__ for name in import_module("facekit").__all__}
    rooms = {".".join(home.split(".")[:2]) for home in homes}
    assert rooms - {"facekit.faces"} <= {*MODULES}  # what is public of faces is on the first page
