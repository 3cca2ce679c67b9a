"""RecordDataset against what arcface_torch's loader would give, in this process and in workers."""

from __future__ import annotations

import gc
import mmap
import os
import pickle
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mask_stand_ins import canonical_vertices, magic_inside
from photo import face
from torch.utils.data import DataLoader

from facekit import MaskAugment
from facekit.errors import ConfigError, FacekitError, PictureError, RecordError
from facekit.images import decode, encode_jpeg
from facekit.records import Header, PackWriter, RecordReader, RecordWriter, open_pack, pack_record
from facekit.records.index import sidecar_path
from facekit.run.ledger import LedgerRow, LedgerWriter, payload_hash, table
from facekit.train.dataset import RecordDataset, flip_and_normalise

PEOPLE, PICTURES = 3, 4


def write(folder: Path, layout: str = "insightface", vector: bool = False) -> Path:
    with PackWriter(folder, layout) as writer:
        for person in range(PEOPLE):
            for number in range(PICTURES):
                label: Any = np.array([person, 1.0], np.float32) if vector else float(person)
                payload = encode_jpeg(face(10 * person + number)[:100])
                writer.write(Header(2 if vector else 0, label, 0, 0), payload)
    return folder


def write_ledger(folder: Path, masked: list[int]) -> None:
    rows = [
        LedgerRow(key, key, payload_hash(b""), "mask" if key in masked else "copy")
        for key in range(1, 1 + PEOPLE * PICTURES)
    ]
    rows += [LedgerRow(None, 5, payload_hash(b""), "refused"), LedgerRow(0, None, payload_hash(b""), "layout")]
    with LedgerWriter(folder / "train.ledger.parquet") as ledger:
        ledger.append(table(rows))


def plain(image: np.ndarray) -> np.ndarray:
    return image


