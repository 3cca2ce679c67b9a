"""Write the API reference from the docstrings, as HTML: ``python tools/write_api.py [FOLDER]`` (build/api)."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pdoc
import pdoc.render

FOLDER = Path(__file__).parents[1] / "build" / "api"
MODULES = (
    "facekit",
    "facekit.errors",
    "facekit.records",
    "facekit.images",
    "facekit.embeddings",
    "facekit.masks",
    "facekit.clean",
    "facekit.evaluate",
    "facekit.synth",
    "facekit.stores",
    "facekit.train",
    "facekit.train.plugin",
    "facekit.train.recipe",
    "facekit_bcl",
    "facekit_maskdul",
    "facekit_pfe",
)
"""The public names, the packages that somebody's own code may want, and the plugins; each with what it lists."""


def write(folder: Path) -> None:
    """Write a page for each module, an index and a search, all of which work from the disk.

    Raises
    ------
    Warning
        A name that a module lists and lacks, or an annotation that cannot be resolved.
    """
    for name in MODULES:
        make_ready(import_module(name))
    pdoc.render.configure(docformat="numpy", footer_text=f"facekit {import_module('facekit').__version__}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(*MODULES, output_directory=folder)


def make_ready(module: ModuleType) -> None:
    """Load the names that a module resolves on first use; say where the constructors of its named tuples are from."""
    for name in module.__all__:
        value = getattr(module, name)
        setattr(module, name, value)
        if isinstance(value, type) and issubclass(value, tuple):
            value.__new__.__module__ = value.__module__  # pdoc looks up the names of annotations there


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
