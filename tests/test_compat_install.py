"""How the stand-in is installed: in all processes of a script, with everything that is only imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facekit.compat import mxnet as mx

IMPORTS = """
import mxnet as mx
from mxnet import autograd, context, gluon, io, metric, module, optimizer
import mxnet.gluon.nn as nn
from mxnet.gluon.data.vision import transforms
from mxnet.io import DataBatch, DataDesc, DataIter

class Iter(mx.io.DataIter):
    size = 3
    def reset(self): pass

assert issubclass(Iter, DataIter) or Iter.size == 3
for use in (lambda: Iter(), lambda: mx.metric.Accuracy(), lambda: nn.Dense(4), lambda: mx.context.gpu(0),
            lambda: mx.optimizer.SGD.create(1), lambda: transforms.Compose([]), lambda: autograd.record()):
    try:
        use()
    except NotImplementedError as error:
        assert "recordio, image and nd" in str(error)
    else:
        raise AssertionError(use)
for missing in ("mxnet.nothing", "mxnet.recordio.nothing"):
    try:
        __import__(missing)
    except ImportError:
        pass
    else:
        raise AssertionError(missing)
assert not hasattr(gluon, "__wrapped__")
"""


@pytest.mark.parametrize("how", ["-m", "install", "path"])
def test_parts_that_are_only_imported_can_be_imported(tmp_path: Path, how: str) -> None:
    script, env = tmp_path / "script.py", dict(os.environ)
    begin = "from facekit.compat import mxnet; mxnet.install()\n" if how == "install" else ""
    script.write_text(begin + IMPORTS)
    if how == "path":
        env["PYTHONPATH"] = str(mx.SHIM)
    before = ["-m", "facekit.compat.mxnet"] if how == "-m" else []
    done = subprocess.run([sys.executable, *before, script], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr


FORMER = """
import numpy as np, subprocess, sys
assert np.float_ is np.float64 and np.int is int and np.NaN != np.NaN and np.Inf == float("inf")
assert np.arange(3, dtype=np.float).dtype == np.float64 and np.in1d([1, 2], [2]).tolist() == [False, True]
assert np.trapz([1, 1]) == 1 and np.product([2, 3]) == 6 and np.asfarray([1]).dtype == np.float64
if len(sys.argv) < 2:
    import mxnet
    code = "import mxnet\\n" + open(__file__).read()
    sys.exit(subprocess.run([sys.executable, "-c", code, "child"]).returncode)
"""


def test_scripts_find_the_names_that_numpy_dropped(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(FORMER)
    run = [sys.executable, "-W", "error", "-m", "facekit.compat.mxnet", tmp_path / "script.py"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False)
    assert "AttributeError" in alone.stderr, "numpy has them again: they need not be restored"


SCRIPT = """
import multiprocessing, os, sys
import mxnet as mx
import mxnet.recordio
from mxnet import ndarray as nd
from helper_of_the_script import ANSWER

def look(path):
    import mxnet
    return mxnet.__name__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(sys.argv[1:], mx.__name__, ANSWER, pool.map(look, [0]), mx.recordio is mxnet.recordio)
    os.system(sys.executable + ' -c "import mxnet; print(mxnet.__name__)"')
"""


@pytest.mark.parametrize("by_module", [False, True])
def test_a_script_runs_with_the_stand_in_in_all_its_processes(tmp_path: Path, by_module: bool) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper_of_the_script.py").write_text("ANSWER = 42\n")
    name = ["-m", "script"] if by_module else [str(tmp_path / "script.py")]
    done = subprocess.run(
        [sys.executable, "-m", "facekit.compat.mxnet", *name, "--lr", "0.1"],
        capture_output=True, text=True, check=True, cwd=tmp_path if by_module else Path("/"),
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    own = "facekit.compat.mxnet"
    assert set(done.stdout.splitlines()) == {own, f"['--lr', '0.1'] {own} 42 ['{own}'] True"}


def test_without_a_script_there_is_a_usage() -> None:
    for arguments, message in ([], "SCRIPT"), (["nowhere.py"], "nowhere.py"):
        done = subprocess.run(
            [sys.executable, "-m", "facekit.compat.mxnet", *arguments], capture_output=True, text=True
        )
        assert done.returncode == 2
        assert message in done.stderr


def test_the_real_one_is_not_pushed_aside_once_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "mxnet.py").touch()
    script = "import mxnet\nfrom facekit.compat import mxnet as mx\nmx.install()"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "mxnet is imported already, from" in done.stderr
    twice = "from facekit.compat import mxnet as mx\nmx.install(); mx.install()\nimport mxnet; assert mxnet is mx"
    subprocess.run([sys.executable, "-c", twice], check=True)