def paint(image: np.ndarray, key: int, epoch: int = 0) -> tuple[np.ndarray, bool]:
    return np.full_like(image, key + 100 * epoch), key % 2 == 0


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_samples_and_labels_are_those_of_the_pack(tmp_path: Path, layout: str, vector: bool) -> None:
    dataset = RecordDataset(write(tmp_path / "pack", layout, vector), 3, transform=plain)
    assert (len(dataset), dataset.local_rank, dataset.root_dir) == (PEOPLE * PICTURES, 3, str(tmp_path / "pack"))
    first = 1 if layout == "insightface" else 0
    assert dataset.imgidx.tolist() == list(range(first, first + PEOPLE * PICTURES))
    for index in range(len(dataset)):
        sample, label = dataset[index]
        key = int(dataset.imgidx[index])
        assert (sample == decode(open_pack(tmp_path / "pack").read(key).payload)).all()
        assert (label.dtype, label.shape, label.item()) == (torch.int64, (), index // PICTURES)
    assert dataset.labels.tolist() == [index // PICTURES for index in range(len(dataset))]
    assert dataset.num_classes == PEOPLE
    assert hasattr(dataset, "header0") == (layout == "insightface")
    if layout == "insightface":
        assert dataset.header0 == (PEOPLE * PICTURES + 1, PEOPLE * PICTURES + 1 + PEOPLE)
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    assert dataset[-1][1].item() == PEOPLE - 1


def test_golden_packs_of_every_layout_count_as_in_the_loader_of_arcface_torch() -> None:
    """The original: keys 1 to label[0] where record 0 has a flag, else all keys; but never an image for a header."""
    golden = Path(__file__).parent / "golden" / "recordio"
    for name in (
        "face2rec2",
        "recbuilder",
        "cleaned",
        "sequential",
        "im2rec",
        "shuffled",
        "image_at_zero",
        "mask_parameters",
    ):
        dataset, reader = RecordDataset(golden / f"{name}.rec", transform=plain), RecordReader(golden / f"{name}.rec")
        pack = open_pack(golden / f"{name}.rec")
        if pack.layout == "insightface":
            assert dataset.imgidx.tolist() == list(range(1, int(pack.dataset_header.label[0]))), name
        else:
            assert dataset.imgidx.tolist() == reader.keys.tolist(), name
        assert [dataset[i][1].item() for i in range(len(dataset))] == dataset.labels.tolist()


def test_keys_with_gaps_and_in_any_order(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "a.rec") as writer:
        for key in (40, 7, 300):
            writer.write_bytes(key, pack_record((0, key % 5, key, 0), encode_jpeg(face(key)[:90])))
    dataset = RecordDataset(tmp_path / "a.rec", transform=plain)
    assert dataset.imgidx.tolist() == [40, 7, 300]
    assert [dataset[i][1].item() for i in range(3)] == dataset.labels.tolist() == [0, 2, 0]
    again = pickle.loads(pickle.dumps(dataset))
    assert again.imgidx.tolist() == [40, 7, 300]


def test_the_default_transform_is_that_of_arcface_torch() -> None:
    image = face(1)[:100]
    expected = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(torch.float32) / 255
    expected = (expected - 0.5) / 0.5
    seen = set()
    for seed in range(8):
        torch.manual_seed(seed)
        sample = flip_and_normalise(image)
        mirrored = torch.equal(sample, expected.flip(2))
        assert mirrored or torch.equal(sample, expected)
        seen.add(mirrored)
    assert seen == {False, True}
    assert (sample.shape, sample.dtype, sample.is_contiguous()) == ((3, 100, 112), torch.float32, True)
    assert sample.min() >= -1
    assert sample.max() <= 1


def test_the_flag_comes_from_the_ledger(tmp_path: Path) -> None:
    folder = write(tmp_path / "pack")
    with pytest.raises(ConfigError, match=r"train.ledger.parquet.*facekit mask"):
        RecordDataset(folder, return_mask_flag=True)
    write_ledger(folder, [2, 3, 11])
    dataset = RecordDataset(folder, return_mask_flag=True)
    flags = [dataset[i][2] for i in range(len(dataset))]
    assert flags[0].dtype == torch.bool
    assert [key for key, flag in zip(dataset.imgidx.tolist(), flags) if flag] == [2, 3, 11]
    assert not dataset.is_masked(10**9)


@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_rows_of_the_ledger_with_keys_of_any_size_cost_nothing(tmp_path: Path, layout: str) -> None:
    folder, first = write(tmp_path / "pack", layout), int(layout == "insightface")
    keys = [first + 2, 2**33, 2**62, 2**63 - 1, None]
    with LedgerWriter(folder / "train.ledger.parquet") as ledger:
        ledger.append(table([LedgerRow(key, 5, payload_hash(b""), "mask") for key in keys]))
    dataset = RecordDataset(folder, return_mask_flag=True)
    assert dataset._masked is not None
    assert dataset._masked.nbytes == 2
    assert [bool(dataset[i][2]) for i in range(len(dataset))] == [i == 2 for i in range(len(dataset))]
    assert bool(dataset[2 - len(dataset)][2])
    assert [key for key in (-1, *range(20), 2**33, 2**62) if dataset.is_masked(key)] == [first + 2]


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = write(tmp_path / "pack")
    for content in (pa.table({"key": ["a"], "action": ["mask"]}), pa.table({"key": [1]}), pa.table({"key": [[1]]})):
        pq.write_table(content, folder / "train.ledger.parquet")
        with pytest.raises(FacekitError, match=r"train\.ledger\.parquet cannot be read as a ledger"):
            RecordDataset(folder, return_mask_flag=True)
    (folder / "train.ledger.parquet").write_bytes(b"no table")
    with pytest.raises(FacekitError, match="cannot be read as a ledger"):
        RecordDataset(folder, return_mask_flag=True)


def test_the_flag_of_keys_in_any_order_and_with_gaps(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "a.rec") as writer:
        for key in (40, 7, 300):
            writer.write_bytes(key, pack_record((0, 0, key, 0), encode_jpeg(face(key)[:90])))
    with LedgerWriter(tmp_path / "a.ledger.parquet") as ledger:
        ledger.append(table([LedgerRow(key, key, payload_hash(b""), "mask") for key in (40, 300, 41)]))
    dataset = RecordDataset(tmp_path / "a.rec", transform=plain, return_mask_flag=True)
    assert [bool(dataset[i][2]) for i in range(3)] == [True, False, True]
    assert [dataset.is_masked(key) for key in (40, 7, 300, 41)] == [True, False, True, False]


def test_the_ledger_of_another_pack_in_the_folder_says_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "pack")
    write_ledger(folder, [2, 3, 11])
    for suffix in (".rec", ".idx"):
        (folder / f"train{suffix}").rename(folder / f"other{suffix}")
    with pytest.raises(ConfigError, match=r"no other.ledger.parquet"):
        RecordDataset(folder / "other", return_mask_flag=True)
    (folder / "train.ledger.parquet").rename(folder / "other.ledger.parquet")
    assert RecordDataset(folder / "other", return_mask_flag=True).is_masked(11)


def test_the_flag_comes_from_the_augmentation_and_masked_pictures_are_left_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "pack")
    dataset = RecordDataset(folder, transform=plain, augment=paint, return_mask_flag=True)
    dataset.set_epoch(1)
    assert [flag.item() for _, _, flag in (dataset[i] for i in range(4))] == [False, True, False, True]
    assert (dataset[4][0] == 105).all()
    write_ledger(folder, [5])
    dataset = RecordDataset(folder, transform=plain, augment=paint, return_mask_flag=True)
    image, _, masked = dataset[4]
    assert masked
    assert (image == decode(open_pack(folder).read(5).payload)).all()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_workers_give_what_this_process_gives_and_see_the_epoch(tmp_path: Path, method: str) -> None:
    meshes = dict.fromkeys(range(PEOPLE * PICTURES + 1), canonical_vertices())
    augment = MaskAugment(0.5, "kn95", seed=1, meshes=meshes)
    dataset = RecordDataset(write(tmp_path / "pack"), transform=plain, augment=augment, return_mask_flag=True)
    loader = DataLoader(dataset, batch_size=5, num_workers=2, multiprocessing_context=method, persistent_workers=True)
    masked = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        images, labels, flags = (torch.cat(parts) for parts in zip(*loader, strict=True))
        own = [dataset[i] for i in range(len(dataset))]
        assert (images.numpy() == np.stack([image for image, _, _ in own])).all()
        assert labels.tolist() == [label.item() for _, label, _ in own]
        assert flags.tolist() == [flag.item() for _, _, flag in own]
        masked.append(flags.tolist())
    assert masked[0] != masked[1]
    del loader


