"""Plugins: listed at once and without torch; third-party ones work; broken ones are reported and harm nobody."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from train_packs import QUICK, changes, facekit, pattern_pack, third_party

from facekit.errors import ConfigError
from facekit.train.plugin import find_plugins, load_plugin


@pytest.fixture
def installed(tmp_path: Path) -> str:
    """What PYTHONPATH must hold for the plugins of `third_party` to be installed."""
    return third_party(tmp_path)


HEAVY = {
    "torch",
    "numba",
    "cv2",
    "pyarrow",
    "scipy",
    "skimage",
    "onnx",
    "onnxruntime",
    "faiss",
    "sklearn",
    "tensorboard",
}


def test_the_list_loads_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from facekit.cli import program; program.main(['plugins'], standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())
    assert "bcl-small" in done.stdout
    assert "maskdul-small" in done.stdout


def test_a_third_party_plugin_trains_and_broken_ones_are_reported(installed: str, tmp_path: Path) -> None:
    done = facekit("plugins", "--json", PYTHONPATH=installed)
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert found["plain"]["problem"] is None
    assert found["plain"]["distribution"] == "third-party 0.3"
    assert "no licence" in found["raises"]["problem"]
    assert "ModuleNotFoundError" in found["absent"]["problem"]
    assert "version 0 of the contract" in found["old"]["problem"]
    assert "it lacks summary" in found["half"]["problem"]
    assert found["bcl"]["problem"] is None
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"
    quick = changes("batch=8", "threads=1", "scale=8")
    done = facekit("train", "plain", str(pack), str(out), *quick, "--json", PYTHONPATH=installed)
    assert done.returncode == 0, done.stderr
    assert "warning: this plugin is for a test" in done.stderr
    assert json.loads(done.stdout)["steps"] == 54 // 8
    done = facekit("train", "raises", str(pack), str(tmp_path / "other"), PYTHONPATH=installed)
    assert done.returncode == 2
    assert "cannot be used: RuntimeError: no licence" in done.stderr


PROBLEMS = {
    "leaves": "SystemExit: goodbye",
    "bare": "its config cannot be made of defaults alone: TypeError: .*'must'",
    "with-path": r"its config has lexicon = PosixPath\('words'\), a PosixPath, which JSON cannot hold",
    "shared": "its config has batch, lr, which the loop has too",
    "listed": "its recipes are a list; they must be a mapping",
    "flat": "its recipe 'small' is no mapping",
    "path-recipe": "its recipe small has lr = PosixPath",
    "nameless": "its summary is not a text",
    "shy": "ZeroDivisionError",
}


def test_one_badly_written_plugin_does_not_hide_the_others(installed: str) -> None:
    listed = facekit("plugins", "--json", PYTHONPATH=installed)
    assert listed.returncode == 0, listed.stderr
    found = {one["name"]: one["problem"] for one in json.loads(listed.stdout)}
    assert found["bcl"] is found["maskdul"] is found["plain"] is None
    for name, problem in PROBLEMS.items():
        assert re.search(problem, found[name])
    for name in ("leaves", "bare"):
        shown = facekit("plugins", name, PYTHONPATH=installed)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert re.search(f"cannot be used: {PROBLEMS[name]}", shown.stdout)


def test_a_plugin_that_is_not_there_is_named_with_those_that_are() -> None:
    assert {one.name for one in find_plugins()} >= {"bcl", "maskdul"}
    with pytest.raises(ConfigError, match=r"'nonsense'; installed are: .*bcl"):
        load_plugin("nonsense")


def test_the_settings_of_one_plugin_are_shown() -> None:
    done = facekit("plugins", "bcl")
    assert "scale = 128  (float)" in done.stdout
    assert facekit("plugins", "nonsense").returncode == 2
    assert len(QUICK) == 6
