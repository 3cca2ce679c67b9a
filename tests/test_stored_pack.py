"""A pack in a store: mask, embed and clean give what they give of the same pack on the disk, and read it by ranges."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekit.errors import FacekitError, RecordError
from facekit.images import encode_jpeg
from facekit.jobs.inputs import stored_pack
from facekit.jobs.inputs.source import Source, open_source
from facekit.jobs.inputs.source_records import read_records
from facekit.records import Header, PackWriter, open_pack
from facekit.records.label_sidecar import save_labels
from facekit.stores import StoreError, reading
from tests.small_models import save_model
from tests.small_packs import call
from tests.store_servers import WebServer, s3_server, web_server

MAGIC = b"\n#\xd7\xce"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(reading, "PAUSE", 0.0)
    with web_server() as server:
        yield server


def picture(number: int) -> bytes:
    rng = np.random.default_rng(number)
    return encode_jpeg(np.uint8(rng.integers(0, 255, (14, 10, 3)))) + (MAGIC if number % 7 == 0 else b"")


def write(path: Path, layout: str, count: int = 40) -> Path:
    with PackWriter(path, layout) as writer:
        for number in range(count):
            label: Any = float(number // 5)
            if number % 3 == 0:
                label = np.array([label, 0.5], np.float32)
            writer.write(Header(0, label, number, 0), picture(number))
    return path


def serve(web: WebServer, pack: Path, name: str = "pack") -> str:
    for path in pack.iterdir():
        web.files[f"{name}/{path.name}"] = path.read_bytes()
    return f"{web.url}/{name}"


def same(one: Source, other: Source) -> None:
    for field in ("keys", "labels", "pictures", "offsets"):
        assert np.array_equal(getattr(one, field), getattr(other, field)), field
    assert (one.layout, one.kind, len(one)) == (other.layout, other.kind, len(other))
    assert [*read_records(one)] == [*read_records(other)]


@pytest.mark.parametrize("layout", ["insightface", "flat"])
@pytest.mark.parametrize("labels", [True, False])
def test_a_source_is_the_same_wherever_it_lies(web: WebServer, tmp_path: Path, layout: str, labels: bool) -> None:
    pack = write(tmp_path / "pack", layout)
    if labels:
        with open_pack(pack) as opened:
            save_labels(opened.paths.rec, opened.paths.idx, opened.labels)
    address = serve(web, pack)
    for name in (address, f"{address}/", f"{address}/train.rec", f"{address}/train.idx", f"{address}/train"):
        for options in ({}, {"in_place": True}, {"layout": "flat", "limit": 7}):
            there, same_keys = open_source(name, **options)
            here, as_here = open_source(str(pack), **options)
            assert same_keys == as_here
            same(there, here)


def test_a_shard_is_one_range(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_pack, "TAIL", 2000)
    pack = write(tmp_path / "pack", "insightface")
    source, _ = open_source(serve(web, pack))
    web.asked.clear()
    found = [*read_records(source.slice(10, 30))]
    ranges = [asked for method, name, asked in web.asked if method == "GET" and name.endswith(".rec")]
    assert len(found) == 20
    assert len(ranges) == 1
    first, last = (int(number) for number in ranges[0].removeprefix("bytes=").split("-"))
    assert first == source.offsets[10]
    assert last < (pack / "train.rec").stat().st_size - 1
    order = np.array([35, 2, 3, 20])
    shuffled = [record.record.key for record in read_records(source.select_rows(order))]
    assert shuffled == source.keys[order].tolist()


def test_wrong_labels_beside_a_pack_are_not_believed(web: WebServer, tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", "flat")
    with open_pack(pack) as opened:
        save_labels(opened.paths.rec, opened.paths.idx, opened.labels + 1)
        expected = opened._read_labels()
    source, _ = open_source(serve(web, pack))
    assert source.labels.tolist() == expected.tolist()


def test_a_cut_index_and_a_missing_pack(web: WebServer, tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", "flat")
    lines = (pack / "train.idx").read_text().splitlines(keepends=True)
    (pack / "train.idx").write_text("".join(lines[:-3]))
    address = serve(web, pack)
    with pytest.raises(RecordError, match=r"the index ends .* --partial-index takes"):
        open_source(address, partial_index="refuse")
    assert len(open_source(address, partial_index="take")[0]) == 37
    with pytest.raises(StoreError, match=r"no pack with \.rec and \.idx lies there"):
        open_source(f"{web.url}/nowhere")


def test_a_damaged_record_is_named(web: WebServer, tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", "flat")
    source, _ = open_source(str(pack))
    content = bytearray((pack / "train.rec").read_bytes())
    content[source.offsets[5]] ^= 1
    (pack / "train.rec").write_bytes(content)
    with pytest.raises(RecordError, match=r"train\.rec, key 5, offset"):
        [*read_records(open_source(serve(web, pack))[0])]


def test_embed_and_clean_read_from_a_store(web: WebServer, tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", "insightface")
    address = serve(web, pack)
    model = save_model(tmp_path / "model.onnx")
    for name, source in (("here", pack), ("there", address)):
        at = tmp_path / name
        at.mkdir()
        assert call("embed", source, at / "vectors", "--model", model, "--workers", 1) == 0
        clean = ("clean", source, at / "cleaned", "--features", at / "vectors", "--intra", "-1", "--allow-loss", "1")
        assert call(*clean) == 0
        assert call("apply", source, at / "cleaned", at / "again") == 0
        assert call("apply", source, at / "cleaned", at / "back", "--revert", "all") == 0
    for name in ("cleaned/train.rec", "cleaned/train.idx", "again/train.rec", "back/train.rec", "back/train.idx"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name
    assert (tmp_path / "there" / "back" / "train.rec").read_bytes() == (pack / "train.rec").read_bytes()
    vectors = [np.load(next((tmp_path / name / "vectors").rglob("*.npy"))) for name in ("here", "there")]
    assert np.array_equal(*vectors)


def test_mask_reads_from_s3_what_is_masked_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert call("synth", tmp_path / "people", "--identities", 2, "--images", 4, "--workers", 1) == 0
    assert call("mask", tmp_path / "people", tmp_path / "masked", "--ratio", ".4", "--workers", 1) == 0
    with s3_server(monkeypatch):
        for path in (tmp_path / "masked").iterdir():
            s3fs.S3FileSystem().put_file(str(path), f"faces/masked/{path.name}")
        for name, source in (("here", tmp_path / "masked"), ("there", "s3://faces/masked")):
            assert call("mask", source, tmp_path / name, "--ratio", ".6", "--workers", 1) == 0
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_a_pack_that_changes_in_the_store_is_not_published(web: WebServer, tmp_path: Path, monkeypatch: Any) -> None:
    address = serve(web, write(tmp_path / "pack", "flat"))
    model = save_model(tmp_path / "model.onnx")
    from facekit.jobs.embed import job

    assemble = job.assemble_output

    def changed(*given: Any) -> None:
        web.files["pack/train.rec"] += b"\0" * 4
        assemble(*given)

    monkeypatch.setattr(job, "assemble_output", changed)
    from facekit.jobs.embed.config import EmbedConfig
    from facekit.jobs.inputs.model import ModelChoice

    with pytest.raises(FacekitError, match="changed while it was read, so nothing was published"):
        job.embed(EmbedConfig(address, str(tmp_path / "out"), ModelChoice(str(model))))
    assert not (tmp_path / "out").exists()


def test_the_ledger_beside_a_pack_is_fetched_again_when_it_changes(web: WebServer, tmp_path: Path) -> None:
    address = serve(web, write(tmp_path / "pack", "flat"))
    for content in (b"one", b"another"):
        web.files["pack/train.ledger.parquet"] = content
        source, _ = open_source(address)
        assert Path(source.path).with_suffix(".ledger.parquet").read_bytes() == content
    del web.files["pack/train.ledger.parquet"]
    assert not Path(open_source(address)[0].path).with_suffix(".ledger.parquet").exists()
    assert json.dumps(os.listdir(stored_pack._cache_folder(source.stored, source.stored))) == "[]"  # type: ignore[arg-type]
