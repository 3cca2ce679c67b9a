"""What jobs say of themselves where nobody looks: now and then a line of the log, and a bar only on a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import save_model, save_pack

from facekit.records import Header, PackWriter, open_pack
from facekit.records.bins import write_bins
from facekit.run import progress as module
from facekit.run.progress import duration, progress


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "monotonic", found)
    return found


def lines_of(
    caplog: pytest.LogCaptureFixture, clock: Clock, total: int, every: float, done: int = 0, count: int = 1
) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO, module.__name__), progress("masking", total, done) as advance:
        for _ in range((total - done) // count):
            clock.now += every
            advance(count)
    return [record.getMessage() for record in caplog.records]


def test_a_quick_job_says_nothing(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    assert lines_of(caplog, clock, 1000, 9.9 / 1000) == []


def test_a_job_says_each_tenth_that_it_reaches(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    lines = lines_of(caplog, clock, 1000, 0.2)  # 200 s
    assert [line.split("(")[1].split("%")[0] for line in lines] == [str(10 * tenth) for tenth in range(1, 11)]
    assert lines[0] == "masking: 100 of 1,000 records (10%), 5/s, 3 min 0 s left"
    assert lines[-1] == "masking: 1,000 of 1,000 records (100%), 5/s, done"


def test_a_long_job_says_a_line_a_minute(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    lines = lines_of(caplog, clock, 10_000, 1.0)
    assert abs(len(lines) - 10_000 // 60) <= 10
    assert lines[0] == "masking: 60 of 10,000 records (0%), 1/s, 2 h 45 min left"


def test_what_an_earlier_run_did_is_no_part_of_the_rate(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    (line, *_) = lines_of(caplog, clock, 10_000, 30.0, done=9_000, count=300)
    assert line == "masking: 9,600 of 10,000 records (96%), 10/s, 40 s left"


def test_a_line_says_how_many_were_refused_so_far(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    with caplog.at_level(logging.INFO, module.__name__), progress("masking", 1000) as advance:
        for refused in (0, 1500, None, 2):
            clock.now += 20
            advance(100, refused=refused)
    said = [record.getMessage().partition(" left")[2] for record in caplog.records]
    assert said == [", 0 refused", ", 1,500 refused", ", 1,500 refused", ", 1,502 refused"]


@given(
    total=st.integers(0, 50), done=st.integers(0, 50), steps=st.lists(st.tuples(st.integers(0, 20), st.floats(0, 90)))
)
def test_whatever_is_done_the_lines_are_never_many(total: int, done: int, steps: list[tuple[int, float]]) -> None:
    said: list[float] = []
    clock = Clock()
    handler = logging.Handler()
    handler.emit = lambda record: said.append(clock.now)  # type: ignore[method-assign]
    logger = logging.getLogger(module.__name__)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "monotonic", clock)
        with progress("x", total, done) as advance:
            for count, seconds in steps:
                clock.now += seconds
                advance(count)
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    assert all(later - earlier >= module.AT_LEAST for earlier, later in zip([1000.0, *said], said, strict=False))
    spans = [later - earlier for earlier, later in zip([1000.0, *said], [*said, clock.now], strict=True)]
    longest = max([seconds for _, seconds in steps], default=0)
    assert all(span < module.EVERY + longest for span in spans)


@given(st.floats(0, 1e8))
def test_a_duration_is_within_its_smaller_unit(seconds: float) -> None:
    units = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
    words = duration(seconds).split()
    said = sum(int(count) * units[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
    assert -0.5 <= seconds - said <= units[words[-1]]


SLOW = (
    "import sys, facekit.run.progress as p\n"
    "p.EVERY = p.AT_LEAST = 0\n"
    "from facekit.cli import main\n"
    "main(sys.argv[1:])\n"
)


def slow(*words: object, terminal: bool = False) -> tuple[str, str]:
    """A command that logs every step of its progress."""
    command = [sys.executable, "-c", SLOW, *map(str, words)]
    if not terminal:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout, done.stderr
    above, below = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=below, text=True) as run:
        os.close(below)
        said = b""
        try:
            while block := os.read(above, 65536):
                said += block
        except OSError:  # how a terminal ends
            pass
        out = run.communicate()[0]
    os.close(above)
    return out, said.decode()


def test_progress_is_logged_as_text_as_json_or_not_at_all(tmp_path: Path) -> None:
    save_pack(tmp_path / "pack", people=3, each=2)
    words = ("convert", tmp_path / "pack", tmp_path / "out", "--overwrite")
    _, text = slow(*words)
    assert " of 6 records (100%)" in text
    _, lines = slow(*words, "--log-json")
    found = [json.loads(line) for line in lines.splitlines()]
    assert found
    assert found[-1] | {"time": 0, "rate": 0, "title": "", "message": ""} == {
        "time": 0, "level": "info", "logger": "facekit.run.progress", "message": "", "title": "", "unit": "records",
        "done": 6, "total": 6, "rate": 0, "seconds_left": 0, "refused": None,
    }  # fmt: skip
    for quiet in (("--quiet", *words), (*words, "--quiet"), (*words, "--quiet", "--log-json")):
        assert slow(*quiet)[1] == ""
    assert slow(*words, "--quiet")[0]


@pytest.mark.parametrize("job", ["mask", "mask of a .bin", "pack", "pack of tars", "embed", "photos"])
def test_jobs_that_can_refuse_say_how_many_they_have_refused(tmp_path: Path, job: str) -> None:
    save_pack(tmp_path / "noise", people=3, each=2, ledger=False)  # no faces, and no crops of 112 x 112
    save_model(tmp_path / "model.onnx")
    broken = b"\xff\xd8\xff and no more"
    with open_pack(tmp_path / "noise") as pack, PackWriter(tmp_path / "broken") as writer:
        payloads = [record.payload for record in pack]
        for number, payload in enumerate([*payloads[:4], broken, broken]):
            writer.write(Header(0, float(number // 2), 0, 0), payload)
    for number, payload in enumerate([broken, *payloads[1:]]):
        (tmp_path / "people" / str(number // 2)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / str(number // 2) / f"{number}.jpg").write_bytes(payload)
    with tarfile.open(tmp_path / "shard-000000.tar", "w") as tar:
        for number, payload in enumerate([*payloads[:3], broken]):
            for name, content in ((f"{number:09}.jpg", payload), (f"{number:09}.cls", b"0")):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    write_bins(tmp_path / "pairs.bin", payloads[:4], [True, False])
    words, refused = {
        "mask": (("mask", tmp_path / "noise", tmp_path / "out", "--ratio", "0.5"), 6),
        "mask of a .bin": (("mask", tmp_path / "pairs.bin", tmp_path / "out.bin"), 4),
        "pack": (("pack", tmp_path / "people", tmp_path / "out"), 6),
        "pack of tars": (("pack", tmp_path / "shard-000000.tar", tmp_path / "out"), 4),
        "embed": (("embed", tmp_path / "broken", tmp_path / "out", "--model", tmp_path / "model.onnx"), 2),
        "photos": (("mask", tmp_path / "people", tmp_path / "out", "--photos"), 1),
    }[job]
    _, lines = slow(*words, "--workers", "1", "--log-json")
    found = [json.loads(line) for line in lines.splitlines() if '"done"' in line]
    titles = {"pack": "packing", "embed": "embedding"}
    own = [one for one in found if one["title"] == titles.get(words[0], "masking")]
    assert own, lines
    assert own[-1]["refused"] == refused


def test_an_error_is_a_line_of_json_too(tmp_path: Path) -> None:
    _, lines = slow("inspect", tmp_path / "nowhere", "--log-json")
    (found,) = [json.loads(line) for line in lines.splitlines()]
    assert found["level"] == "error"
    assert "no such pack" in found["message"]
    assert not found["message"].startswith("facekit: ")


def test_a_terminal_has_a_bar_and_no_lines(tmp_path: Path) -> None:
    save_pack(tmp_path / "pack", people=3, each=2)
    words = ("convert", tmp_path / "pack", tmp_path / "out", "--overwrite")
    assert "6/6" in slow(*words, terminal=True)[1]
    assert '"done": 6' in slow(*words, "--log-json", terminal=True)[1]
    assert slow(*words, "--quiet", terminal=True)[1] == ""
