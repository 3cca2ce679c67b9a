"""Shards and parquet on servers: the same records come back, nothing changed is published, and a killed run goes on."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from facekit.errors import ConfigError, FacekitError, RecordError
from facekit.images import encode_jpeg
from facekit.jobs.packs.convert import ConvertConfig, ConvertSummary, convert
from facekit.records import Header, PackWriter, open_pack
from facekit.run.ledger import payload_hash
from facekit.stores import StoreError, reading, streams
from tests.store_servers import WebServer, hub_answers, s3_server, web_server

MAGIC = b"\n#\xd7\xce"
JPEG = encode_jpeg(np.full((10, 14, 3), 90, np.uint8))


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_server(monkeypatch) as url:
        yield url


@pytest.fixture(autouse=True)
def in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAUSE", 0.0)
    monkeypatch.setattr("facekit.jobs.inputs.sample_files.PAUSE", 0.0)


def payload(number: int) -> bytes:
    """Some hold the magic word, which makes a record of several parts."""
    return JPEG + (MAGIC * 2 if number % 5 == 0 else b"") + number.to_bytes(4, "little") * (1 + number % 3)


def tar_bytes(numbers: range | list[int], label_of: Any = lambda n: n * 7 % 5 + 10, json_label: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in numbers:
            label = str(label_of(number)).encode()
            said = ("json", b'{"label": ' + label + b"}") if json_label else ("cls", label)
            for suffix, content in (("jpg", payload(number)), said):
                member = tarfile.TarInfo(f"{number:06d}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def run(source: object, destination: object, **options: Any) -> ConvertSummary:
    return convert(ConvertConfig(str(source), str(destination), **options))


def content(path: Path) -> list[tuple[float, bytes]]:
    """Label and payload of each record, as they stand."""
    with open_pack(path) as pack:
        return [(float(np.atleast_1d(record.header.label)[0]), record.payload) for record in pack]


def expected(count: int) -> list[tuple[float, bytes]]:
    labels = [n * 7 % 5 for n in range(count)]
    return [(float(labels[n]), payload(n)) for n in sorted(range(count), key=lambda n: labels[n])]


SHAPES = {
    "tar": lambda content: content,
    "tar.gz": gzip.compress,
    "tar.zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("suffix", SHAPES)
@pytest.mark.parametrize("ranges", [True, False])
def test_shards_on_a_web_server(web: WebServer, tmp_path: Path, suffix: str, ranges: bool) -> None:
    web.ranges = ranges
    for shard in range(4):
        some = tar_bytes(range(10 * shard, 10 * shard + 10), json_label=shard == 2)
        web.files[f"set-{shard:04d}.{suffix}"] = SHAPES[suffix](some)
    summary = run(f"{web.url}/set-{{0000..0003}}.{suffix}", tmp_path / "out", workers=2)
    assert (summary.images, summary.identities, summary.source_images) == (40, 5, 40)
    assert content(tmp_path / "out") == expected(40)
    ledger = pq.read_table(tmp_path / "out" / "train.ledger.parquet").to_pylist()
    written = {row["key"]: row for row in ledger if row["action"] == "copy"}
    with open_pack(tmp_path / "out") as pack:
        for record in pack:
            assert written[record.key]["payload_hash"] == payload_hash(record.payload)
            assert payload(written[record.key]["source_key"]) == record.payload
            assert record.header.id == record.key
        assert pack.identity_ranges.tolist() == [[1 + 8 * n, 9 + 8 * n] for n in range(5)]


@pytest.mark.parametrize("suffix", SHAPES)
def test_a_server_that_ignores_ranges_without_a_word(
    web: WebServer, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK", 4000)
    monkeypatch.setattr(streams, "PIECE", 1500)
    web.ranges = web.says_ranges = False
    web.files[f"a.{suffix}"] = SHAPES[suffix](tar_bytes(range(40)))
    run(f"{web.url}/a.{suffix}", tmp_path / "out")
    assert content(tmp_path / "out") == expected(40)
    out = io.BytesIO()
    pq.write_table(pa.table(TABLES["bytes"]), out)
    web.files["a.parquet"] = out.getvalue()
    with pytest.raises(StoreError, match="gives no parts of a file, which are needed here: download it"):
        run(f"{web.url}/a.parquet", tmp_path / "parquet")


def test_small_blocks_give_the_same(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members, labels and the end of the tar lie across the blocks."""
    web.files["a.tar"] = tar_bytes(range(40))
    for block in (600, 1023, 4096):
        monkeypatch.setattr(reading, "BLOCK", block)
        monkeypatch.setattr(streams, "PIECE", block // 2)
        run(f"{web.url}/a.tar", tmp_path / str(block))
        assert content(tmp_path / str(block)) == expected(40)


def test_compressed_shards_on_the_disk_give_what_plain_ones_give(tmp_path: Path) -> None:
    for suffix, shape in SHAPES.items():
        folder = tmp_path / suffix
        folder.mkdir()
        for shard in range(3):
            (folder / f"{shard}.{suffix}").write_bytes(shape(tar_bytes(range(7 * shard, 7 * shard + 7))))
        run(folder, tmp_path / f"of-{suffix}")
    plain = [(tmp_path / "of-tar" / name).read_bytes() for name in ("train.rec", "train.idx", "labels.csv")]
    for suffix in ("tar.gz", "tar.zst"):
        found = [(tmp_path / f"of-{suffix}" / name).read_bytes() for name in ("train.rec", "train.idx", "labels.csv")]
        assert found == plain


def test_braces_and_stars_on_the_disk(tmp_path: Path) -> None:
    for shard in range(3):
        (tmp_path / f"a-{shard:02d}.tar").write_bytes(tar_bytes(range(7 * shard, 7 * shard + 7)))
    run(tmp_path / "a-{00..02}.tar", tmp_path / "braces")
    run(tmp_path / "a-*.tar", tmp_path / "star")
    assert content(tmp_path / "braces") == content(tmp_path / "star") == expected(21)
    with pytest.raises(RecordError, match=r"a-03\.tar: the file cannot be read"):
        run(tmp_path / "a-{00..03}.tar", tmp_path / "more")


@pytest.mark.parametrize("layout", ["flat", "webdataset", "parquet"])
def test_labels_keys_and_options_of_streams(tmp_path: Path, layout: str) -> None:
    (tmp_path / "s.tar.gz").write_bytes(gzip.compress(tar_bytes(range(20), lambda n: -1 if n == 3 else n % 4 * 10)))
    (tmp_path / "drop").write_text("5\n6\n")
    options = {"layout": layout, "drop": str(tmp_path / "drop"), "min_images": 5, "keep_labels": True, "hashes": False}
    summary = run(tmp_path / "s.tar.gz", tmp_path / "out", **options)
    assert summary.dropped == {"listed": 2, "label_not_whole": 1, "identity_too_small": 12}
    ledger = pq.read_table(tmp_path / "out" / "train.ledger.parquet").to_pylist()
    reasons = {row["source_key"]: row["reason"] for row in ledger if row["action"] == "drop"}
    small = {n: "identity_too_small" for n in range(20) if n % 4 and n not in (3, 5, 6)}
    assert reasons == small | {3: "label_not_whole", 5: "listed", 6: "listed"}
    assert sorted(row["source_key"] for row in ledger if row["action"] == "copy") == [0, 4, 8, 12, 16]
    if layout != "flat":
        run(tmp_path / "out", tmp_path / "back", keep_labels=True)
    assert content(tmp_path / ("out" if layout == "flat" else "back")) == [(0.0, payload(n)) for n in (0, 4, 8, 12, 16)]


def test_the_same_key_in_two_shards_is_two_records(tmp_path: Path) -> None:
    for name, numbers in (("a", [1, 2]), ("b", [2, 3])):
        (tmp_path / f"{name}.tar.gz").write_bytes(gzip.compress(tar_bytes(numbers)))
    run(tmp_path / "*.tar.gz", tmp_path / "out", layout="flat")
    ledger = pq.read_table(tmp_path / "out" / "train.ledger.parquet").to_pylist()
    assert [row["source_key"] for row in ledger] == [0, 1, 2, 3]
    assert [found for _, found in content(tmp_path / "out")] == [payload(n) for n in (1, 2, 2, 3)]


def test_shards_on_s3(s3: str, tmp_path: Path) -> None:
    import s3fs

    store = s3fs.S3FileSystem()
    for shard in range(3):
        store.pipe_file(f"faces/set/{shard}.tar.zst", SHAPES["tar.zst"](tar_bytes(range(8 * shard, 8 * shard + 8))))
    for number, source in enumerate(("s3://faces/set/*.tar.zst", "s3://faces/set", "s3://faces/set/{0..2}.tar.zst")):
        run(source, tmp_path / f"out{number}")
        assert content(tmp_path / f"out{number}") == expected(24)


def test_shards_on_the_hub(web: WebServer, tmp_path: Path) -> None:
    """As far as a stand-in for the hub can tell: the questions that huggingface_hub asks it, answered from here."""
    for shard in range(3):
        web.files[f"set-{shard:04d}.tar.gz"] = gzip.compress(tar_bytes(range(10 * shard, 10 * shard + 10)))
    environment = {**os.environ, **hub_answers(web, "OWNER", "NAME")}
    for number, name in enumerate(("*.tar.gz", "set-{0000..0002}.tar.gz", "")):
        source = f"hf://datasets/OWNER/NAME/{name}".rstrip("/")
        command = [sys.executable, "-m", "facekit", "convert", source, str(tmp_path / f"out{number}"), "--workers", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        assert content(tmp_path / f"out{number}") == expected(30)
    web.on_get = lambda name: web.files.__setitem__(name, web.files[name] + b"\0" * 3)
    command[-3] = str(tmp_path / "changed")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "it changed while it was read" in done.stderr


# --- parquet ----------------------------------------------------------------------------------------------------------


def image_column(numbers: range, paths: bool = True) -> pa.Array:
    rows = [{"bytes": payload(n), "path": f"{n}.jpg" if paths else None} for n in numbers]
    return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


LABELS = [n * 7 % 5 + 10 for n in range(40)]
TABLES = {
    "datasets": {"image": image_column(range(40)), "label": pa.array(LABELS, pa.int64())},
    "hub": {
        "jpg": image_column(range(40), paths=False),
        "__key__": pa.array([f"{n:06d}" for n in range(40)]),
        "__url__": pa.array(["x"] * 40),
        "cls": pa.array(LABELS, pa.int64()),
    },
    "bytes": {
        "image": pa.array([payload(n) for n in range(40)], pa.large_binary()),
        "label": pa.array(LABELS, pa.int32()),
    },
    "words": {"picture": pa.array([payload(n) for n in range(40)]), "cls": pa.array([str(n) for n in LABELS])},
    "json": {"image": image_column(range(40)), "json": pa.array([{"label": n, "id": None} for n in LABELS])},
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_parquet_as_others_write_it(web: WebServer, tmp_path: Path, kind: str) -> None:
    table = pa.table(TABLES[kind])
    for shard in range(2):
        out = io.BytesIO()
        pq.write_table(table.slice(20 * shard, 20), out, row_group_size=7)
        web.files[f"train-{shard:05d}-of-00002.parquet"] = out.getvalue()
    run(f"{web.url}/train-{{00000..00001}}-of-00002.parquet", tmp_path / "out")
    assert content(tmp_path / "out") == expected(40)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"label": pa.array([1])}, "no column is a picture"),
        ({"image": image_column(range(1))}, "no column is a label"),
        ({"image": image_column(range(1)), "label": pa.array([0.5])}, "label is double; a label is a whole number"),
        ({"image": image_column(range(1)), "label": pa.array(["anna"])}, "row 0 has no label: invalid literal"),
        ({"image": pa.array([None], pa.binary()), "label": pa.array([1])}, "row 0 has no picture"),
        ({"image": pa.array([b"x"]), "label": pa.array([None], pa.int64())}, "row 0 has no label"),
    ],
)
def test_parquet_that_is_none(tmp_path: Path, columns: dict[str, pa.Array], problem: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(RecordError, match=problem):
        run(tmp_path / "x.parquet", tmp_path / "out")
    (tmp_path / "y.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:-9])
    with pytest.raises(RecordError, match="the parquet file is truncated or damaged"):
        run(tmp_path / "y.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_header_comes_back_from_parquet_and_tars(tmp_path: Path) -> None:
    headers = [Header(0, 3.0, 0, 0), Header(0, 3.0, 2**63, 5), Header(3, np.array([4, 0.5, -1], np.float32), 2, 0)]
    with PackWriter(tmp_path / "pack", "flat") as writer:
        for number, header in enumerate(headers):
            writer.write(header, payload(number))
    for layout in ("webdataset", "parquet"):
        run(tmp_path / "pack", tmp_path / layout, layout=layout, keep_labels=True)
        run(tmp_path / layout, tmp_path / f"{layout}-back", layout="flat", keep_labels=True)
        assert (tmp_path / f"{layout}-back" / "train.rec").read_bytes() == (
            tmp_path / "pack" / "train.rec"
        ).read_bytes()
    for path in (tmp_path / "webdataset").glob("*.tar"):
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    run(tmp_path / "*.tar.gz", tmp_path / "gz-back", layout="flat", keep_labels=True)
    assert (tmp_path / "gz-back" / "train.rec").read_bytes() == (tmp_path / "pack" / "train.rec").read_bytes()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_an_answer_that_ends_early_is_asked_for_again(web: WebServer, tmp_path: Path) -> None:
    for ranges in (True, False):
        web.ranges, web.cuts["a.tar.gz"] = ranges, 1
        web.files["a.tar.gz"] = gzip.compress(tar_bytes(range(40)))
        run(f"{web.url}/a.tar.gz", tmp_path / f"out{ranges}")
        assert web.cuts["a.tar.gz"] == 0
        assert content(tmp_path / f"out{ranges}") == expected(40)
    web.cuts["a.tar.gz"] = 100
    with pytest.raises(StoreError, match=r"a\.tar\.gz"):
        run(f"{web.url}/a.tar.gz", tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("suffix", SHAPES)
@pytest.mark.parametrize("left", [0.3, 0.7, 0.98])
def test_a_truncated_shard_is_refused(web: WebServer, tmp_path: Path, suffix: str, left: float) -> None:
    whole = SHAPES[suffix](tar_bytes(range(40)).rstrip(b"\0"))
    web.files[f"a.{suffix}"] = whole[: int(len(whole) * left)]
    with pytest.raises(RecordError, match=r"truncated|damaged|has no (label|picture)"):
        run(f"{web.url}/a.{suffix}", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("old", "new", "problem"), [
    (b"000003.cls", b"000003.txt", "the sample 000003 has no label"),
    (b"000003.jpg", b"000003.txt", "the sample 000003 has no picture"),
    (b"000003.cls", b"000003.jpg", "the sample 000003 has two members .jpg"),
])  # fmt: skip
def test_a_wrong_member_is_named(web: WebServer, tmp_path: Path, old: bytes, new: bytes, problem: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(tar_bytes(range(6)))) as before, tarfile.open(fileobj=out, mode="w") as after:
        for member in before:
            file = before.extractfile(member)
            member.name = member.name.replace(old.decode(), new.decode())
            after.addfile(member, file)
    web.files["a.tar.gz"] = gzip.compress(out.getvalue())
    with pytest.raises(RecordError, match=rf"a\.tar\.gz.*{problem}"):
        run(f"{web.url}/a.tar.gz", tmp_path / "out")


def test_a_shard_that_changes_while_it_is_read(web: WebServer, tmp_path: Path) -> None:
    web.files["a.tar"] = tar_bytes(range(40))

    def replace(name: str) -> None:
        web.files[name] = tar_bytes(range(39, -1, -1))

    web.on_get = replace
    with pytest.raises(RecordError, match="it changed while it was read"):
        run(f"{web.url}/a.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_shard_that_changes_after_it_was_read(web: WebServer, tmp_path: Path, monkeypatch: Any) -> None:
    from facekit.jobs.packs import convert as job

    web.files |= {"0.tar.gz": gzip.compress(tar_bytes(range(40))), "1.tar.gz": gzip.compress(tar_bytes(range(40, 50)))}
    written = job.write_converted

    def changed(*given: Any) -> Any:
        web.files["0.tar.gz"] += b"\0"
        return written(*given)

    monkeypatch.setattr(job, "write_converted", changed)
    with pytest.raises(FacekitError, match="changed while it was read, so nothing was published"):
        run(f"{web.url}/{{0..1}}.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="unfinished run with other settings"):
        run(f"{web.url}/{{0..1}}.tar.gz", tmp_path / "out")
    run(f"{web.url}/{{0..1}}.tar.gz", tmp_path / "out", overwrite=True)
    assert content(tmp_path / "out") == expected(50)


def test_what_was_fetched_is_not_fetched_again(web: WebServer, tmp_path: Path) -> None:
    for shard in range(4):
        web.files[f"{shard}.tar.gz"] = gzip.compress(tar_bytes(range(10 * shard, 10 * shard + 10)))
    whole = web.files["3.tar.gz"]
    web.files["3.tar.gz"] = whole[:-30] + b"\0" * 30  # damaged
    with pytest.raises(RecordError, match=r"3\.tar\.gz"):
        run(f"{web.url}/{{0..3}}.tar.gz", tmp_path / "out")
    assert len(list((tmp_path / "out.partial").glob("shards-*/0*"))) == 3
    web.asked.clear()
    with pytest.raises(RecordError, match=r"3\.tar\.gz"):
        run(f"{web.url}/{{0..3}}.tar.gz", tmp_path / "out")
    assert {name for method, name, _ in web.asked if method == "GET"} == {"3.tar.gz"}


def test_a_killed_run_goes_on_and_gives_the_same(web: WebServer, tmp_path: Path) -> None:
    for shard in range(6):
        web.files[f"{shard}.tar.gz"] = gzip.compress(tar_bytes(range(10 * shard, 10 * shard + 10)))
    source = f"{web.url}/{{0..5}}.tar.gz"
    run(source, tmp_path / "whole")
    web.on_get = lambda name: time.sleep(600 if name == "4.tar.gz" else 0)
    command = [sys.executable, "-m", "facekit", "convert", source, str(tmp_path / "out"), "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while len(list(tmp_path.glob("out.partial/shards-*/0*"))) < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    web.on_get = len
    web.asked.clear()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["images"] == 60
    assert {name for method, name, _ in web.asked if method == "GET"} == {"4.tar.gz", "5.tar.gz"}
    for name in ("train.rec", "train.idx", "labels.csv", "property"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "out.partial").exists()


def test_what_is_not_there_is_named(web: WebServer, s3: str, tmp_path: Path) -> None:
    for address in (f"{web.url}/none.tar", "s3://faces/none.tar", "s3://faces/none/*.tar"):
        with pytest.raises(RecordError, match=r"there is no such object|no file fits this name"):
            run(address, tmp_path / "out")
    with pytest.raises(ConfigError, match="is a pack in a store, and convert copies packs from the disk alone"):
        run("s3://faces/pack/train.rec", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"gopher://x/a\.tar cannot be opened"):
        run("gopher://x/a.tar", tmp_path / "out")


@pytest.mark.parametrize("name", ["MS-Celeb-1M v3", "ms1mv3", "Glint360K", "faces_emore"])
def test_the_name_of_a_published_set_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"is the name of a set .*hf://datasets/OWNER/NAME"):
        run(name, tmp_path / "out")


def test_tars_and_parquet_of_one_place_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar.gz").write_bytes(gzip.compress(tar_bytes(range(3))))
    pq.write_table(pa.table(TABLES["bytes"]), tmp_path / "in" / "a.parquet")
    with pytest.raises(ConfigError, match="holds tar and parquet files"):
        run(tmp_path / "in", tmp_path / "out")
