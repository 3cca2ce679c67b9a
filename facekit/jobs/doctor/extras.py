"""The extras of the distribution: what each brings, what of it is missing, and the command that installs it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import NamedTuple

__all__ = ["Extra", "find_extras"]

DISTRIBUTION = "facekit-mfr"

ADDS = {
    "embed": "facekit embed: vectors by an ONNX model",
    "clean": "facekit clean, sweep: merge identities, drop wrong faces",
    "train": "facekit train, export, selflearn: recognizers",
    "docs": "make api: the API reference",
    "report": "reports and the review page",
    "ray": "jobs on several machines",
    "gpu": "faiss and ONNX Runtime on an NVIDIA GPU",
    "stores": "packs from and to object stores, http and the Hugging Face hub",
    "log": "training logs to Weights and Biases",
    "test": "everything that make test needs",
}
"""What each is for; an extra without a line here is listed by its name alone."""


class Extra(NamedTuple):
    """An extra.

    Attributes
    ----------
    name : str
        As pip is given it.
    adds : str
        What it is for.
    missing : list of str
        Its requirements that are not installed, as the distribution states them.
    command : str
        What installs it; empty where nothing is missing.
    """

    name: str
    adds: str
    missing: list[str]
    command: str


def find_extras() -> list[Extra]:
    """The extras that the installed distribution offers, but ``all``."""
    wanted: dict[str, list[str]] = {}
    for line in requires(DISTRIBUTION) or []:
        requirement, _, marker = line.partition(";")
        found = re.search(r"""extra\s*==\s*["']([\w-]+)["']""", marker)
        if found and _applies(marker):
            wanted.setdefault(found[1], []).append(requirement.strip())
    return [_extra(name, lines) for name, lines in sorted(wanted.items()) if name != "all"]


def _extra(name: str, requirements: list[str]) -> Extra:
    missing = [one for one in requirements if not _installed(one)]
    command = f"pip install '.[{name}]' in the checkout" if missing else ""
    return Extra(name, ADDS.get(name, ""), missing, command)


def _installed(requirement: str) -> bool:
    name = re.match(r"[\w.-]+", requirement)
    try:
        version(name[0] if name else requirement)
    except PackageNotFoundError:
        return False
    return True


def _applies(marker: str) -> bool:
    """Whether the part of a marker that speaks of the interpreter holds for this one."""
    import sys

    bound = re.search(r"""python_version\s*([<>]=?)\s*["'](\d+)\.(\d+)["']""", marker)
    if bound is None:
        return True
    here, there = sys.version_info[:2], (int(bound[2]), int(bound[3]))
    return {"<": here < there, "<=": here <= there, ">": here > there, ">=": here >= there}[bound[1]]
