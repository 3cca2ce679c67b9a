"""The extras for processors and for graphics cards hold the same modules: what happens where both are installed."""

from __future__ import annotations

import sys
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest

from facekit.clean.approximate import approximate_pairs
from facekit.errors import ConfigError
from facekit.run import installed

EXTRAS = ConfigParser()
EXTRAS.read(Path(__file__).parents[1] / "setup.cfg")


def names_of(extra: str) -> set[str]:
    """Distributions of an extra, without their versions."""
    lines = EXTRAS["options.extras_require"][extra].split("\n")
    return {line.split(">")[0].split(";")[0].strip() for line in lines if line.strip()}


def test_one_distribution_is_no_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "packages_distributions", lambda: {"faiss": ["faiss-cpu", "faiss-cpu"]})
    assert installed.rival_distributions("faiss") is None
    assert installed.rival_distributions("absent") is None


def test_two_that_broke_each_other_are_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after ``pip install .[clean,gpu]`` and ``pip uninstall faiss-gpu``: the folder is half there."""
    monkeypatch.setattr(installed, "packages_distributions", lambda: {"faiss": ["faiss-gpu", "faiss-cpu"]})
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match="pip uninstall faiss-cpu faiss-gpu, and install one"):
        approximate_pairs(np.eye(8, dtype=np.float32), 0.5)


def test_one_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "packages_distributions", dict)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"needs faiss: pip install '\.\[clean\]'"):
        approximate_pairs(np.eye(8, dtype=np.float32), 0.5)


def test_no_extra_holds_a_module_twice() -> None:
    """What is installed by one extra is whole; ``all`` takes the distributions for processors."""
    owners = [{"faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12"}, {"onnxruntime", "onnxruntime-gpu"}]
    for extra in EXTRAS["options.extras_require"]:
        assert all(len(names_of(extra) & same) <= 1 for same in owners), extra
    assert names_of("gpu") == {"faiss-gpu", "onnxruntime-gpu"}
    assert {"faiss-cpu", "onnxruntime"} <= names_of("clean")
