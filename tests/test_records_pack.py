"""Packs: what open_pack finds, and what a layout means."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_packs import JPEG, write_pack

from facekit.errors import ConfigError, FacekitError, PictureError, RecordError
from facekit.records import Header, Pack, PackWriter, RecordWriter, open_pack, pack_record

# --- opening --------------------------------------------------------------------------------------------------------


def test_a_folder_a_file_or_a_prefix(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "a.b" / "pack")
    for path in (folder, str(folder), folder / "train.rec", folder / "train.idx", folder / "train"):
        with open_pack(path) as pack:
            assert pack.paths == (folder, folder / "train.rec", folder / "train.idx", folder / "property")
            assert pack.num_images == len(pack) == 5


def test_a_folder_with_a_file_of_another_name(tmp_path: Path) -> None:
    write_pack(tmp_path / "faces.v2.rec", "flat")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.v2.idx", "faces.v2.rec"]
    for path in (tmp_path, tmp_path / "faces.v2"):
        with open_pack(path) as pack:
            assert pack.layout == "flat"
    write_pack(tmp_path / "more.rec", "flat")
    with pytest.raises(RecordError, match=r"2 \.rec files lie in this folder \(faces\.v2\.rec, more\.rec\)"):
        open_pack(tmp_path)


@pytest.mark.parametrize("name", ["missing", "missing.rec", "missing.idx", ""])
def test_no_such_pack(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match=r"no such pack|no \.rec file lies") as caught:
        open_pack(tmp_path / name)
    assert caught.value.path.startswith(str(tmp_path))


def test_packs_pickle_small_and_cross_processes(tmp_path: Path) -> None:
    with open_pack(write_pack(tmp_path / "pack")) as pack:
        assert pack.labels.tolist() == [0, 0, 1, 2, 2]
        assert len(pickle.dumps(pack)) < 1_000
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(Pack.read, (pack, 3)) == pack.read(3)


def test_images_and_their_errors(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "pack") as writer:
        writer.write(Header(0, 0, 0, 0), JPEG)
        writer.write(Header(0, 0, 0, 0), b"no picture")
        writer.write(Header(0, 0, 0, 0), b"")
    with open_pack(tmp_path / "pack") as pack:
        assert pack.image(1).shape == (10, 14, 3)
        for key, problem in ((2, "6e 6f 20 70"), (3, "empty"), (0, "empty")):
            with pytest.raises(PictureError, match=rf"train\.rec, key {key}: .*{problem}"):
                pack.image(key)
        with pytest.raises(RecordError, match="no such key"):
            pack.image(9)


def test_a_record_too_short_names_path_key_and_offset(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "train.rec") as writer:
        writer.write_bytes(7, pack_record(Header(0, 1, 7, 0), b""))
        writer.write_bytes(8, b"short")
    with open_pack(tmp_path) as pack:
        for ask in (lambda: pack.read(8), lambda: pack.labels):
            with pytest.raises(RecordError, match="too short") as caught:
                ask()
            assert (caught.value.path, caught.value.key, caught.value.offset) == (str(tmp_path / "train.rec"), 8, 32)


# --- layouts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "payload", "layout"),
    [
        ([6.0, 9.0], b"", "insightface"),
        ([2.0, 2.0], b"", "insightface"),
        ([6.0, 9.0], JPEG, "flat"),  # an image with a vector label
        ([1.0, 9.0], b"", "flat"),
        ([6.0, 5.0], b"", "flat"),
        ([float("nan"), 5.0], b"", "flat"),
        ([6.0, 9.0, 0.0], b"", "flat"),
        ([6.0], b"", "flat"),
        (6.0, b"", "flat"),
    ],
)
def test_what_is_a_dataset_header(tmp_path: Path, label: Any, payload: bytes, layout: str) -> None:
    with RecordWriter(tmp_path / "train.rec") as writer:
        writer.write_bytes(1, pack_record(Header(0, 3, 1, 0), JPEG))
        writer.write_bytes(0, pack_record(Header(0, label, 0, 0), payload))
    with open_pack(tmp_path) as pack:
        assert pack.layout == layout
        assert (pack.dataset_header is None) == (layout == "flat")
        assert pack.keys.tolist() == ([1] if layout == "insightface" else [1, 0])


@pytest.mark.parametrize("label", [float("nan"), float("inf"), 1.5, 1e30])
def test_a_label_that_is_no_whole_number(tmp_path: Path, label: float) -> None:
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key, value in ((4, 1.0), (5, label)):
            writer.write_bytes(key, pack_record(Header(0, value, 0, 0), b"x"))
    with open_pack(tmp_path) as pack, pytest.raises(RecordError, match="not a whole number") as caught:
        pack.labels  # noqa: B018
    assert (caught.value.key, caught.value.offset) == (5, 36)


@pytest.mark.parametrize("wrong", [float("nan"), float("-inf"), 2.0**62, -(2.0**63), 9.3e18, 3e38])
@pytest.mark.parametrize("place", [0, 1])
def test_an_identity_record_whose_numbers_are_no_keys(tmp_path: Path, wrong: float, place: int) -> None:
    ends = [2.0, 3.0]
    ends[place] = wrong
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key in (1, 2):
            writer.write_bytes(key, pack_record(Header(0, key - 1, key, 0), JPEG))
        writer.write_bytes(0, pack_record(Header(2, [3.0, 5.0], 0, 0), b""))
        writer.write_bytes(3, pack_record(Header(2, [1.0, 2.0], 3, 0), b""))
        writer.write_bytes(4, pack_record(Header(2, ends, 4, 0), b""))
    with open_pack(tmp_path) as pack, pytest.raises(RecordError, match="without two numbers") as caught:
        pack.identity_ranges  # noqa: B018
    assert caught.value.key == 4


def test_an_empty_pack(tmp_path: Path) -> None:
    write_pack(tmp_path / "flat", "flat", ())
    assert (tmp_path / "flat" / "property").read_text() == "0,112,112\n"
    with open_pack(tmp_path / "flat") as pack:
        assert (pack.layout, pack.num_images, pack.num_identities, pack.num_classes) == ("flat", 0, 0, 0)
        assert (pack.keys.tolist(), pack.labels.tolist(), list(pack)) == ([], [], [])
        assert pack.identity_ranges.shape == (0, 2)
    with pytest.raises(ConfigError, match="no image"):
        write_pack(tmp_path / "insightface", "insightface", ())
    assert not (tmp_path / "insightface").exists()


def test_beyond_two_to_the_24_the_boundary_is_looked_up(tmp_path: Path) -> None:
    """The dataset header of a pack of 2**25 + 2 images says 2**25 + 4, not + 3: float32 holds only multiples of 4."""
    last = 2**25 + 2
    header = np.array([last + 1, last + 3], np.float32)
    assert header[0] == last + 2
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key in range(last - 4, last + 1):
            writer.write_bytes(key, pack_record(Header(0, key // last, key, 0), JPEG))
        writer.write_bytes(0, pack_record(Header(2, header, 0, 0), b""))
        for key, ends in ((last + 1, (last - 4, last)), (last + 2, (last, last + 1))):
            writer.write_bytes(key, pack_record(Header(2, ends, key, 0), b""))
    with open_pack(tmp_path) as pack:
        assert pack.keys.tolist() == list(range(last - 4, last + 1))
        assert pack.labels.tolist() == [0, 0, 0, 0, 1]
        assert pack.identity_ranges.tolist() == [[last - 4, last], [last, last + 1]]


def test_physical_order_is_that_of_the_file(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key in (5, 2, 9):
            writer.write_bytes(key, pack_record(Header(0, key, key, 0), b"x"))
    (tmp_path / "train.idx").write_text("9\t72\n2\t36\n5\t0\n")
    with open_pack(tmp_path) as pack:
        assert pack.physical_keys.tolist() == pack.keys.tolist() == pack.labels.tolist() == [5, 2, 9]
        assert [record.key for record in pack] == [5, 2, 9]
        assert pack.save_index().read_text() == "5\t0\n2\t36\n9\t72\n"


def test_saved_sidecar_opens_the_same(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "pack")
    with open_pack(folder) as pack:
        pack.paths.idx.unlink()
        sidecar = pack.save_sidecar()
        with open_pack(folder) as again:
            assert sidecar.exists()
            assert again.keys.tolist() == pack.keys.tolist()
            assert list(again) == list(pack)


def test_header_columns_of_unknown_keys(tmp_path: Path) -> None:
    with open_pack(write_pack(tmp_path / "pack")) as pack, pytest.raises(RecordError, match="no such key") as caught:
        list(pack.header_columns(np.array([1, 77])))
    assert caught.value.key == 77


def test_every_fault_is_one_of_ours(tmp_path: Path) -> None:
    """Any byte of a small pack changed: opening and reading all of it gives values or typed errors, nothing else."""
    folder = write_pack(tmp_path / "pack", labels=(0, 1))
    rng = np.random.default_rng(0)
    whole = {name: (folder / name).read_bytes() for name in ("train.rec", "train.idx")}
    for _ in range(400):
        for name, content in whole.items():
            damaged = bytearray(content)
            if rng.random() < 0.7:
                damaged[rng.integers(len(damaged))] = rng.integers(256)
            (folder / name).write_bytes(damaged[: rng.integers(len(damaged))] if rng.random() < 0.1 else damaged)
        if rng.random() < 0.2:
            (folder / "train.idx").unlink()
        try:
            with open_pack(folder) as pack:
                assert pack.num_images == len(pack.labels)
                assert pack.identity_ranges.ndim == 2
                for record in pack:
                    assert isinstance(record.payload, bytes)
        except FacekitError as error:
            assert isinstance(error, RecordError)  # noqa: PT017 - no error is right as well
            assert error.path  # noqa: PT017
