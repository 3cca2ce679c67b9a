"""`facekit mask`, from a pack on disk to a pack on disk."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_stand_ins import OUTPUTS, any_mesh, no_mesh, png, run, stored_mesh, write_pack
from photo import face

from facekit.errors import ConfigError, FacekitError, RecordError
from facekit.faces.mesh import LiteRTMesh, rounded
from facekit.faces.pack_meshes import open_meshes
from facekit.images import decode, encode_jpeg, encode_like
from facekit.jobs.mask.config import MaskConfig, parse_types
from facekit.jobs.mask.job import mask
from facekit.jobs.mask.plan import copies_of, hash_keys, smallest
from facekit.masks import MaskParams, render_worn
from facekit.records import Pack, PackWriter, open_pack
from facekit.run.ledger import payload_hash


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("source") / "pack")


@pytest.fixture(scope="module")
def flat_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("source") / "pack", "flat")


def ledger_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "train.ledger.parquet").to_pylist()


def assert_ledger_describes(folder: Path, source: Path) -> None:
    """One row for every record of the output, and every record of the source accounted for."""
    rows, out, before = ledger_of(folder), open_pack(folder), open_pack(source)
    written = [row for row in rows if row["key"] is not None]
    assert sorted(row["key"] for row in written) == sorted(out.physical_keys.tolist())
    for row in written:
        assert row["payload_hash"] == payload_hash(out.read(row["key"]).payload)
        if row["action"] == "copy":
            assert out.read(row["key"]).payload == before.read(row["source_key"]).payload
    assert {row["source_key"] for row in rows} >= set(before.keys.tolist())
    assert all(row["reason"] for row in rows if row["action"] in ("refused", "error"))
    assert all(row["type"] and row["params"] for row in rows if row["action"] == "mask")


def assert_layout_is_right(pack: Pack) -> None:
    """Record 0, identity records and property say what the labels say."""
    keys, labels = pack.keys, pack.labels
    count = len(keys)
    if pack.layout == "insightface":
        starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
        ranges = np.stack([keys[starts], np.append(keys[starts[1:]], count + 1)], axis=1)
        assert keys.tolist() == list(range(1, count + 1))
        assert pack.identity_ranges.tolist() == ranges.tolist()
        assert pack.read(0).header.label.tolist() == [count + 1, count + 1 + len(starts)]
    else:
        assert keys.tolist() == list(range(count))
    property_line = (pack.paths.folder / "property").read_text()
    assert property_line == f"{pack.num_classes},112,112\n"


# --- what is chosen -------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 2**62), max_size=60), st.integers(0, 2**63 - 1), st.floats(0, 0.98))
def test_the_ratio_is_met_exactly(keys: set[int], seed: int, ratio: float) -> None:
    every = np.array(sorted(keys), np.int64)
    count = len(every)
    added = copies_of(every, seed, ratio, "add").astype(int)
    assert added.sum() == round(ratio * count / (1 - ratio))
    assert count == 0 or added.max() - added.min() <= 1
    replaced = copies_of(every, seed, ratio, "replace")
    assert replaced.sum() == round(ratio * count)
    assert set(replaced.tolist()) <= {0, 1}


@given(st.sets(st.integers(0, 2**40), min_size=1, max_size=60), st.integers(0, 2**32), st.randoms())
def test_chosen_are_the_smallest_hashes_whatever_the_order(keys: set[int], seed: int, random: Any) -> None:
    ordered = sorted(keys)
    shuffled = random.sample(ordered, len(ordered))
    count = len(keys) // 2
    hashes = dict(zip(ordered, hash_keys(np.array(ordered), seed).tolist()))
    expected = set(sorted(keys, key=lambda key: (hashes[key], key))[:count])
    for given_keys in (ordered, shuffled):
        assert {given_keys[place] for place in smallest(np.array(given_keys), seed, count)} == expected


def test_hashes_are_spread_evenly_and_differ_by_seed() -> None:
    one, two = (hash_keys(np.arange(100_000), seed) for seed in (0, 1))
    assert len(np.unique(one)) == 100_000
    counts = np.bincount((one >> np.uint64(56)).astype(int), minlength=256)
    # Chi-squared with 255 degrees of freedom: 330 is exceeded once in a thousand.
    assert np.square(counts - counts.mean()).sum() / counts.mean() < 330
    assert abs(np.corrcoef(one.astype(float), two.astype(float))[0, 1]) < 0.02


def test_a_larger_ratio_keeps_what_a_smaller_one_chose() -> None:
    keys = np.arange(1, 500)
    few, many = (copies_of(keys, 3, ratio, "replace") for ratio in (0.2, 0.6))
    assert (many[few == 1] == 1).all()


def test_types_are_drawn_by_weight(tmp_path: Path) -> None:
    source = write_pack(tmp_path / "pack", people=5, pictures=40)
    config = {"ratio": 1.0, "mode": "replace", "types": parse_types("kn95:3,n95-cup:1,sponge-black:0")}
    summary = run(source, tmp_path / "out", estimator=any_mesh, **config)
    assert set(summary.by_type) == {"kn95", "n95-cup"}
    assert summary.by_type["kn95"] == pytest.approx(0.75 * summary.masked, abs=4 * (0.1875 * summary.masked) ** 0.5)


# --- what is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.0, 0.15, 0.5, 0.8])
def test_add_keeps_originals_and_puts_copies_behind_them(pack: Path, tmp_path: Path, ratio: float) -> None:
    summary = run(pack, tmp_path / "out", ratio=ratio)
    before, after = open_pack(pack), open_pack(tmp_path / "out")
    assert_layout_is_right(after)
    assert_ledger_describes(tmp_path / "out", pack)
    rows = {row["key"]: row for row in ledger_of(tmp_path / "out") if row["key"] is not None}
    copies = [key for key in after.keys.tolist() if rows[key]["action"] == "copy"]
    assert [rows[key]["source_key"] for key in copies] == before.keys.tolist()
    wanted = dict(zip(before.keys.tolist(), copies_of(before.keys, 0, ratio, "add").tolist()))
    masked: Counter[int] = Counter()
    original = None
    for key in after.keys.tolist():
        row, record = rows[key], after.read(key)
        source = before.read(row["source_key"])
        if row["action"] == "copy":
            original = row["source_key"]
            assert record.payload == source.payload
        else:
            assert row["source_key"] == original
            masked[original] += 1
            assert decode(record.payload).shape == decode(source.payload).shape
            assert record.payload != source.payload
        followed = source.header.id == source.key
        assert record.header == source.header._replace(id=key if followed else source.header.id)
    assert summary.wanted == sum(wanted.values()) == round(ratio * 20 / (1 - ratio))
    lost = Counter(row["source_key"] for row in ledger_of(tmp_path / "out") if row["action"] in ("refused", "error"))
    assert masked + lost == Counter({key: count for key, count in wanted.items() if count})
    assert summary.masked == masked.total() == summary.images - before.num_images


@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_replace_changes_nothing_but_the_chosen_records(
    layout: str, pack: Path, flat_pack: Path, tmp_path: Path
) -> None:
    source = pack if layout == "insightface" else flat_pack
    summary = run(source, tmp_path / "out", ratio=0.5, mode="replace")
    before, after = open_pack(source), open_pack(tmp_path / "out")
    assert after.physical_keys.tolist() == before.physical_keys.tolist()
    assert (tmp_path / "out" / "property").read_bytes() == (source / "property").read_bytes()
    assert_ledger_describes(tmp_path / "out", source)
    changed = {row["key"] for row in ledger_of(tmp_path / "out") if row["action"] == "mask"}
    for key in before.physical_keys.tolist():
        assert (before.read_framed(key) == after.read_framed(key)) == (key not in changed)
        assert before.read(key).header == after.read(key).header
    assert len(changed) == summary.masked
    assert summary.masked + sum(summary.refused.values()) + sum(summary.errors.values()) == summary.wanted == 10


def test_replace_keeps_any_physical_order(pack: Path, tmp_path: Path) -> None:
    """Record 0 first and keys shuffled, as no tool of ours would write them."""
    before = open_pack(pack)
    keys = before.physical_keys.tolist()
    shuffled = [keys[place] for place in np.random.default_rng(5).permutation(len(keys))]
    rec, idx = b"", ""
    for key in shuffled:
        idx += f"{key}\t{len(rec)}\n"
        rec += before.read_framed(key)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "train.rec").write_bytes(rec)
    (tmp_path / "odd" / "train.idx").write_text(idx)
    (tmp_path / "odd" / "train.meta").write_bytes(b"of the wheel's own builder")
    run(tmp_path / "odd", tmp_path / "out", ratio=0.0, mode="replace")
    assert (tmp_path / "out" / "train.rec").read_bytes() == rec
    assert (tmp_path / "out" / "train.idx").read_text() == idx
    assert (tmp_path / "out" / "train.meta").exists()
    run(tmp_path / "odd", tmp_path / "sorted", ratio=0.15)
    assert_layout_is_right(open_pack(tmp_path / "sorted"))


def test_what_cannot_be_masked_is_said_and_kept(pack: Path, tmp_path: Path) -> None:
    summary = run(pack, tmp_path / "out", ratio=1.0, mode="replace")
    assert summary.refused == {"no_face": 1}
    assert [message.split(":")[0] for message in summary.errors] == ["PictureError"]
    before, after = open_pack(pack), open_pack(tmp_path / "out")
    for row in ledger_of(tmp_path / "out"):
        if row["action"] in ("refused", "error"):
            assert before.read_framed(row["source_key"]) == after.read_framed(row["key"])
    added = run(pack, tmp_path / "added", ratio=0.5)
    assert (added.masked, added.wanted) == (18, 20)


def test_what_is_wrong_with_the_machine_ends_the_job(pack: Path, tmp_path: Path) -> None:
    for estimator in (_full_disk, _missing_library):
        with pytest.raises((FacekitError, ImportError), match=r"disk is full|ai_edge_litert"):
            run(pack, tmp_path / "out", ratio=0.5, estimator=estimator)
        assert not (tmp_path / "out").exists()


def _full_disk() -> Any:
    def estimate(image: np.ndarray) -> Any:
        raise OSError(28, "No space left on device")

    return estimate


def _missing_library() -> Any:
    def estimate(image: np.ndarray) -> Any:
        raise ModuleNotFoundError("ai_edge_litert")

    return estimate


@pytest.mark.parametrize("mode", ["add", "replace"])
@pytest.mark.parametrize("target", ["flat", "insightface"])
def test_layouts_are_converted(pack: Path, flat_pack: Path, tmp_path: Path, mode: str, target: str) -> None:
    source = pack if target == "flat" else flat_pack
    run(source, tmp_path / "out", ratio=0.4, mode=mode, layout=target)
    after = open_pack(tmp_path / "out")
    assert after.layout == target
    assert_layout_is_right(after)
    assert_ledger_describes(tmp_path / "out", source)


def test_scattered_identities_are_brought_together(flat_pack: Path, tmp_path: Path) -> None:
    before = open_pack(flat_pack)
    with PackWriter(tmp_path / "mixed", "flat") as writer:
        for key in np.random.default_rng(1).permutation(before.keys).tolist():
            writer.write(before.read(key))
    run(tmp_path / "mixed", tmp_path / "out", ratio=0.2, layout="insightface")
    after = open_pack(tmp_path / "out")
    assert_layout_is_right(after)
    assert after.labels.tolist() == sorted(after.labels.tolist())


def test_limit_is_a_preview_of_the_first_pictures(pack: Path, tmp_path: Path) -> None:
    for mode in ("add", "replace"):
        summary = run(pack, tmp_path / mode, ratio=0.5, mode=mode, limit=7)
        after = open_pack(tmp_path / mode)
        assert_layout_is_right(after)
        assert summary.source_images == 7
        assert {row["source_key"] for row in ledger_of(tmp_path / mode)} - {None} == set(range(1, 8))
    assert run(pack, tmp_path / "all", limit=10**6).source_images == 20


def test_a_folder_of_pictures_is_a_source(tmp_path: Path) -> None:
    names = ["b/2.jpg", "a/x/1.JPG", "b/1.png", "a/10.jpg", "c d/é.jpg"]
    for seed, name in enumerate(names):
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(face(seed)) if name.endswith("png") else encode_jpeg(face(seed), 85))
    (tmp_path / "people" / "notes.txt").touch()
    summary = run(tmp_path / "people", tmp_path / "out", ratio=0.5)
    after = open_pack(tmp_path / "out")
    assert_layout_is_right(after)
    assert (summary.images, summary.identities, after.layout) == (10, 3, "insightface")
    rows = {row["source_key"]: row["key"] for row in ledger_of(tmp_path / "out") if row["action"] == "copy"}
    listed = [line.split("\t") for line in (tmp_path / "out" / "source.lst").read_text("utf-8").splitlines()]
    assert [name for _, _, name in listed] == ["a/10.jpg", "a/x/1.JPG", "b/1.png", "b/2.jpg", "c d/é.jpg"]
    for key, label, name in listed:
        record = after.read(rows[int(key)])
        assert record.payload == (tmp_path / "people" / name).read_bytes()
        assert record.header.label == float(label)


def test_pictures_beside_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "people" / "a").mkdir(parents=True)
    for name in ("1.jpg", "a/2.jpg"):
        (tmp_path / "people" / name).write_bytes(encode_jpeg(face()))
    with pytest.raises(FacekitError, match="beside folders"):
        run(tmp_path / "people", tmp_path / "out")


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_masks_that_a_pack_wears_already_are_kept_and_counted(pack: Path, tmp_path: Path, mode: str) -> None:
    first = run(pack, tmp_path / "first", ratio=0.3)
    before = {row["key"]: row for row in ledger_of(tmp_path / "first") if row["action"] == "mask"}
    copies = {row["source_key"]: row["key"] for row in ledger_of(tmp_path / "first") if row["action"] == "copy"}
    second = run(tmp_path / "first", tmp_path / "second", ratio=0.5, mode=mode, seed=1)
    assert (first.already_masked, second.already_masked) == (0, len(before))
    asked = second.already_masked + second.wanted
    assert second.masked == asked - sum(second.refused.values()) - sum(second.errors.values())
    assert abs(asked - 0.5 * (second.images + asked - second.masked)) <= 1
    rows = [row for row in ledger_of(tmp_path / "second") if row["action"] == "mask"]
    old = [row for row in rows if row["params"] in {one["params"] for one in before.values()}]
    assert len(rows) == second.masked
    told = sorted((row["source_key"], row["type"], row["score"], row["payload_hash"]) for row in old)
    expected = [(copies[one["source_key"]], one["type"], one["score"], one["payload_hash"]) for one in before.values()]
    assert told == sorted(expected)
    text = (tmp_path / "second" / "config.txt").read_text()
    made = open_pack(tmp_path / "second")
    assert text == f"config.num_classes = {made.num_classes}\nconfig.num_image = {made.num_images}\n"


# --- the real model and renderer ------------------------------------------------------------------------------------


def test_every_masked_picture_can_be_made_again_from_its_row(pack: Path, tmp_path: Path) -> None:
    summary = mask(MaskConfig(str(pack), str(tmp_path / "out"), ratio=0.5))
    assert summary.masked >= 15
    before, after, estimate = open_pack(pack), open_pack(tmp_path / "out"), LiteRTMesh()
    for row in ledger_of(tmp_path / "out"):
        if row["action"] == "mask":
            source = before.read(row["source_key"]).payload
            mesh = rounded(estimate(decode(source)))
            worn = render_worn(decode(source), mesh.vertices, MaskParams.from_json(row["params"]))
            assert after.read(row["key"]).payload == encode_like(worn.image, source)
            assert row["score"] == mesh.presence
            assert json.loads(row["params"])["type"] == row["type"]


def test_masks_of_ones_own_are_worn(pack: Path, tmp_path: Path) -> None:
    from PIL import Image

    rgba = np.full((96, 128, 4), (200, 30, 30, 255), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "red.png")
    (tmp_path / "own.toml").write_text('[type.red-cloth]\nlike = "cloth-pattern"\ntextures = ["red.png"]\n')
    given = {"ratio": 0.5, "types": (("red-cloth", 1.0),), "textures": str(tmp_path / "own.toml"), "workers": 2}
    config = MaskConfig(str(pack), str(tmp_path / "out"), **given)
    summary = mask(config)
    assert summary.by_type == {"red-cloth": summary.masked}
    assert summary.masked > 10
    after = open_pack(tmp_path / "out")
    for row in ledger_of(tmp_path / "out"):
        if row["action"] == "mask":
            red, green, _ = after.image(row["key"])[75:90, 45:67].mean((0, 1))
            assert red > 1.5 * green
    before = config.settings()
    Image.fromarray(rgba[::-1] // 2).save(tmp_path / "red.png")
    assert config.settings() != before
    with pytest.raises(ConfigError, match="red-cloth"):
        MaskConfig(str(pack), "out", types=(("red-cloth", 1.0),))


def test_a_mesh_cache_changes_nothing_and_spares_the_model(pack: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "meshes")
    run(pack, tmp_path / "without", ratio=0.5)
    run(pack, tmp_path / "filling", ratio=0.5, mesh_cache=cache, limit=9)
    run(pack, tmp_path / "adding", ratio=0.5, mesh_cache=cache, workers=2)
    for name in OUTPUTS:
        assert (tmp_path / "adding" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
    size = os.path.getsize(cache)
    run(pack, tmp_path / "again", ratio=0.5, mesh_cache=cache)
    assert len(open_meshes(cache, pack, stored_mesh)) > 9
    with pytest.raises(RecordError, match="another pack"):
        open_meshes(cache, tmp_path / "again", stored_mesh)
    assert os.path.getsize(cache) == size
    with pytest.raises(RecordError, match="another pack or by another model"):
        run(pack, tmp_path / "other", ratio=0.5, mesh_cache=cache, estimator=no_mesh)


def test_what_would_fail_at_the_end_is_refused_at_the_start(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lies in no folder"):
        run(pack, tmp_path / "out", ratio=0.5, mesh_cache=str(tmp_path / "nowhere" / "meshes"))
    with pytest.raises(ConfigError, match="so near to 1"):
        run(pack, tmp_path / "out", ratio=0.999999)
    assert not (tmp_path / "out.partial").exists()


# --- again, in parallel, and killed ---------------------------------------------------------------------------------


def test_settings_are_frozen(pack: Path) -> None:
    config = MaskConfig(str(pack), "out")
    with pytest.raises(AttributeError):
        config.seed = 3  # type: ignore[misc]
    assert replace(config, workers=9, overwrite=True, mesh_cache="x").settings() == config.settings()
    assert replace(config, seed=9).settings() != config.settings()