def test_a_worker_maps_the_index_instead_of_parsing_it(tmp_path: Path) -> None:
    """A million lines: what is sent is small, and what is opened there is the file's own pages."""
    with RecordWriter(tmp_path / "a.rec") as writer:
        writer.write_bytes(0, pack_record((0, 3, 0, 0), encode_jpeg(face(1)[:90])))
    with open(tmp_path / "a.idx", "w") as index:
        index.writelines(f"{key}\t0\n" for key in np.random.default_rng(0).permutation(1_000_000).tolist())
    os.truncate(tmp_path / "a.rec", 8_000_000)  # room for so many records, or the index is refused
    sent = pickle.dumps(RecordDataset(tmp_path / "a.rec", transform=plain))
    assert len(sent) < 10_000
    dataset = pickle.loads(sent)
    opened = dataset.pack.reader.index
    assert isinstance(owner_of(opened.keys), mmap.mmap)
    assert isinstance(owner_of(opened.offsets), mmap.mmap)
    assert len(dataset) == 1_000_000
    assert dataset[777_777][1].item() == 3


def owner_of(array: np.ndarray) -> object:
    """Whose memory an array is a view of."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def test_where_no_sidecar_can_be_written_the_index_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "pack")
    monkeypatch.setattr("facekit.records.reader._REPARSE_BELOW", 3)
    shutil.copytree(folder, tmp_path / "again")
    pickle.dumps(RecordDataset(folder))
    assert sidecar_path(folder / "train.idx").exists()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("facekit.records.reader.save_sidecar", refuse)
    sent = pickle.dumps(RecordDataset(tmp_path / "again", transform=plain))
    (tmp_path / "again" / "train.idx").unlink()
    assert pickle.loads(sent)[0][1].item() == 0


def test_damage_names_file_and_key(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "pack", layout="flat") as writer:
        writer.write(Header(0, 0.0, 0, 0), b"no picture")
        writer.write(Header(0, 1.0, 0, 0), magic_inside(encode_jpeg(face(2)), 24))
    dataset = RecordDataset(tmp_path / "pack", transform=plain)
    with pytest.raises(PictureError, match=r"train.rec, key 0: .*no JPEG"):
        dataset[0]
    assert dataset[1][0].shape == (112, 112, 3)
    with RecordWriter(tmp_path / "b.rec") as raw:
        raw.write_bytes(4, pack_record((0, float("nan"), 0, 0), encode_jpeg(face(2))))
    with pytest.raises(RecordError, match=r"b.rec, key 4, offset 0: the label nan"):
        RecordDataset(tmp_path / "b.rec")[0]
    with pytest.raises(RecordError, match="no such pack"):
        RecordDataset(tmp_path / "nowhere")


def test_labels_take_their_own_bytes_and_the_packs(tmp_path: Path) -> None:
    """No positions of all keys, and no array of keys that follow one another."""
    peaks = []
    for count in (70_000, 140_000):
        with PackWriter(tmp_path / str(count)) as writer:
            for row in range(count):
                writer.write(Header(0, float(row // 50), row + 1, 0), b"")
        dataset = RecordDataset(tmp_path / str(count))
        gc.collect()
        tracemalloc.start()
        assert np.array_equal(dataset.labels, np.arange(count) // 50)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 70_000 < 35
