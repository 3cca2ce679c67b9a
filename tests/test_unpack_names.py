"""Names of unpacked files: settled before anything is written, no two alike, whatever ledger and list tell."""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.errors import FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.outputs import original_names
from facekit.jobs.packs.unpack import UnpackConfig, unpack
from facekit.jobs.packs.unpack_names import Origin, file_name, plan_names
from facekit.records import Header, PackWriter
from facekit.run.ledger import LEDGER, LedgerRow, LedgerWriter, payload_hash, schema, table

JPEG = encode_jpeg(np.zeros((8, 8, 3), np.uint8))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
STEMS = st.sampled_from(["a", "b", "a-kn95", "a-cloth", "\udcff"])
NAMES = st.builds(str.__add__, STEMS, st.sampled_from([".jpg", ".JPG", ".png", ".bmp", ".txt", ""]))
FOLDERS = st.sampled_from(["p/", "q/", "p/deep/", ""])
RECORD = st.tuples(
    st.integers(0, 2),  # label
    st.none() | st.builds(str.__add__, FOLDERS, NAMES),  # the file it was made from
    st.none() | st.sampled_from(["kn95", "cloth"]),  # its mask
    st.booleans(),  # whether it is a PNG
)


def write(folder: Path, records: list[tuple[int, str | None, str | None, bool]]) -> Path:
    """A pack; records of one file share a source key, as copies do."""
    records = sorted(records, key=lambda record: record[0])
    files = {name: 1000 + number for number, name in enumerate({name for _, name, _, _ in records if name is not None})}
    rows = []
    with PackWriter(folder, "flat") as writer:
        for number, (label, name, mask, is_png) in enumerate(records):
            payload = (PNG if is_png else JPEG) + bytes([number])
            key = writer.next_key
            writer.write(Header(0, float(label), key, 0), payload)
            source = 5000 + key if name is None else files[name]
            rows.append(LedgerRow(key, source, payload_hash(payload), "mask" if mask else "copy", mask))
    with LedgerWriter(folder / LEDGER) as ledger:
        ledger.append(table(rows))
    with open(folder / "source.lst", "wb") as listed:
        for name, key in files.items():
            listed.write(b"%d\t0\t%s\n" % (key, os.fsencode(name)))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in names if path.name != "run.json"}


@settings(max_examples=40)
@given(records=st.lists(RECORD, min_size=1, max_size=9))
def test_every_record_gets_a_file_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, str | None, str | None, bool]]
) -> None:
    at = tmp_path_factory.mktemp("names")
    pack = write(at / "pack", records)
    done = unpack(UnpackConfig(str(pack), str(at / "out")))
    found = tree(at / "out")
    listed = [line.split(b"\t") for line in found.pop("unpacked.lst").splitlines()]
    assert len(found) == done.pictures == len(listed) == len(records)
    assert {os.fsdecode(name) for _, _, name in listed} == set(found)
    payloads = {found[os.fsdecode(name)][-1] for _, _, name in listed}
    assert payloads == set(range(len(records)))
    for _, label, name in listed:
        folder = os.fsdecode(name).split("/")[0]
        assert folder in ("p", "q") or folder == f"{int(label):07d}"


def test_shards_in_any_order_and_again_give_the_same_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit.jobs.packs.unpack.shard_size", lambda count: 2)
    pack = write(tmp_path / "pack", [(0, "p/a.jpg", None, False), (0, "p/a.jpg", "kn95", False),
                                     (0, "p/a-kn95.jpg", None, False), (0, "p/a.jpg", "kn95", False),
                                     (0, "p/a.png", None, False), (0, "p/c.png", None, False)])  # fmt: skip
    for workers in (1, 2):
        unpack(UnpackConfig(str(pack), str(tmp_path / str(workers)), workers=workers))
    one, two = tree(tmp_path / "1"), tree(tmp_path / "2")
    assert one == two
    del one["unpacked.lst"]
    assert {name: content[-1] for name, content in one.items()} == {
        "p/a.jpg": 0,
        "p/a-00000001.jpg": 1,  # its type is the name of another file
        "p/a-kn95.jpg": 2,
        "p/a-00000003.jpg": 3,
        "p/a-00000004.jpg": 4,  # a JPEG that was called .png, beside a .jpg of that stem
        "p/c.jpg": 5,
    }


def test_names_that_meet_all_the_same_are_refused(tmp_path: Path) -> None:
    """The key behind a stem may be the name of another file."""
    pack = write(tmp_path / "pack", [(0, "p/a.jpg", None, False), (0, "p/a.jpg", None, False),
                                     (0, "p/a-00000001.jpg", None, False)])  # fmt: skip
    names = plan_names(pack / "train.rec", np.arange(3), np.zeros(3, np.int64)).of(0, 3)
    assert len({file_name(origin, key, 0, "jpg") for key, origin in enumerate(names)}) == 2
    with pytest.raises(FacekitError, match=r"the same file name: remove source\.lst"):
        unpack(UnpackConfig(str(pack), str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_without_a_list_files_are_called_by_label_and_key() -> None:
    assert file_name(Origin(), 7, 3, "png") == "0000003/00000007.png"


def test_a_type_behind_a_name_is_no_other_files_name_whatever_its_suffix(tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", [(0, "p/a.jpg", None, True), (0, "p/a.jpg", "kn95", True),
                                     (0, "p/a-kn95.png", None, True)])  # fmt: skip
    unpack(UnpackConfig(str(pack), str(tmp_path / "out")))
    found = tree(tmp_path / "out")
    del found["unpacked.lst"]
    assert {name: content[-1] for name, content in found.items()} == {
        "p/a.png": 0, "p/a-00000001.png": 1, "p/a-kn95.png": 2
    }  # fmt: skip


@pytest.mark.parametrize(("narrow", "most"), [(original_names.MOST_NARROW, 40), (0, 46)])
def test_plans_take_a_few_numbers_a_record(
    narrow: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths stay in the mapped list: 4 bytes for where each stands, and a hash and its order for what is alike."""
    monkeypatch.setattr(original_names, "MOST_NARROW", narrow)
    peaks = []
    for count in (70_000, 140_000):  # more than a block and than a batch of the ledger
        rec, keys = tmp_path / str(count) / "train.rec", np.arange(1, count + 1)
        rec.parent.mkdir()
        with open(rec.with_name("source.lst"), "wb") as listed:
            listed.writelines(b"%d\t0\tperson %d/picture %d.jpg\n" % (key, key // 50, key) for key in range(count))
        sources = keys - keys % 5 // 4  # every fifth record is of the file before it, and wears a mask
        columns = {name: pa.nulls(count, schema().field(name).type) for name in schema().names}
        masks = pa.array(np.where(keys % 5 == 4, "kn95", None))
        made = columns | {"key": keys, "source_key": sources - 1, "type": masks}
        pq.write_table(pa.table(made, schema()), rec.with_name(LEDGER))
        gc.collect()
        tracemalloc.start()
        names = plan_names(rec, keys, (sources - 1) // 50)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert names.of(2, 4) == [Origin("person 0/picture 2.jpg"), Origin("person 0/picture 2.jpg", "kn95")]
    assert (peaks[1] - peaks[0]) / 70_000 < most
