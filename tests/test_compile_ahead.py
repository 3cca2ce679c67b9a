"""Kernels are compiled before their job, by two processes: all of them, each once, whatever becomes of the second."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from facekit.run import compiling

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins for a second process are shell scripts")

AHEAD = "from facekit.run.compiling import compile_ahead; compile_ahead('synth'); compile_ahead('masks')"
JOBS = """
from numba.core import event
from numba.core.event import RecordingListener

heard = RecordingListener()
event.register("numba:compile", heard)
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.job import synth
from facekit.masks import TYPES, render_worn, sample_params
from facekit.synth.plan import PackSpec
from mask_faces import picture, turned
import numpy as np, sys

synth(SynthConfig(sys.argv[1], PackSpec(8, 3, seed=1), workers=1))
for type in TYPES:
    render_worn(picture(), turned(), sample_params(np.random.default_rng(0), type))
    render_worn(picture(700, 600), turned(scale=32.0, centre=(300, 360)), sample_params(np.random.default_rng(1), type))
print(sorted(e.data["dispatcher"].py_func.__name__ for _, e in heard.buffer if e.is_start))
"""


def test_the_jobs_compile_nothing_that_was_not_compiled_ahead(tmp_path: Path) -> None:
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(Path(__file__).parent)}
    env["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", AHEAD], check=True, env=env)
    command = [sys.executable, "-c", JOBS, str(tmp_path / "people")]
    done = subprocess.run(command, check=True, env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", "write in the room's signatures.py what the kernel is called with"


def compiled_here(monkeypatch: pytest.MonkeyPatch, executable: Path, script: str, processors: int = 2) -> Counter[str]:
    """How often this process compiles each of twelve kernels beside a second process that is a shell script."""
    executable.write_text(f"#!/bin/sh\n{script}\n")
    executable.chmod(0o755)
    times: Counter[str] = Counter()

    def kernel(number: int) -> SimpleNamespace:
        stats = SimpleNamespace(cache_path=str(executable.parent))
        return SimpleNamespace(stats=stats, compile=lambda types: times.update([f"{number} {types}"]))

    monkeypatch.setattr(compiling, "_kernels", lambda room: [(kernel(n), "L") for n in range(12)])
    monkeypatch.setattr(compiling, "is_compiled", lambda kernel: False)
    monkeypatch.setattr(compiling, "say_compiling", lambda room, processes: None)
    monkeypatch.setattr(compiling, "_processors", lambda: processors)
    monkeypatch.setattr(compiling.sys, "executable", str(executable))
    compiling.compile_ahead("masks")
    return times


EACH = Counter(f"{number} (int64,)" for number in range(12))


@pytest.mark.parametrize(
    "script",
    ["exit 1", "read number; exit", "read number; echo nonsense; sleep 9", "exec <&-; exec >&-; exit", "kill -9 $$"],
)
def test_what_a_second_process_does_not_finish_is_compiled_here(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled_here(monkeypatch, tmp_path / "second", script) == EACH


def test_a_second_process_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "PATIENCE", 0.2)
    assert compiled_here(monkeypatch, tmp_path / "second", "read number; exec sleep 60") == EACH


def test_no_kernel_is_compiled_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process says which it did; the first does the others."""
    done = tmp_path / "done"
    script = f"while read number; do echo $number >> {done}; echo $number; done"
    here = compiled_here(monkeypatch, tmp_path / "second", script)
    there = done.read_text().split() if done.exists() else []
    assert here + Counter(f"{number} (int64,)" for number in there) == EACH


def test_with_one_processor_there_is_no_second_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled_here(monkeypatch, tmp_path / "second", f"touch {tmp_path}/ran", processors=1) == EACH
    assert not (tmp_path / "ran").exists()


def test_a_signature_is_written_in_words() -> None:
    import numba
    import numpy as np

    closed = np.zeros(3, np.int32)
    closed.flags.writeable = False
    values = (np.zeros((2, 3), np.float32), 1, (1.0, 2.0), closed, np.float32(1), np.zeros((1, 1, 1), np.uint8), True)
    assert compiling.types_of("F2 L 2D I1r F U3 B") == tuple(map(numba.typeof, values))
