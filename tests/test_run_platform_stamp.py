"""The name of the instruction set, and that a drawing job does not mix two of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facekit.errors import ConfigError
from facekit.jobs.synth import job as synth_job
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.job import synth
from facekit.run.platform_stamp import instruction_set
from facekit.synth.plan import PackSpec

CODE = "from facekit.run.platform_stamp import instruction_set; print(instruction_set())"


def elsewhere(**variables: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env={**clean, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_every_process_of_a_machine_says_the_same() -> None:
    same = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
    assert elsewhere(**same) == instruction_set()
    assert elsewhere() == elsewhere()


def test_it_changes_with_what_is_compiled_for() -> None:
    here, generic = elsewhere(), elsewhere(NUMBA_CPU_NAME="generic")
    features = [
        elsewhere(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES=which) for which in ("+avx2", "+avx2,+fma", "-avx2")
    ]
    assert len({here, generic, *features[:2]}) == 4
    assert features[2] == generic, "a feature that is off is none"
    assert elsewhere(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="+fma,+avx2") == features[1]


def test_a_drawing_job_does_not_go_on_on_another_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SynthConfig(str(tmp_path / "pack"), PackSpec(2, 2))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(synth_job, "assemble_output", stop)
        with pytest.raises(KeyboardInterrupt):
            synth(config)
    with monkeypatch.context() as patched:
        patched.setattr(synth_job, "instruction_set", lambda: "x86_64 other 00000000")
        with pytest.raises(ConfigError, match=r"instruction_set was .* is 'x86_64 other 00000000'"):
            synth(config)
    assert synth(config).images == 4
