"""Commands whose output nobody reads, or that have no streams at all, do their work and say how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import save_model, save_pack

FACEKIT = f"{sys.executable} -m facekit"


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"FACEKIT": FACEKIT},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("streams")
    save_pack(found / "pack", people=3, each=2)
    save_model(found / "model.onnx")
    (found / "damaged").mkdir()
    (found / "damaged" / "train.rec").write_text("hello")
    return found


COMMANDS = {
    "mask": "mask pack OUT --ratio 0 --workers 1",
    "pack": "pack pictures OUT --workers 1 --size any",
    "embed": "embed pack OUT --model model.onnx",
    "synth": "synth OUT --identities 1 --images 1 --workers 1",
    "convert": "convert pack OUT",
    "split": "split pack OUT --test 0.4",
    "merge": "merge pack other OUT",
    "unpack": "unpack pack OUT",
    "check": "check pack --deep --repair OUT",
}
STREAMS = {"no stderr": "2>&-", "no stdout": ">&-", "no streams": "<&- >&- 2>&-", "nobody reads": "| true",
           "nobody reads either": "2>&1 | true", "no stderr and nobody reads": "2>&- | true"}  # fmt: skip


CASES = [(name, "no stderr and nobody reads") for name in COMMANDS]
CASES += [("convert", streams) for streams in list(STREAMS)[:-1]]


@pytest.mark.parametrize(("name", "streams"), CASES)
def test_what_is_published_is_told_to_nobody(folder: Path, name: str, streams: str) -> None:
    if not (folder / "pictures").exists():
        assert shell("$FACEKIT unpack pack pictures && $FACEKIT convert pack other", folder).returncode == 0
    out = f"{name}-{streams.replace(' ', '-')}"
    done = shell(f"$FACEKIT {COMMANDS[name].replace('OUT', out)} {STREAMS[streams]}", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / out).is_dir()
    assert not (folder / f"{out}.partial").exists()


@pytest.mark.parametrize("streams", STREAMS)
def test_the_exit_code_is_that_of_the_command(folder: Path, streams: str) -> None:
    """What check finds, a pack that is not there, and bad usage: whoever listens."""
    for line, code in (
        ("check nowhere", 2),
        ("check damaged", 1),
        ("inspect pack --sample 0", 2),
        ("textures list", 0),
        ("--help", 0),
    ):
        assert shell(f"$FACEKIT {line} {STREAMS[streams]}", folder).returncode == code, line


def test_findings_are_an_exit_code_even_where_nobody_reads_them(folder: Path) -> None:
    if not (folder / "cut").exists():
        assert shell("$FACEKIT convert pack cut", folder).returncode == 0
        os.truncate(folder / "cut" / "train.rec", (folder / "cut" / "train.rec").stat().st_size - 9)
    assert shell("$FACEKIT check cut | true", folder).returncode == 1


def test_a_disk_that_is_full_is_one_line(folder: Path) -> None:
    done = shell("$FACEKIT inspect pack > /dev/full", folder)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line == "facekit: the system: the disk is full: free some space"


def test_the_first_file_that_is_opened_does_not_get_the_number_of_a_stream(folder: Path) -> None:
    code = (
        "import sys; from facekit.cli.streams import prepare_streams; prepare_streams()\n"
        "number = open('model.onnx', 'rb').fileno(); print('lost'); print('lost', file=sys.stderr); "
        "sys.stdout.flush(); sys.exit(0 if number > 2 else 9)"
    )
    for streams in STREAMS.values():
        assert shell(f'{sys.executable} -c "{code}" {streams}', folder).returncode == 0, streams
