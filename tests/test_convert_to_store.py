"""Shards written to an S3 server: whole by their record, resumed, and nothing of anybody else is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs

from facekit.errors import ConfigError, DestinationExists, FacekitError, RecordError
from facekit.jobs.packs.convert import ConvertConfig, ConvertSummary, convert
from facekit.output import prefix
from facekit.records import PackWriter
from facekit.run.choice import ExecutorChoice, Part, PartDone, PartFinished
from facekit.stores import StoreError
from tests.store_servers import s3_server, web_server
from tests.test_packs_convert import header_of, payload_of
from tests.writing_commands import call


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    with s3_server(monkeypatch):
        yield s3fs.S3FileSystem()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    with PackWriter(tmp_path / "pack", "flat") as writer:
        for number in range(30):
            writer.write(header_of(number, number % 4, number), payload_of(number), key=number)
    return tmp_path / "pack"


def run(source: object, destination: object, **options: Any) -> ConvertSummary:
    return convert(ConvertConfig(str(source), str(destination), **options))


def objects(store: s3fs.S3FileSystem, below: str = "faces/out") -> dict[str, int]:
    store.invalidate_cache()
    return {name.removeprefix(f"{below}/"): said["size"] for name, said in store.find(below, detail=True).items()}


@pytest.mark.parametrize(("layout", "first"), [(None, "000000.tar"), ("parquet", "train-00000-of-00004.parquet")])
def test_the_same_records_come_back(
    store: s3fs.S3FileSystem, pack: Path, tmp_path: Path, layout: str | None, first: str
) -> None:
    summary = run(pack, "s3://faces/out/", layout=layout, shard_records=8)
    assert (summary.images, summary.destination, summary.layout) == (30, "s3://faces/out", layout or "webdataset")
    record = json.loads(store.cat_file("faces/out/run.json"))
    found = objects(store)
    assert {name: size for name, size, _ in record["files"]} == {n: s for n, s in found.items() if n != "run.json"}
    assert len(found) == 4 + 3 + 1
    assert first in found
    run("s3://faces/out", tmp_path / "back", layout="flat")
    assert (tmp_path / "back" / "train.rec").read_bytes() == (pack / "train.rec").read_bytes()
    run(pack, tmp_path / "local", layout=layout or "webdataset", shard_records=8)
    assert store.cat_file(f"faces/out/{first}") == (tmp_path / "local" / first).read_bytes()


def test_what_is_not_of_facekit_stays(store: s3fs.S3FileSystem, pack: Path) -> None:
    store.pipe_file("faces/out/thesis.tex", b"mine")
    for overwrite in (False, True):
        with pytest.raises(DestinationExists, match=r"thesis\.tex, which is not of facekit"):
            run(pack, "s3://faces/out", overwrite=overwrite)
    store.rm_file("faces/out/thesis.tex")
    run(pack, "s3://faces/out")
    with pytest.raises(DestinationExists, match="choose another prefix or pass --overwrite"):
        run(pack, "s3://faces/out")
    store.pipe_file("faces/out/thesis.tex", b"mine")
    with pytest.raises(DestinationExists, match=r"thesis\.tex, which is not of facekit"):
        run(pack, "s3://faces/out", overwrite=True)
    store.rm_file("faces/out/thesis.tex")
    store.pipe_file("faces/out/labels.csv", b"edited")
    with pytest.raises(DestinationExists, match=r"labels\.csv is not what facekit wrote"):
        run(pack, "s3://faces/out", overwrite=True)
    assert store.cat_file("faces/out/labels.csv") == b"edited"
    assert "000000.tar" in objects(store)


def test_overwriting_leaves_nothing_of_what_was_there(store: s3fs.S3FileSystem, pack: Path) -> None:
    store.pipe_file("faces/outside", b"mine")
    run(pack, "s3://faces/out", shard_records=5)
    run(pack, "s3://faces/out", overwrite=True, layout="parquet")
    shards = [name for name in objects(store) if name.endswith((".tar", "01.parquet"))]
    assert shards == ["train-00000-of-00001.parquet"]
    assert store.cat_file("faces/outside") == b"mine"


def test_a_refused_upload_leaves_an_unfinished_set_that_is_no_source(
    store: s3fs.S3FileSystem, pack: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    sent: list[str] = []

    def refusing(address: str, path: Path) -> None:
        if path.name == "000003.tar":
            raise StoreError("the store refuses", f"{address}/{path.name}")
        sent.append(path.name)
        original(address, path)

    original = prefix.put_file
    monkeypatch.setattr(prefix, "put_file", refusing)
    with pytest.raises(StoreError, match=r"s3://faces/out/000003\.tar: the store refuses"):
        run(pack, "s3://faces/out", shard_records=8)
    assert "run.json" not in objects(store)
    for source in ("s3://faces/out", "s3://faces/out/*.tar", "s3://faces/out/000000.tar"):
        with pytest.raises(RecordError, match="facekit has not finished writing what lies here"):
            run(source, tmp_path / "back")
    with pytest.raises(ConfigError, match="unfinished run with other settings"):
        run(pack, "s3://faces/out", shard_records=9)
    monkeypatch.setattr(prefix, "put_file", original)
    before = set(sent)
    monkeypatch.setattr(prefix, "put_file", lambda address, path: (sent.append(path.name), original(address, path)))
    sent.clear()
    run(pack, "s3://faces/out", shard_records=8)
    assert not before & set(sent)
    run("s3://faces/out", tmp_path / "back", layout="flat")
    assert (tmp_path / "back" / "train.rec").read_bytes() == (pack / "train.rec").read_bytes()


def test_a_source_that_changes_is_not_published(store: s3fs.S3FileSystem, pack: Path, monkeypatch: Any) -> None:
    from facekit.jobs.packs import convert as job

    written = job.write_converted

    def changed(*given: Any) -> Any:
        os.utime(pack / "train.rec", ns=(1, 1))
        return written(*given)

    monkeypatch.setattr(job, "write_converted", changed)
    with pytest.raises(FacekitError, match="changed while it was read, so nothing was published"):
        run(pack, "s3://faces/out")
    assert "run.json" not in objects(store)
    assert "run.json.unfinished" in objects(store)
    monkeypatch.undo()


def test_a_killed_run_goes_on(store: s3fs.S3FileSystem, pack: Path, tmp_path: Path) -> None:
    script = (
        "import time\nfrom facekit.output import prefix\nfrom facekit.cli import main\noriginal = prefix.put_file\n"
        "def slow(address, path):\n    time.sleep(600 if path.name > '000002' else 0)\n    original(address, path)\n"
        f"prefix.put_file = slow\nmain(['convert', {str(pack)!r}, 's3://faces/out', '--shard-records', '6'])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    while "000001.tar" not in objects(store):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    run(pack, "s3://faces/out", shard_records=6)
    run("s3://faces/out", tmp_path / "back", layout="flat")
    assert (tmp_path / "back" / "train.rec").read_bytes() == (pack / "train.rec").read_bytes()
    assert "run.json.unfinished" not in objects(store)


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_parts_send_their_shards_and_the_rest_sends_what_is_missing(
    store: s3fs.S3FileSystem, pack: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    options = {"layout": layout, "shard_records": 4, "min_images": 2}
    run(pack, "s3://faces/alone", **options)
    sent: list[str] = []
    original, left = prefix.put_file, [100]

    def until_it_dies(address: str, path: Path) -> None:
        if not left[0]:
            raise StoreError("the machine is gone", address)
        left[0] -= 1
        sent.append(path.name)
        original(address, path)

    def part(number: int) -> PartDone:
        with pytest.raises(PartFinished) as finished:
            run(pack, "s3://faces/out", **options, executor=ExecutorChoice(part=Part(number, 3)))
        return finished.value.done

    monkeypatch.setattr(prefix, "put_file", until_it_dies)
    assert part(2) == PartDone(Part(2, 3), "s3://faces/out", 3, 10, 3, 8)
    assert part(2)._replace(finished=3) == PartDone(Part(2, 3), "s3://faces/out", 0, 0, 3, 8)
    left[0] = 1
    with pytest.raises(StoreError):
        part(1)
    left[0] = 100
    assert part(3).finished == 6
    assert len(sent) == len(set(sent)) == 6
    assert "run.json.unfinished" in objects(store)
    assert "run.json" not in objects(store)
    sent.clear()
    run(pack, "s3://faces/out", **options)
    assert len([name for name in sent if name.endswith(("tar", ".parquet")) and "ledger" not in name]) == 2
    assert objects(store).keys() == objects(store, "faces/alone").keys()
    for name in objects(store).keys() - {"run.json"}:
        assert store.cat_file(f"faces/out/{name}") == store.cat_file(f"faces/alone/{name}"), name


def test_a_dry_run_sends_and_removes_nothing(store: s3fs.S3FileSystem, pack: Path) -> None:
    words = ["convert", str(pack), "s3://faces/out", "--shard-records", "8"]
    for more in ([], ["--part", "1/2"]):
        plan = json.loads(call([*words, *more, "--dry-run", "--json"]).out)
        assert (plan["destination"], plan["unfinished"], plan["bytes_free"]) == ("s3://faces/out", False, -1)
        assert plan["bytes_needed"] > 0
        assert objects(store) == {}
    run(pack, "s3://faces/out", layout="parquet")
    before = objects(store)
    assert call([*words, "--dry-run"]).code == 2
    assert call([*words, "--dry-run", "--overwrite"]).code == 0
    assert objects(store) == before


def test_an_engine_has_no_folder_in_a_store(store: s3fs.S3FileSystem, pack: Path) -> None:
    with pytest.raises(ConfigError, match="give --part I/N on each machine"):
        run(pack, "s3://faces/out", executor=ExecutorChoice("ray"))
    assert objects(store) == {}


def test_what_cannot_be_written_is_refused(store: s3fs.S3FileSystem, pack: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the layout flat is for the disk"):
        run(pack, "s3://faces/out", layout="flat")
    with web_server() as web, pytest.raises(ConfigError, match="can be read only"):
        run(pack, f"{web.url}/out")
    with pytest.raises(StoreError, match="s3://nowhere/out"):
        run(pack, "s3://nowhere/out")
    run(pack, "s3://faces/shards", layout="parquet")
    with pytest.raises(ConfigError, match="must be read as a stream"):
        run("s3://faces/shards", "s3://faces/out")
    run(pack, tmp_path / "tars", layout="webdataset")
    assert run(tmp_path / "tars", "s3://faces/of-tars").images == 30


def test_without_the_extra_the_command_to_install_it_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[stores\]'"):
        run("s3://faces/x.tar", tmp_path / "out")
