"""PackWriter: what it writes and refuses, by records and by blocks, and what is left where it is interrupted."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_packs import JPEG, write_pack

from facekit.errors import ConfigError, RecordError
from facekit.records import Header, PackWriter, Record, frame, open_pack, pack_record, unframe
from facekit.records.header import unpack_record
from facekit.records.patch import patch_headers

MAGIC_WORD = 0xCED7230A
MAGIC = struct.pack("<I", MAGIC_WORD)


def test_what_the_layout_insightface_holds(tmp_path: Path) -> None:
    with open_pack(write_pack(tmp_path / "pack", labels=(4, 4, 0, 9))) as pack:
        assert (pack.layout, pack.labels.tolist(), pack.keys.tolist()) == ("insightface", [4, 4, 0, 9], [1, 2, 3, 4])
        assert (pack.num_identities, pack.num_classes) == (3, 10)
        assert pack.physical_keys.tolist() == [1, 2, 3, 4, 0, 5, 6, 7]
        assert pack.read(0) == Record(0, Header(2, np.float32([5, 8]), 0, 0), b"")
        assert pack.read(6) == Record(6, Header(2, np.float32([3, 4]), 6, 0), b"")
        assert pack.identity_ranges.tolist() == [[1, 3], [3, 4], [4, 5]]
        assert pack.read(2) == Record(2, Header(0, 4.0, 101, 0), JPEG + b"\x01")
        assert pack.paths.property.read_text() == "10,10,14\n"


def test_what_the_layout_flat_holds(tmp_path: Path) -> None:
    with open_pack(write_pack(tmp_path / "pack", "flat", (4, 0, 4), image_size=(7, 9))) as pack:
        assert (pack.layout, pack.labels.tolist(), pack.physical_keys.tolist()) == ("flat", [4, 0, 4], [0, 1, 2])
        assert pack.paths.property.read_text() == "5,7,9\n"


def test_own_keys_in_the_layout_flat(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "pack", "flat") as writer:
        assert writer.write(Header(0, 1, 0, 0), b"x", key=40, renumber=True) == 40
        assert writer.write(Record(3, Header(0, 1, 3, 0), b"y")) == 41 == writer.next_key - 1
        block = frame(pack_record(Header(0, 1, 0, 0), b"z"))
        assert writer.append_block(block, [0], [1], keys=[7]).tolist() == [7]  # type: ignore[arg-type]
    with open_pack(tmp_path / "pack") as pack:
        assert [(record.key, record.header.id) for record in pack] == [(40, 40), (41, 3), (7, 0)]


def test_what_a_pack_writer_refuses(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="layout is 'round'; it must be one of insightface, flat"):
        PackWriter(tmp_path / "pack", "round")
    with PackWriter(tmp_path / "pack") as writer:
        block = frame(pack_record(Header(0, 1, 0, 0), b"z"))
        calls = {
            "numbered by the layout": lambda: writer.write(Header(0, 1, 0, 0), b"", key=4),
            "leave them out": lambda: writer.append_block(block, [0], [1], keys=[1]),  # type: ignore[arg-type]
            "as many labels": lambda: writer.append_block(block, [0], [1, 2]),  # type: ignore[arg-type]
            "no framed record": lambda: writer.append_block(block, [4], [1]),  # type: ignore[arg-type]
            "1 records want as many ids": lambda: writer.append_block(block, [0], [1], new_ids=[1, 2]),  # type: ignore[arg-type]
            "whole number": lambda: writer.write(Header(0, 1.5, 0, 0), b""),
            "needs a payload": lambda: writer.write(Header(0, 1, 0, 0)),
            "already has a payload": lambda: writer.write(Record(1, Header(0, 1, 0, 0), b""), b""),
            "cannot be packed": lambda: writer.write(Header(0, 1, -1, 0), b""),
        }
        for problem, call in calls.items():
            with pytest.raises(ConfigError, match=problem):
                call()
        for label in (1, 1, 2):
            writer.write(Header(0, label, 0, 0), b"")
        for call in (
            lambda: writer.write(Header(0, 1, 0, 0), b""),
            lambda: writer.append_block(2 * block, [0, 36], [3, 1]),  # type: ignore[arg-type]
            lambda: writer.append_block(3 * block, [0, 36, 72], [3, 4, 3]),  # type: ignore[arg-type]
        ):
            with pytest.raises(ConfigError, match=r"images of label [13] do not follow one another"):
                call()
        assert writer.next_key == 4
    with open_pack(tmp_path / "pack") as pack:
        assert pack.labels.tolist() == [1, 1, 2]
    with pytest.raises(ConfigError, match="closed"):
        writer.write(Header(0, 1, 0, 0), b"")


@pytest.mark.parametrize("name", ["pack", "pack.rec"])
def test_an_exception_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyError), PackWriter(tmp_path / name, "flat") as writer:
        writer.write(Header(0, 1, 0, 0), b"x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pack", "pack.rec"])
def test_nothing_appears_before_close(tmp_path: Path, name: str) -> None:
    writer = PackWriter(tmp_path / name, "flat")
    writer.write(Header(0, 1, 0, 0), b"x")
    assert not (tmp_path / name).exists()
    writer.close()
    writer.close()
    with open_pack(tmp_path / name) as pack:
        assert pack.num_images == 1
    assert not (tmp_path / f"{name}.writing").exists()


def test_an_existing_pack_is_refused_and_replaced_when_asked(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "pack")
    (folder / "lfw.bin").write_bytes(b"precious")
    with open_pack(folder) as pack:
        pack.save_sidecar()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileExistsError, match="exists"):
        PackWriter(folder)
    with pytest.raises(ZeroDivisionError), PackWriter(folder, overwrite=True) as writer:
        writer.write(Header(0, 7, 0, 0), b"x")
        1 / 0  # noqa: B018
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    write_pack(folder, "flat", (7, 8), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["lfw.bin", "property", "train.idx", "train.rec"]
    assert (folder / "lfw.bin").read_bytes() == b"precious"
    with open_pack(folder) as pack:
        assert (pack.layout, pack.labels.tolist()) == ("flat", [7, 8])
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_pack(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="file"):
            PackWriter(tmp_path / "file", overwrite=overwrite)
    with pytest.raises(RecordError, match="cannot be made"):
        PackWriter(tmp_path / "file" / "pack")


def test_what_a_killed_writer_left_is_no_hindrance(tmp_path: Path) -> None:
    others = [".pack.0123456789ab.partial", "pack.writing"]
    for name in others:
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.rec.partial").write_bytes(b"half, or somebody else's")
    write_pack(tmp_path / "pack")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["pack", *others])
    assert all((tmp_path / name / "train.rec.partial").exists() for name in others)


labels = st.lists(st.integers(0, 3), min_size=1, max_size=12).map(sorted)
numbers = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([MAGIC_WORD, MAGIC_WORD << 32, MAGIC_WORD << 32 | 5]))
planted = st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=9)), max_size=4).map(b"".join)


@given(labels, st.data(), st.sampled_from(["insightface", "flat"]), st.booleans(), st.booleans())
def test_blocks_give_the_bytes_of_single_writes(
    tmp_path_factory: pytest.TempPathFactory,
    new_labels: list[int],
    data: st.DataObject,
    layout: str,
    renumber: bool,
    relabel: bool,
) -> None:
    """Vector and scalar labels, magic words in ids and payloads, split into blocks anywhere."""
    folder = tmp_path_factory.mktemp("blocks")
    headers = [
        Header(0, data.draw(st.sampled_from([float(label), [float(label), 3.0]])), data.draw(numbers), 0)
        for label in (data.draw(st.permutations(new_labels)) if relabel else new_labels)
    ]
    payloads = [data.draw(planted) for _ in headers]
    ids = np.array([data.draw(numbers) for _ in headers], np.uint64)
    with PackWriter(folder / "one", layout) as writer:
        for header, payload, id_, label in zip(headers, payloads, ids.tolist(), new_labels, strict=True):
            new = header._replace(id=id_) if renumber else header
            new = new._replace(label=[label, 3.0] if isinstance(header.label, list) else label) if relabel else new
            writer.write(new, payload)
    pieces = [frame(pack_record(header, payload)) for header, payload in zip(headers, payloads, strict=True)]
    cut = data.draw(st.integers(0, len(pieces)))
    with PackWriter(folder / "other", layout) as writer:
        for part in (slice(0, cut), slice(cut, None)):
            starts = np.cumsum([0, *map(len, pieces[part])])[:-1]
            block = b"".join(pieces[part])
            new_ids = ids[part] if renumber else None
            writer.append_block(block, starts, np.array(new_labels[part]), new_ids=new_ids, relabel=relabel)
    for name in ("train.rec", "train.idx", "property"):
        assert (folder / "one" / name).read_bytes() == (folder / "other" / name).read_bytes()


@given(st.lists(st.tuples(numbers, planted), min_size=1, max_size=8), st.data())
def test_patched_records_are_those_packed_anew(records: list[tuple[int, bytes]], data: st.DataObject) -> None:
    pieces = [frame(pack_record(Header(0, 1.0, id_, id_), payload)) for id_, payload in records]
    offsets = np.cumsum([0, *map(len, pieces)])[:-1]
    ids = np.array([data.draw(numbers) for _ in records], np.uint64)
    bits = data.draw(st.sampled_from([MAGIC_WORD, 0x40A00000]))
    labels = np.full(len(records), bits, np.uint32).view(np.float32)
    block, starts = patch_headers(b"".join(pieces), offsets, ids, labels)
    expected = [
        pack_record(Header(0, labels[0], id_, old), payload)
        for id_, (old, payload) in zip(ids.tolist(), records, strict=True)
    ]
    assert bytes(block) == b"".join(map(frame, expected))
    assert [unframe(block, start)[0] for start in starts.tolist()] == expected


def test_patching_copies_and_refuses() -> None:
    block = frame(pack_record(Header(0, 1.0, 5, 0), b"abcd"))
    again, _ = patch_headers(block, np.array([0]), np.array([6]))
    assert unpack_record(unframe(block)[0])[0].id == 5
    assert unpack_record(unframe(again)[0])[0].id == 6
    for bad in (np.array([-1]), np.array([1, 2]), np.array([1.0])):
        with pytest.raises(ConfigError, match=r"ids"):
            patch_headers(block, np.array([0]), bad)
    for short in (b"", b"abcd", bytes(23), struct.pack("<IfQQ", 2, 0, 0, 0)):
        with pytest.raises(ConfigError, match="too short"):
            patch_headers(frame(short), np.array([0]), np.array([1]), np.array([1.0]))
    first = frame(b"wxyz" + MAGIC)
    with pytest.raises(ConfigError, match="cannot be changed"):
        patch_headers(first[:16], np.array([0]), np.array([1]))


def test_real_packs_read_as_they_are(shared: Path, tmp_path: Path) -> None:
    """The measuring packs, which mxnet wrote: written again by blocks and by records, byte for byte the same."""
    for name, images, identities in (("faces", 5121, 1022), ("noisy", 3208, 286)):
        source = shared / "data" / name
        with open_pack(source) as pack, PackWriter(tmp_path / name) as writer:
            assert (pack.layout, pack.num_images, pack.num_identities) == ("insightface", images, identities)
            for keys, labels in zip(np.array_split(pack.keys, 7), np.array_split(pack.labels, 7), strict=True):
                pieces = [pack.read_framed(key) for key in keys.tolist()]
                writer.append_block(b"".join(pieces), np.cumsum([0, *map(len, pieces)])[:-1], labels, new_ids=True)
        for file in ("train.rec", "train.idx", "property"):
            assert (tmp_path / name / file).read_bytes() == (source / file).read_bytes()
