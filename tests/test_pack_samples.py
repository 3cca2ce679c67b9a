"""Packing tar shards and parquet: what a folder of the same pictures gives, with every sample accounted for."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from facekit.errors import ConfigError, FacekitError, RecordError
from facekit.images import encode_jpeg
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.job import PackSummary, pack
from facekit.records import open_pack
from tests.store_servers import web_server


def picture(number: int, side: int = 112) -> bytes:
    return encode_jpeg(np.full((side, 112, 3), number * 5 % 250, np.uint8))


def tar_of(samples: list[tuple[str, bytes, int]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content, label in samples:
            for suffix, held in (("jpg", content), ("cls", str(label).encode())):
                member = tarfile.TarInfo(f"{name}.{suffix}")
                member.size = len(held)
                tar.addfile(member, io.BytesIO(held))
    return gzip.compress(out.getvalue())


def run(source: object, destination: Path, **options: Any) -> PackSummary:
    return pack(PackConfig(str(source), str(destination), **options))


def test_samples_are_packed_as_their_files_would_be(tmp_path: Path) -> None:
    labels = [n % 3 for n in range(20)]
    for n, label in enumerate(labels):
        (tmp_path / "people" / f"p{label}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / f"p{label}" / f"{n:04d}.jpg").write_bytes(picture(n))
    with web_server() as web:
        for shard in range(2):
            some = range(10 * shard, 10 * shard + 10)
            web.files[f"{shard}.tar.gz"] = tar_of([(f"{n:04d}", picture(n), 7 * labels[n]) for n in some])
        summary = run(f"{web.url}/{{0..1}}.tar.gz", tmp_path / "of-shards", workers=2)
    run(tmp_path / "people", tmp_path / "of-people")
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "of-shards" / name).read_bytes() == (tmp_path / "of-people" / name).read_bytes()
    assert (summary.pictures, summary.images, summary.identities) == (20, 20, 3)
    assert (tmp_path / "of-shards" / "labels.csv").read_text() == "label,name,images\n0,0,7\n1,7,7\n2,14,6\n"
    lines = (tmp_path / "of-shards" / "source.lst").read_text().splitlines()
    assert lines == [f"{n}\t{labels[n]}\t{n:04d}" for n in range(20)]


@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_what_is_not_packed_has_its_reason(tmp_path: Path, layout: str) -> None:
    samples = [
        ("1", picture(1), 5), ("2", picture(2, side=90), 5), ("3", b"\xff\xd8 no picture", 5), ("4", picture(4), 5),
        ("5", picture(5), 8), ("6", picture(6), -1), ("7", picture(7), 5), ("8", picture(8, side=50), 5),
    ]  # fmt: skip
    (tmp_path / "x.tar.gz").write_bytes(tar_of(samples))
    summary = run(tmp_path / "x.tar.gz", tmp_path / "out", min_images=2, layout=layout)
    assert (summary.pictures, summary.images, summary.identities, summary.by_action) == (8, 3, 1, {"copy": 3})
    rows = {row["source_key"]: row for row in pq.read_table(tmp_path / "out" / "train.ledger.parquet").to_pylist()}
    reasons = {key: row["reason"] for key, row in rows.items() if key and row["key"] is None}
    assert list(reasons) == [2, 3, 5, 6, 8]
    assert (reasons[2], reasons[8]) == ("size 90x112", "size 50x112")
    assert (reasons[5], reasons[6]) == ("few_images", "label_not_whole")
    assert {rows[key]["action"] for key in (2, 5, 6, 8)} == {"refused"}
    assert rows[3]["action"] == "error"
    with open_pack(tmp_path / "out") as made:
        assert [record.payload for record in made] == [picture(1), picture(4), picture(7)]


def test_nothing_to_pack_says_why_and_other_settings_may_follow(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(tar_of([("1", picture(1, side=50), 5)]))
    with pytest.raises(FacekitError, match=r"no picture could be packed; size 50x112 \(1 times\).*--size any"):
        run(tmp_path / "x.tar.gz", tmp_path / "out")
    assert run(tmp_path / "x.tar.gz", tmp_path / "out", size=None).images == 1


def test_a_folder_of_people_with_a_tar_beside_them_is_a_folder_of_people(tmp_path: Path) -> None:
    (tmp_path / "people" / "a").mkdir(parents=True)
    (tmp_path / "people" / "a" / "1.jpg").write_bytes(picture(1))
    (tmp_path / "people" / "backup.tar").write_bytes(b"?")
    summary = run(tmp_path / "people", tmp_path / "out")
    assert (summary.images, summary.others) == (1, {".tar": 1})


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(gzip.decompress(tar_of([("1", picture(1), 5)])))
    with pytest.raises(ConfigError, match="root is for lists"):
        run(tmp_path / "x.tar", tmp_path / "out", root=str(tmp_path / "pictures"))
    (tmp_path / "x.tar").write_bytes(b"damaged" * 200)
    with pytest.raises(RecordError, match="the tar file is truncated or damaged"):
        run(tmp_path / "x.tar", tmp_path / "out")
