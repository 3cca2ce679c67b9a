"""How kernels are compiled: what is said of it, and that a place is found for what was compiled."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from facekit import compiled
from facekit.compiled import say_compiling, temporary_cache

ROOT = Path(__file__).parents[1]


def test_what_will_be_compiled_is_said_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    done = {"facekit.clean.kernels": 3}
    monkeypatch.setattr(compiled, "is_compiled", lambda kernel: kernel.__module__ not in done)
    with caplog.at_level(logging.INFO, "facekit.run.progress"):
        say_compiling("clean")
        say_compiling("records")
    (line,) = [record.getMessage() for record in caplog.records]
    assert "compiling the kernels, once (about " in line
    assert "facekit doctor --compile" in line


def test_the_temporary_cache_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = temporary_cache()
    assert temporary_cache() == first
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    first.chmod(0o777)  # somebody else may have put something there
    assert temporary_cache() != first
    shutil.rmtree(first)
    (tmp_path / "elsewhere").mkdir()
    first.symlink_to("elsewhere")
    assert temporary_cache() != first
    first.unlink()
    first.write_text("")
    assert temporary_cache().is_dir()


def test_an_install_that_cannot_be_written_and_no_home_still_work(tmp_path: Path) -> None:
    """As in a container that runs as any user; without the capabilities of root, which may write everywhere."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv: the capabilities of root cannot be given up")
    install = tmp_path / "install"
    for room in ("facekit", "assets"):
        shutil.copytree(ROOT / room, install / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (install, *install.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    code = (
        "import facekit.masks.dye as d, numpy as np, sys\n"
        "from facekit.records.kernels import hop_records\n"
        "hop_records(np.zeros(8, np.uint32), 0, np.empty(4, np.int64))\n"
        "print(d.__file__, hop_records.stats.cache_path)\n"
    )
    gone = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all"]
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    env |= {"HOME": "/proc", "PYTHONPATH": str(install), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*(gone if os.geteuid() == 0 else []), sys.executable, "-c", code],
        capture_output=True, text=True, check=False, env=env, cwd=tmp_path,
    )  # fmt: skip
    for path in (install, *install.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    assert done.returncode == 0, done.stderr
    where, cache = done.stdout.split()
    assert where.startswith(str(install))
    assert cache.startswith(str(tmp_path / "facekit-kernels-"))
    assert [*Path(cache).glob("kernels.hop_records-*.nbi")]
