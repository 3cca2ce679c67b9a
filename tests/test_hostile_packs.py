"""Packs that ask for more than they hold: what would take hours or gigabytes is refused, or shows how far it is."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_packs import call, write

from facekit.errors import RecordError
from facekit.jobs.inputs.source import open_source
from facekit.jobs.packs import check as check_job
from facekit.jobs.packs.check import CheckConfig, check
from facekit.records.framing import MAGIC_BYTES
from facekit.records.scan import scan
from facekit.run.progress import Advance, by_position

EMPTY = MAGIC_BYTES + struct.pack("<I", 0)


def share(pack: Path, first: int, second: int) -> None:
    """Give one key the record of another."""
    lines = dict(line.split("\t") for line in (pack / "train.idx").read_text().splitlines())
    lines[str(second)] = lines[str(first)]
    (pack / "train.idx").write_text("".join(f"{key}\t{offset}\n" for key, offset in lines.items()))


@pytest.mark.parametrize("words", [("convert", "OUT"), ("mask", "OUT"), ("unpack", "OUT"), ("split", "OUT")])
def test_keys_that_share_a_record_are_refused_before_it_is_copied(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    pack = write(tmp_path / "pack", [0, 0, 1, 1, 2, 2])
    share(pack, 2, 5)
    more = ("--test", "0.5") if words[0] == "split" else ()
    assert call(words[0], pack, tmp_path / "out", *more) == 1
    err = capsys.readouterr().err
    assert "train.idx, key 2, offset" in err
    assert "1 keys name a record that another one names too, as key 5 does" in err
    assert "facekit check" in err
    assert not (tmp_path / "out").exists()


def test_every_shared_record_is_counted_in_whatever_order_the_keys_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where two that share one are looked at in different steps."""
    pack = write(tmp_path / "pack", [0] * 9, layout="flat")
    text = (pack / "train.idx").read_text().splitlines()
    for shared, count in (((0, 1, 2), 3), ((0, 8), 2), ((), 0)):
        offsets = [line.split("\t")[1] for line in text]
        for row in shared:
            offsets[row] = offsets[4]
        for order in (range(9), range(8, -1, -1), (4, 8, 0, 2, 6, 1, 3, 7, 5)):
            (pack / "train.idx").write_text("".join(f"{row}\t{offsets[row]}\n" for row in order))
            for step in (1, 2, 3, 1 << 20):
                monkeypatch.setattr("facekit.jobs.inputs.source.CHUNK", step)
                if not count:
                    assert len(open_source(str(pack))[0]) == 9
                    continue
                with pytest.raises(RecordError, match=rf": {count} keys name a record"):
                    open_source(str(pack))


def test_a_hole_of_a_terabyte_is_stepped_over(tmp_path: Path) -> None:
    """Zeros are no record; the records behind them are found."""
    rec = tmp_path / "train.rec"
    rec.write_bytes(EMPTY)
    os.truncate(rec, 1 << 40)
    with open(rec, "ab") as file:
        file.write(EMPTY * 3)
    found = scan(rec, resynchronise=True)
    assert found.offsets.tolist() == [0, *(range(1 << 40, (1 << 40) + 24, 8))]
    ((start, stop, _),) = found.gaps
    assert (start, stop) == (8, 1 << 40)
    summary = check(CheckConfig(str(tmp_path)))
    assert summary.counts["damaged"] == 1


@pytest.mark.parametrize("content", [bytes(5 << 20), EMPTY * 60_000, b"", EMPTY + bytes(3 << 20) + EMPTY * 3])
def test_checking_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Whatever is in the file, bytes come in steps that grow to about twice its size."""
    (tmp_path / "train.rec").write_bytes(content)
    shown: list[int] = []

    @contextmanager
    def recorded(title: str, total: int, done: int = 0, unit: str = "records") -> Iterator[Advance]:
        assert (title, total, unit) == ("walking", 2 * len(content), "bytes")
        yield shown.append

    monkeypatch.setattr(check_job, "progress", recorded)
    check(CheckConfig(str(tmp_path)))
    assert all(step >= 1 << 20 for step in shown)
    assert sum(shown) <= 2 * len(content)
    if content == bytes(5 << 20):
        assert len(shown) >= 3  # all in one gap


def test_positions_become_steps() -> None:
    shown: list[int] = []
    reached = by_position(shown.append, 10)
    for position in (0, 5, 10, 12, 19, 40, 40, 3, 50):
        reached(position)
    assert shown == [10, 30, 10]
