"""Ways to break a pack, and what ``facekit check`` says about each; what can be saved is saved, the rest is listed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from broken_packs import BREAKS, MAGIC, PAYLOADS, label, lines, make, patch

from facekit.cli import main
from facekit.errors import FacekitError, RecordError
from facekit.images import decode, encode_jpeg
from facekit.jobs.packs.check import CheckConfig, CheckSummary, check
from facekit.jobs.packs.check_decoder import capture_stderr
from facekit.records import Header, PackWriter, RecordWriter, frame, open_pack, pack_record
from facekit.records.findings import KINDS, Findings
from facekit.run.ledger import LedgerRow, LedgerWriter, payload_hash, table


@pytest.mark.parametrize("name", BREAKS)
def test_each_way_to_break_a_pack_is_found_and_repaired(tmp_path: Path, name: str) -> None:
    breaking, expected, lost = BREAKS[name]
    pack = make(tmp_path / "pack")
    assert check(CheckConfig(str(pack.folder), deep=True)).counts == {}
    breaking(pack)
    before = {path.name: path.read_bytes() for path in pack.folder.iterdir()}
    summary = check(CheckConfig(str(pack.folder), deep=True, repair=str(tmp_path / "mended")))
    assert summary.counts == expected
    assert sum(expected.values()) == len(summary.findings)
    assert {path.name: path.read_bytes() for path in pack.folder.iterdir()} == before
    saved = [payload for number, payload in enumerate(PAYLOADS, 1) if number not in lost]
    with open_pack(tmp_path / "mended") as mended:
        payloads = [record.payload for record in mended]
        assert mended.layout == "insightface"
    assert len(payloads) == summary.saved == len(saved)
    if name != "a payload that the ledger does not know":
        assert sorted(payloads) == sorted(saved)
    assert check(CheckConfig(str(tmp_path / "mended"), deep=True)).counts == {}
    rows = pq.read_table(tmp_path / "mended" / "train.ledger.parquet").to_pylist()
    assert sum(row["key"] is not None and row["action"] == "copy" for row in rows) == len(saved)
    assert sum(row["action"] == "drop" for row in rows) == summary.lost
    assert len(lost) <= summary.lost


def test_a_sound_pack_of_either_layout_has_no_finding(tmp_path: Path) -> None:
    for layout in ("insightface", "flat"):
        pack = make(tmp_path / layout, layout)
        summary = check(CheckConfig(str(pack.folder), deep=True))
        assert (summary.layout, summary.images, summary.identities) == (layout, 8, 4)
        assert (summary.counts, summary.findings) == ({}, [])


def test_findings_carry_key_and_offset(tmp_path: Path) -> None:
    pack = make(tmp_path / "pack")
    patch(6, 12, label(0.25))(pack)
    found = check(CheckConfig(str(pack.folder))).findings
    assert {"kind": "label_not_whole", "problem": "the label 0.25 is not a whole number from 0 on"} | {
        "key": 6,
        "offset": pack.offsets[6],
    } in found


@pytest.mark.parametrize("odd", [1, 2, 3])
@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("several", [True, False])
def test_a_last_record_that_lacks_nothing_but_padding_is_saved(
    tmp_path: Path, odd: int, indexed: bool, several: bool
) -> None:
    payloads = [bytes(PAYLOADS[0]), PAYLOADS[1][: -len(PAYLOADS[1]) % 4] + PAYLOADS[1], PAYLOADS[4] if several else b""]
    payloads[2] += PAYLOADS[2] + bytes(4 - (len(payloads[2]) + len(PAYLOADS[2])) % 4) + bytes(odd)
    with PackWriter(tmp_path / "pack", "flat") as writer:
        for payload in payloads:
            writer.write(Header(0, 0.0, writer.next_key, 0), payload)
    with open_pack(tmp_path / "pack") as pack:
        offset = pack.reader.offset(2)
    rec = tmp_path / "pack" / "train.rec"
    for missing in range(1, 5 - odd):
        os.truncate(rec, rec.stat().st_size - 1)
        if not indexed:
            rec.with_suffix(".idx").unlink(missing_ok=True)
        mended = tmp_path / f"mended{missing}"
        summary = check(CheckConfig(str(rec.parent), deep=True, repair=str(mended)))
        assert summary.counts == {"padding_missing": 1} | ({} if indexed else {"index_missing": 1})
        found = summary.findings[-1]
        assert (found["key"], found["offset"]) == (2, offset)
        assert found["problem"] == f"{missing} zeros are missing at the end of the file"
        assert (summary.saved, summary.lost) == (3, 0)
        with open_pack(mended) as pack:
            assert [record.payload for record in pack] == payloads
            assert [record.header.id for record in pack] == [0, 1, 2]
        assert check(CheckConfig(str(mended), deep=True)).counts == {}
    os.truncate(rec, rec.stat().st_size - 1)
    assert "truncated" in check(CheckConfig(str(rec.parent))).counts


def test_a_reader_names_the_padding_that_is_missing(tmp_path: Path) -> None:
    pack = make(tmp_path / "pack", "flat")
    key = max(pack.offsets)
    os.truncate(pack.rec, pack.offsets[key] + 32 + len(PAYLOADS[key]))
    size = 24 + len(PAYLOADS[key])
    problem = f"the file is truncated: {-size % 4} of the zeros behind a part of {size} bytes are missing"
    with open_pack(pack.folder) as opened, pytest.raises(RecordError) as caught:
        opened.read(key)
    assert (caught.value.problem, caught.value.key, caught.value.offset) == (problem, key, pack.offsets[key])


def test_two_ranges_with_one_image_and_a_gap_in_the_labels(tmp_path: Path) -> None:
    pack = make(tmp_path / "pack")
    patch(10, 32, label(2))(pack)
    counts = check(CheckConfig(str(pack.folder))).counts
    assert counts == {"identity_range": 1, "identity_missing": 1}
    with PackWriter(tmp_path / "gaps", "flat") as writer:
        for number in (3, 5, 6, 900):
            writer.write(Header(0, float(number), 0, 0), PAYLOADS[0])
    summary = check(CheckConfig(str(tmp_path / "gaps")))
    assert summary.counts == {"label_gap": 1}
    assert summary.findings[0]["problem"] == "897 of 901 labels have no image: 0 to 2, 4, 7 to 899"


def test_cut_and_odd_pictures(tmp_path: Path) -> None:
    shown = encode_jpeg(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8))
    with PackWriter(tmp_path / "pack", "flat", image_size=(12, 10)) as writer:
        for payload in (PAYLOADS[0], shown[: len(shown) - 2], shown[: len(shown) // 2], PAYLOADS[1], b""):
            writer.write(Header(0, 0.0, 0, 0), payload)
    summary = check(CheckConfig(str(tmp_path / "pack"), deep=True))
    places = {(found["kind"], found["key"]) for found in summary.findings}
    assert ("empty_payload", 4) in places
    assert ("picture_cut", 1) in places or ("undecodable", 1) in places
    assert ("picture_cut", 2) in places or ("undecodable", 2) in places
    assert not places & {(kind, key) for kind in KINDS for key in (0, 3)}


@pytest.fixture
def bitten() -> bytes:
    """A JPEG with flipped bits among its coded data: it decodes, to other pixels."""
    shown = bytearray(encode_jpeg(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)))
    shown[len(shown) // 2] ^= 0xFF
    return bytes(shown)


def test_damage_that_the_decoder_warns_of_is_a_finding_and_not_on_stderr(
    tmp_path: Path, bitten: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    decode(bitten)
    warning = capfd.readouterr().err.strip()
    assert warning.startswith("Corrupt JPEG data: "), "the material must be damaged"
    with PackWriter(tmp_path / "pack", "flat") as writer:
        for number in range(600):
            writer.write(Header(0, 0.0, number, 0), bitten if number in (3, 255, 256, 599) else PAYLOADS[0])
    summary = check(CheckConfig(str(tmp_path / "pack"), deep=True, repair=str(tmp_path / "mended")))
    said = [(found["kind"], found["key"], found["problem"]) for found in summary.findings]
    damaged = [found for found in said if found[0] != "odd_size"]
    assert damaged == [("picture_damaged", key, f"the decoder says: {warning}") for key in (3, 255, 256, 599)]
    assert summary.saved == 600
    assert capfd.readouterr().err == ""


def test_what_others_write_to_stderr_meanwhile_arrives(bitten: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), capture_stderr() as stderr:
        os.write(2, b"before\n")
        assert stderr.damage() == ""
        decode(bitten)
        os.write(2, b"after\n")
        assert stderr.damage().startswith("Corrupt JPEG data: ")
        assert stderr.damage() == ""
        raise KeyError
    os.write(2, b"behind\n")
    assert capfd.readouterr().err == "before\nafter\nbehind\n"


@pytest.mark.parametrize("layout", ["flat", "insightface"])
def test_a_changed_payload_is_not_copied_as_if_nothing_were_wrong(
    tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = make(tmp_path / "pack", layout)
    first = 1 if layout == "insightface" else 0
    with LedgerWriter(pack.folder / "train.ledger.parquet") as writer:
        hashes = [payload_hash(payload if number != 1 else b"") for number, payload in enumerate(PAYLOADS)]
        rows = [LedgerRow(number + first, number, hashes[number], "copy") for number in range(8)]
        writer.append(table(rows))
    assert call("check", pack.folder, "--deep", "--repair", tmp_path / "mended") == 1
    assert "1 of them are not what they were: the ledger there says payload_changed" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "mended" / "train.ledger.parquet").to_pylist()
    assert {row["key"]: row["reason"] for row in rows if row["reason"]} == {first + 1: "payload_changed"}
    assert [row["payload_hash"] for row in rows[:8]] == [payload_hash(payload) for payload in PAYLOADS]


@pytest.mark.parametrize("off", [-8, -4, 4, 8])
def test_an_offset_beside_the_start_of_its_record_loses_nothing(tmp_path: Path, off: int) -> None:
    pack = make(tmp_path / "pack")
    lines(lambda t: [*t[:3], f"4\t{pack.offsets[4] + off}", *t[4:]])(pack)
    summary = check(CheckConfig(str(pack.folder), repair=str(tmp_path / "mended")))
    assert summary.counts == {"index_offset": 1}
    assert (summary.saved, summary.lost) == (8, 0)
    rows = pq.read_table(tmp_path / "mended" / "train.ledger.parquet").to_pylist()
    assert [row["source_key"] for row in rows if row["action"] == "copy"] == [*range(1, 9)]


def test_an_offset_that_two_lines_give_or_that_lies_far_means_no_record(tmp_path: Path) -> None:
    pack = make(tmp_path / "pack")
    for other in ([f"99\t{pack.offsets[4] - 4}"], []):
        near = pack.offsets[4] + (4 if other else 12)
        pack.write_lines([f"{key}\t{near if key == 4 else at}" for key, at in pack.offsets.items()] + other)
        summary = check(CheckConfig(str(pack.folder)))
        assert summary.counts["index_offset"] == len(other) + 1
        assert summary.counts["index_incomplete"] == 1


@pytest.mark.parametrize(
    ("most", "shown", "rest"),
    [
        (0, 0, "and 15 more; --json lists 0 in all: a larger --most lists more"),
        (3, 3, "and 12 more; --json lists 3 in all: a larger --most lists more"),
        (9, 5, "and 10 more; --json lists 9 in all: a larger --most lists more"),
        (15, 5, "and 10 more; --json lists them"),
    ],
)
def test_the_rest_is_counted_from_what_is_shown(
    tmp_path: Path, most: int, shown: int, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with RecordWriter(tmp_path / "x.rec") as writer:
        for key in range(15):
            writer.write_bytes(key, b"short")
    assert call("check", tmp_path / "x.rec", "--most", most) == 1
    first, *others = capsys.readouterr().out.splitlines()[1:]
    assert first.startswith("15 x header: ")
    assert (len(others), others[-1]) == (shown + 1, f"  {rest}")


def test_nothing_is_taken_on_trust(tmp_path: Path) -> None:
    """A label vector at key 0, ids that are not keys, a pack of one record: all sound."""
    with PackWriter(tmp_path / "vector", "flat") as writer:
        writer.write(Header(3, np.array([0, 1, 2], np.float32), 77, 5), PAYLOADS[0])
    assert check(CheckConfig(str(tmp_path / "vector"), deep=True)).counts == {}
    (tmp_path / "empty.rec").touch()
    (tmp_path / "empty.idx").touch()
    summary = check(CheckConfig(str(tmp_path / "empty.rec")))
    assert summary.counts == {"empty": 1}
    assert summary.findings[0]["problem"] == "empty.rec has 0 bytes: fetch or make it again, nothing can be saved"
    with pytest.raises(FacekitError, match="no record that can be saved"):
        check(CheckConfig(str(tmp_path / "empty.rec"), repair=str(tmp_path / "out")))
    with pytest.raises(RecordError, match="no such pack"):
        check(CheckConfig(str(tmp_path / "nowhere")))


def test_a_hopeless_file_is_counted_and_not_listed_in_full(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec") as writer:
        for key in range(3000):
            writer.write_bytes(key, b"short")
    summary = check(CheckConfig(str(tmp_path / "x.rec"), most=10))
    assert summary.counts == {"header": 3000}
    assert len(summary.findings) == 10
    (tmp_path / "y.rec").write_bytes(np.random.default_rng(0).bytes(1 << 20))
    summary = check(CheckConfig(str(tmp_path / "y.rec")))
    assert set(summary.counts) == {"damaged", "index_missing"}


def test_no_copy_is_made_beside_a_ledger_that_cannot_be_read(tmp_path: Path) -> None:
    pack = make(tmp_path / "pack")
    (pack.folder / "train.ledger.parquet").write_bytes(b"PAR1")
    for deep in (False, True):
        with pytest.raises(FacekitError, match=r"train\.ledger\.parquet cannot be read"):
            check(CheckConfig(str(pack.folder), deep=deep, repair=str(tmp_path / "out")))


def test_a_record_of_wrong_kind_is_no_kind() -> None:
    with pytest.raises(AssertionError):
        Findings().add("nonsense", "")


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in arguments])
    return int(caught.value.code or 0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = make(tmp_path / "pack")
    assert call("check", pack.folder) == 0
    assert "nothing is wrong; --deep looks at the pictures too" in capsys.readouterr().out
    patch(2, 0, b"?")(pack)
    assert call("check", pack.folder, "--repair", tmp_path / "mended") == 1
    out, err = capsys.readouterr()
    assert f"key 2, offset {pack.offsets[2]}: " in out
    assert "saved 7 images" in out
    assert err == ""
    assert call("check", pack.folder, "--repair", tmp_path / "mended") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert call("check", pack.folder, "--json", "--repair", tmp_path / "mended", "--overwrite") == 1
    summary = CheckSummary(**json.loads(capsys.readouterr().out))
    assert summary.counts["damaged"] == 1
    assert summary.findings[0]["offset"] == pack.offsets[2]
    assert call("check", tmp_path / "mended", "--deep") == 0
    assert call("check", tmp_path / "nowhere") == 2


def test_measuring_material_is_sound(shared: Path) -> None:
    for name in ("faces", "noisy"):
        assert check(CheckConfig(str(shared / "data" / name))).counts == {}


def test_what_is_framed_by_hand_is_read(tmp_path: Path) -> None:
    """Two parts, the first empty: the smallest record of several parts."""
    buffer = MAGIC + pack_record(Header(0, 0.0, 0, 0), PAYLOADS[0])[4:]
    (tmp_path / "x.rec").write_bytes(frame(buffer))
    (tmp_path / "x.idx").write_text("0\t0\n")
    assert set(check(CheckConfig(str(tmp_path / "x.rec"))).counts) == {"header"}  # the flag is 3 billion
    shutil.rmtree(tmp_path)


def test_a_ledger_that_is_none_is_found_and_named(tmp_path: Path) -> None:
    pack = make(tmp_path / "pack")
    for number, columns in enumerate(({"key": ["a"]}, {"key": [[1]], "action": [{"a": 1}]}, {})):
        path = pack.folder / "train.ledger.parquet"
        pq.write_table(pa.table(columns), path) if columns else path.write_text("no table")
        for deep in (False, True):
            found = check(CheckConfig(str(pack.folder), deep=deep))
            assert found.counts == {"ledger": 1}, number
            assert str(path) in str(found.findings[0]["problem"])


def test_a_ledger_of_another_pack_is_found(tmp_path: Path) -> None:
    pack = make(tmp_path / "pack")
    with LedgerWriter(pack.folder / "train.ledger.parquet") as writer:
        writer.append(table([LedgerRow(n, n, payload_hash(b""), "copy") for n in (1, 3, 70, 2**40)]))
        writer.append(table([LedgerRow(None, 9, payload_hash(b""), "refused", reason="no_face")]))
    found = check(CheckConfig(str(pack.folder)))
    assert found.counts == {"ledger_foreign": 8}
    without = {2, 4, 5, 6, 7, 8}
    assert {row["key"] for row in found.findings} == without | {70, 2**40}
    assert all((row["offset"] is None) == (row["key"] not in without) for row in found.findings)
