"""What the command line adds to an error or an interruption: the cure, where there is one."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click
import numpy as np
import pytest

from facekit import cli
from facekit.cli import COMMANDS, main
from facekit.errors import RecordError
from facekit.images import encode_jpeg
from facekit.records import Header, PackWriter, open_pack

PICTURE = encode_jpeg(np.zeros((8, 8, 3), np.uint8))


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    with PackWriter(tmp_path / "a pack", "flat") as writer:
        for number in range(4):
            writer.write(Header(0, float(number), number, 0), PICTURE)
    return tmp_path / "a pack"


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in arguments])
    return int(caught.value.code or 0)


def break_record(pack: Path) -> None:
    with open_pack(pack) as opened:
        at = opened.reader.offset(2)
    content = bytearray((pack / "train.rec").read_bytes())
    content[at] ^= 0xFF
    (pack / "train.rec").write_bytes(content)


def break_index(pack: Path) -> None:
    (pack / "train.idx").write_text("0\t0\nwords\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_record, ("unpack", "PACK", "OUT")),
        (break_record, ("inspect", "PACK")),
        (break_record, ("reindex", "PACK", "--overwrite")),
        (break_record, ("convert", "PACK", "OUT")),
        (break_index, ("inspect", "PACK")),
    ],
)
def test_the_cure_that_is_named_cures(
    pack: Path, tmp_path: Path, damage: object, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(damage)
    damage(pack)
    named = {"PACK": pack, "OUT": tmp_path / "out"}
    assert call(*(named.get(word, word) for word in words)) == 1
    *_, problem, cure = capsys.readouterr().err.splitlines()
    assert "offset" in problem
    command, rest = cure.split(" saves what is whole")
    assert rest == ""
    mended = tmp_path / "mended"
    assert call(*(str(mended) if word == "DST" else word for word in shlex.split(command)[1:])) == 1
    assert call("inspect", mended) == 0


def test_no_cure_is_named_where_checking_would_not_help(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rec = pack / "train.rec"
    refused = RecordError("reading failed: Input/output error", rec, 1, 8)
    refused.__cause__ = OSError(5, "Input/output error")
    for error in (
        RecordError("the index has no such key", rec, 99),
        RecordError("the file cannot be read", tmp_path / "gone.rec", 1, 8),
        RecordError("damaged", tmp_path / "pairs.bin", None, 8),
        refused,
    ):
        assert cli.repair_hint(error) == ""
    assert cli.repair_hint(RecordError("damaged", rec, 1, 8)) != ""
    assert call("inspect", tmp_path / "nowhere") == 2
    assert "--repair" not in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("resume", [False, True])
def test_an_interrupted_command_says_whether_it_goes_on(
    name: str, resume: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command(name)
    @click.option("--resume", is_flag=True)
    def interrupted(resume: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli._Commands, "get_command", lambda *_: interrupted)
    assert call(name, *["--resume"] * resume) == 130
    again = "; run the same command again to go on from here"
    said = again if name in ("mask", "synth", "pack", "unpack", "embed", "selflearn") else ""
    if name == "train":
        said = again if resume else "; the same command with --resume goes on from the last checkpoint"
    assert capsys.readouterr().err.strip() == f"facekit: interrupted{said}"


def test_of_a_group_only_what_keeps_its_work_goes_on() -> None:
    assert "run the same command again" in cli.resume_hint(["benchmark", "make", "out"])
    assert cli.resume_hint(["benchmark", "run", "out", "model.onnx"]) == cli.resume_hint(["benchmark"]) == ""


def test_a_call_without_a_command_has_nothing_to_go_on_with() -> None:
    assert cli.resume_hint([]) == cli.resume_hint(["--help"]) == ""
    assert cli.resume_hint(["check", os.devnull]) == ""
