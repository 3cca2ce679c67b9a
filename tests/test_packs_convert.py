"""Converting: payloads byte for byte, contiguous labels and their table, every record accounted for, tars both ways."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.cli import main
from facekit.errors import ConfigError, DestinationExists, FacekitError, RecordError
from facekit.images import encode_jpeg
from facekit.jobs.packs.convert import ConvertConfig, ConvertSummary, convert
from facekit.records import Header, PackWriter, Record, RecordWriter, open_pack, pack_record
from facekit.records.rewrite import copy_records, extents
from facekit.run.ledger import payload_hash

MAGIC = b"\n#\xd7\xce"
JPEG = encode_jpeg(np.full((10, 14, 3), 90, np.uint8))


def payload_of(number: int) -> bytes:
    """Some hold the magic word, some are empty: what a copy could get wrong."""
    return {0: b"", 1: MAGIC * 3 + JPEG, 2: JPEG + b"x" * 40 + MAGIC}.get(number % 7, JPEG + bytes([number % 251]) * 9)


def header_of(number: int, label: int, key: int) -> Header:
    """Scalar and vector labels, ids that are the key and ids that are old."""
    value: Any = float(label) if number % 3 else np.array([label, 0.5, number], np.float32)
    return Header(0 if number % 3 else 3, value, key if number % 2 else 9_000 + number, number % 4)


def write_flat(path: Path, labels: list[int], keys: list[int] | None = None) -> Path:
    keys = list(range(len(labels))) if keys is None else keys
    with PackWriter(path, "flat") as writer:
        for number, (label, key) in enumerate(zip(labels, keys, strict=True)):
            writer.write(header_of(number, label, key), payload_of(number), key=key)
    return path


def run(source: Path, destination: Path, **options: Any) -> ConvertSummary:
    return convert(ConvertConfig(str(source), str(destination), **options))


def records(path: Path) -> list[Record]:
    with open_pack(path) as pack:
        return list(pack)


def label_of(record: Record) -> int:
    return int(np.atleast_1d(record.header.label)[0])


def table_of(folder: Path) -> dict[int, int]:
    with open(folder / "labels.csv", newline="") as file:
        return {int(row["old_label"]): int(row["new_label"]) for row in csv.DictReader(file)}


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([-3, 0, 1, 5, 5, 900, 2_000_000]), min_size=1, max_size=40),
    st.sampled_from(["insightface", "flat", "webdataset"]),
    st.integers(1, 3),
    st.booleans(),
)
def test_every_record_is_written_or_dropped_and_unchanged(
    tmp_path_factory: Any, labels: list[int], layout: str, least: int, shuffle: bool
) -> None:
    folder = tmp_path_factory.mktemp("convert")
    source = write_flat(folder / "source", labels)
    before = {record.key: record for record in records(source)}
    options: dict[str, Any] = {"layout": layout, "min_images": least, "shuffle": shuffle and layout != "insightface"}
    stay = [key for key, label in enumerate(labels) if label >= 0 and labels.count(label) >= least]
    if not stay:
        cure = "choose fewer to drop" if max(labels) >= 0 else "give them labels from 0 on"
        with pytest.raises(FacekitError, match=f"no picture is left to write, all are dropped .*: {cure}"):
            run(source, folder / "out", **options)
        assert sorted(path.name for path in folder.iterdir()) == ["source"]
        return
    summary = run(source, folder / "out", **options)
    ledger = pq.read_table(folder / "out" / "train.ledger.parquet").to_pylist()
    written = {row["key"]: row["source_key"] for row in ledger if row["action"] == "copy"}
    gone = {row["source_key"]: row["reason"] for row in ledger if row["action"] == "drop"}
    assert sorted(written.values()) == stay
    lost = sorted(set(before) - set(stay))
    assert gone == {key: "label_not_whole" if labels[key] < 0 else "identity_too_small" for key in lost}
    assert summary.dropped == Counter(gone.values())
    table = table_of(folder / "out")
    assert table == {old: new for new, old in enumerate(sorted({labels[key] for key in stay}))}
    after = {r.key: r for r in (records(folder / "out") if layout != "webdataset" else back(folder, source, stay))}
    for key, record in after.items():
        old = before[written[key]]
        assert record.payload == old.payload
        assert label_of(record) == table[label_of(old)]
        assert (record.header.flag, record.header.id2) == (old.header.flag, old.header.id2)
        assert record.header.id == (key if old.header.id == old.key else old.header.id)
        if old.header.flag:
            assert record.header.label[1:].tolist() == old.header.label[1:].tolist()
    hashes = {row["key"]: row["payload_hash"] for row in ledger if row["action"] == "copy"}
    assert hashes == {key: payload_hash(record.payload) for key, record in after.items()}
    assert (summary.images, summary.identities, summary.num_classes) == (len(stay), len(table), len(table))
    assert (folder / "out" / "config.txt").read_text() == summary.snippet
    assert summary.snippet == f"config.num_classes = {len(table)}\nconfig.num_image = {len(stay)}\n"


def back(folder: Path, source: Path, stay: list[int]) -> list[Record]:
    """Shards, read again as a flat pack; the names of samples are the keys, from 0 on."""
    with tarfile.open(folder / "out" / "000000.tar") as tar:
        assert len(tar.getnames()) >= 2 * len(stay)
    run(folder / "out", folder / "back", layout="flat")
    return records(folder / "back")


def test_a_pack_of_identities_in_pieces_is_sorted(tmp_path: Path) -> None:
    source = write_flat(tmp_path / "source", [7, 3, 7, 3, 3])
    run(source, tmp_path / "out")
    with open_pack(tmp_path / "out") as pack:
        assert pack.layout == "insightface"
        assert pack.labels.tolist() == [0, 0, 0, 1, 1]
        assert pack.identity_ranges.tolist() == [[1, 4], [4, 6]]
    assert [r.payload for r in records(tmp_path / "out")] == [payload_of(n) for n in (1, 3, 4, 0, 2)]
    assert (tmp_path / "out" / "property").read_text().startswith("2,")


@pytest.mark.parametrize(("listed", "said"), [("2 999999 77 2 77", "2 keys .* 999999"), ("1\n0\n", "1 keys .* 0")])
def test_a_list_of_another_pack_is_refused(tmp_path: Path, listed: str, said: str) -> None:
    run(write_flat(tmp_path / "flat", [1, 1, 2]), tmp_path / "source")
    (tmp_path / "drop.txt").write_text(listed)
    with pytest.raises(ConfigError, match=said.replace(" .* ", " that no picture of .* has, the first is ") + ": take"):
        run(tmp_path / "source", tmp_path / "out", drop=str(tmp_path / "drop.txt"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["insightface", "flat", "webdataset"])
def test_an_unlabelled_sample_of_a_shard_is_dropped_even_where_labels_stay(tmp_path: Path, layout: str) -> None:
    members = [("7.jpg", JPEG), ("7.cls", b"-1"), ("8.jpg", JPEG), ("8.cls", b"3")]
    summary = run(shard(tmp_path / "a.tar", members), tmp_path / "out", layout=layout, keep_labels=True)
    assert (summary.images, summary.dropped, table_of(tmp_path / "out")) == (1, {"label_not_whole": 1}, {3: 3})
    ledger = pq.read_table(tmp_path / "out" / "train.ledger.parquet").to_pylist()
    assert [(row["source_key"], row["reason"]) for row in ledger if row["action"] == "drop"] == [(7, "label_not_whole")]


def test_nothing_to_write_is_not_blamed_on_what_was_dropped(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "empty", "flat"):
        pass
    for source in (tmp_path / "empty", shard(tmp_path / "empty.tar", [])):
        for layout in ("flat", "webdataset"):
            with pytest.raises(FacekitError, match="the source holds no picture, there is nothing to write"):
                run(source, tmp_path / "out", layout=layout)


def test_shuffling_is_decided_by_the_seed(tmp_path: Path) -> None:
    source = write_flat(tmp_path / "source", [n // 3 for n in range(60)])
    orders = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(source, tmp_path / name, layout="flat", shuffle=True, seed=seed)
        orders.append((tmp_path / name / "train.rec").read_bytes())
    assert orders[0] == orders[1] != orders[2]
    with open_pack(tmp_path / "a") as pack:
        assert pack.layout == "flat"
        assert pack.labels.tolist() != sorted(pack.labels.tolist())
        assert np.bincount(pack.labels).tolist() == [3] * 20


def test_listed_keys_are_dropped_and_labels_can_stay(tmp_path: Path) -> None:
    source = write_flat(tmp_path / "source", [5, 5, 9, 9, 9], [10, 30, 20, 50, 40])
    (tmp_path / "drop.txt").write_text("20\n50\n40\n")
    summary = run(source, tmp_path / "out", drop=str(tmp_path / "drop.txt"), keep_labels=True, layout="flat")
    assert summary.dropped == {"listed": 3}
    assert (summary.num_classes, summary.identities) == (6, 1)
    assert [label_of(record) for record in records(tmp_path / "out")] == [5, 5]
    (tmp_path / "drop.txt").write_text("ten\n")
    with pytest.raises(RecordError, match="a line is no key"):
        run(source, tmp_path / "again", drop=str(tmp_path / "drop.txt"))
    with pytest.raises(RecordError, match="missing: there is no such file"):
        run(source, tmp_path / "again", drop=str(tmp_path / "missing"))


def test_masked_pictures_stay_masked_pictures(tmp_path: Path) -> None:
    from facekit.run.ledger import LedgerRow, LedgerWriter, table

    source = write_flat(tmp_path / "source", [0, 0, 1, 1])
    rows = [
        LedgerRow(0, 70, b"0" * 16, "copy"),
        LedgerRow(1, 70, b"1" * 16, "mask", "kn95", '{"seed": 3}', 4.5),
        LedgerRow(2, 71, b"2" * 16, "copy"),
        LedgerRow(3, 99, b"3" * 16, "mask", "cloth", "{}", 1.0),
        LedgerRow(None, 71, b"4" * 16, "refused", reason="profile"),
    ]
    with LedgerWriter(source / "train.ledger.parquet") as writer:
        writer.append(table(rows))
    for layout in ("flat", "webdataset"):
        run(source, tmp_path / layout, layout=layout)
        found = pq.read_table(tmp_path / layout / "train.ledger.parquet").to_pylist()
        said = [(row["source_key"], row["action"], row["type"], row["params"], row["score"]) for row in found]
        # The first masked picture was made from what is key 0 now; the bare picture of the second is not in this pack.
        assert said == [
            (0, "copy", None, None, None),
            (0, "mask", "kn95", '{"seed": 3}', 4.5),
            (2, "copy", None, None, None),
            (3, "mask", "cloth", "{}", 1.0),
        ]


def test_small_blocks_give_the_same_bytes(tmp_path: Path) -> None:
    source = write_flat(tmp_path / "source", [n % 4 for n in range(50)])
    made = []
    for size in (1, 64, 1 << 20):
        with open_pack(source) as pack, PackWriter(tmp_path / f"out{size}", "flat") as writer:
            rows = np.random.default_rng(0).permutation(50)
            where = extents(pack, pack.keys)
            done = [*copy_records(pack.paths.rec, where, rows, pack.labels[rows] + 10, writer, size)]
            assert sum(len(block.keys) for block in done) == 50
        made.append((tmp_path / f"out{size}" / "train.rec").read_bytes())
    assert made[0] == made[1] == made[2]


def test_a_damaged_source_leaves_nothing(tmp_path: Path) -> None:
    source = write_flat(tmp_path / "source", [0, 0, 1])
    content = bytearray((source / "train.rec").read_bytes())
    content[-4 * 12] ^= 1
    (source / "train.rec").write_bytes(content[:-8])
    with pytest.raises(RecordError, match=r"train\.idx: the record .* is not whole"):
        run(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


# --- shards of others -------------------------------------------------------------------------------------------------


def shard(path: Path, members: list[tuple[str, bytes]], **options: Any) -> Path:
    with tarfile.open(path, "w", **options) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


SAMPLES = [("a/x.jpg", JPEG), ("a/x.cls", b"4\n"), ("a/y.cls", b"2"), ("a/y.seg.txt", b"?"), ("a/y.jpg", JPEG + b"2")]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_shards_that_others_wrote(tmp_path: Path, form: int) -> None:
    long = ("b/" + "n" * 140, "b/" + "é" * 60) if form != tarfile.USTAR_FORMAT else ("b/n", "b/m")
    more = [(f"{long[0]}.png", b"\x89PNG?"), (f"{long[0]}.json", b'{"label": 2}'), (f"{long[1]}.cls", b"4")]
    (tmp_path / "tars").mkdir()
    shard(tmp_path / "tars" / "0.tar", SAMPLES, format=form)
    shard(tmp_path / "tars" / "1.tar", [*more, (f"{long[1]}.jpg", b"last")], format=form)
    summary = run(tmp_path / "tars", tmp_path / "out")
    assert (summary.images, summary.identities) == (4, 2)
    found = records(tmp_path / "out")
    assert [(label_of(r), r.payload) for r in found] == [(0, JPEG + b"2"), (0, b"\x89PNG?"), (1, JPEG), (1, b"last")]
    assert [r.header.id for r in found] == [1, 2, 3, 4]
    one = run(tmp_path / "tars" / "0.tar", tmp_path / "one", layout="webdataset", shard_records=1)
    assert one.images == 2
    assert sorted(path.name for path in (tmp_path / "one").glob("*.tar")) == ["000000.tar", "000001.tar"]


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([("x.jpg", JPEG)], "the sample x has no label"),
        ([("x.cls", b"1")], "the sample x has no picture"),
        ([*SAMPLES[:2], *SAMPLES[:2]], "x.tar, offset 2560: the sample a/x has two members .jpg: give every sample a"),
        ([*SAMPLES[:2], ("a/x.CLS", b"5")], "the sample a/x has two members .cls"),
        ([("x.jpg", JPEG), ("x.cls", b"one")], "x.cls is no label"),
        ([("x.jpg", JPEG), ("x.json", b"[" * 100_000)], "x.json is no label"),
        ([("x.jpg", JPEG), ("x.json", b'{"label": []}')], "x.json is no label"),
        ([("x.jpg", JPEG), ("x.cls", b"1" * (2 << 20))], "which is no label"),
    ],
)
def test_samples_that_are_none(tmp_path: Path, members: list[tuple[str, bytes]], problem: str) -> None:
    with pytest.raises(RecordError, match=problem):
        run(shard(tmp_path / "x.tar", members), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [511, 700, 1024 + 300, 2000])
def test_a_truncated_shard_is_refused(tmp_path: Path, size: int) -> None:
    path = shard(tmp_path / "x.tar", [("x.jpg", JPEG), ("x.cls", b"1"), ("y.jpg", JPEG), ("y.cls", b"1")])
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(RecordError, match=r"tar file|has no"):
        run(path, tmp_path / "out")


def test_a_damaged_member_is_not_the_end(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", [("x.jpg", JPEG), ("x.cls", b"1"), ("y.jpg", JPEG), ("y.cls", b"1")])
    content = bytearray(path.read_bytes())
    content[content.index(b"y.jpg")] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordError, match="what stands here is no member"):
        run(path, tmp_path / "out")


# --- the command ------------------------------------------------------------------------------------------------------


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in arguments])
    return int(caught.value.code or 0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_flat(tmp_path / "source", [3, 3, 8])
    assert call("convert", source, tmp_path / "out", "--layout", "flat") == 0
    out, err = capsys.readouterr()
    assert "3 of 3 pictures, 2 identities" in out
    assert "config.num_classes = 2\nconfig.num_image = 3\n" in out
    assert err == ""
    assert call("convert", source, tmp_path / "out", "--json") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert call("convert", source, tmp_path / "out", "--json", "--overwrite", "--no-hash") == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "insightface"
    assert set(pq.read_table(tmp_path / "out" / "train.ledger.parquet")["payload_hash"][:3].to_pylist()) == {None}
    assert call("convert", source, source, "--overwrite") == 2
    assert call("convert", tmp_path / "nowhere", tmp_path / "new") == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"layout": "lmdb"}, "layout is 'lmdb'"),
        ({"shuffle": True}, "keeps identities together"),
        ({"min_images": 0}, "min_images is 0"),
        ({"shard_records": 0}, "shard_records is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_outside_what_is_allowed(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ConvertConfig("a", "b", **options)


def test_what_is_no_pack_is_never_replaced(tmp_path: Path) -> None:
    source = write_flat(tmp_path / "source", [3, 3, 8])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(DestinationExists, match="move it away yourself"):
        run(source, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_a_pack_that_mxnet_wrote(tmp_path: Path, shared: Path) -> None:
    source = shared / "data" / "faces"
    run(source, tmp_path / "tars", layout="webdataset", shard_records=1000)
    run(tmp_path / "tars", tmp_path / "back")
    with open_pack(source) as a, open_pack(tmp_path / "back") as b:
        assert [record.payload for record in a] == [record.payload for record in b]
        assert b.labels.tolist() == np.unique(a.labels, return_inverse=True)[1].tolist()
        assert b.identity_ranges.tolist() == a.identity_ranges.tolist()


def test_records_without_a_header_are_named(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec") as writer:
        writer.write_bytes(0, pack_record(Header(0, 1.0, 0, 0), JPEG))
        writer.write_bytes(1, b"short")
    with pytest.raises(RecordError, match="too short for a header"):
        run(tmp_path / "x.rec", tmp_path / "out")
