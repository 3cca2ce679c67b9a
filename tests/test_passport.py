"""Passports: they are valid Croissant, tell exactly what changed, and find leaks that were planted and no others."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from clean_packs import make_pack
from hypothesis import given
from hypothesis import strategies as st
from writing_commands import call, do

from facekit.errors import ConfigError, FacekitError
from facekit.evaluate.leaks import codec_features, codec_leak, type_leak
from facekit.images import decode, encode_jpeg
from facekit.jobs.passport.config import PassportConfig
from facekit.jobs.passport.job import check_passport, make_passport
from facekit.output.record import lineage_of
from facekit.records import Header, PackWriter, merkle, open_pack
from facekit.records.merkle import block_hashes, changed_blocks, root_of

KEY = "facekit:passport"


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    do(["synth", folder / "people", "--identities", 12, "--images", 3, "--workers", 1])
    do(["mask", folder / "people", folder / "masked", "--ratio", 0.5, "--workers", 1])
    do(["convert", folder / "masked", folder / "flat", "--layout", "flat"])
    do(["passport", folder / "masked", folder / "masked.json"])
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries that the validator uses
def test_it_is_valid_croissant(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed: pip install '.[test]'")
    said: list[str] = []
    monkeypatch.setattr(logging.getLogger("absl"), "handle", lambda record: said.append(record.getMessage()))
    dataset = mlcroissant.Dataset(jsonld=str(packs / "masked.json"))
    assert dataset.metadata.name == "masked"
    assert {one.name for one in dataset.metadata.distribution} == {
        "train.rec", "train.idx", "property", "train.ledger.parquet",
    }  # fmt: skip
    assert not [line for line in said if "not standard" in line or "URI" in line]


def test_what_it_says_is_true(packs: Path) -> None:
    said = json.loads((packs / "masked.json").read_text())[KEY]
    with open_pack(packs / "masked") as pack:
        assert (said["images"], said["identities"]) == (pack.num_images, pack.num_identities)
        brightness = [decode(pack.read(key).payload).mean() for key in pack.keys.tolist()]
    assert abs(said["pictures"]["brightness"]["0.5"] - np.median(brightness)) < 6
    assert [run["command"] for run in said["lineage"]] == ["synth", "mask"]
    assert said["lineage"][0]["config"]["spec"]["identities"] == 12
    assert sum(said["masked"]["types"].values()) == round(said["masked"]["share"] * said["images"])
    assert 0 <= said["masked"]["codecLeak"]["auc"] <= 1
    assert "noise" not in said


def test_the_same_pack_has_the_same_passport_wherever_it_lies(packs: Path, tmp_path: Path) -> None:
    shutil.copytree(packs / "masked", tmp_path / "else" / "masked")
    do(["passport", tmp_path / "else" / "masked", tmp_path / "else.json"])
    assert (tmp_path / "else.json").read_bytes() == (packs / "masked.json").read_bytes()
    assert check_passport(str(tmp_path / "else" / "masked"), str(packs / "masked.json")).unchanged


def copy_with(packs: Path, folder: Path, key: int, *, label: float | None = None, quality: int | None = None,
              drop: bool = False) -> Path:  # fmt: skip
    """The flat pack with one record changed or left out."""
    with open_pack(packs / "flat") as pack, PackWriter(folder, "flat") as writer:
        for own in pack.keys.tolist():
            record = pack.read(own)
            header, payload = record.header, record.payload
            if own == key and drop:
                continue
            if own == key and label is not None:
                header = Header(0, label, header.id, 0)
            if own == key and quality is not None:
                payload = encode_jpeg(decode(payload), quality)
            writer.write(header, payload, key=own)
    return folder


@pytest.mark.parametrize("change", [{"label": 99.0}, {"quality": 60}, {"drop": True}, {}])
def test_what_changed_is_named(packs: Path, tmp_path: Path, change: dict[str, Any],
                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(merkle, "BLOCK_KEYS", 8)
    before = copy_with(packs, tmp_path / "before", -1)
    make_passport(PassportConfig(str(before), str(tmp_path / "p.json"), sample=10))
    after = copy_with(packs, tmp_path / "after", 19, **change)
    found = check_passport(str(after), str(tmp_path / "p.json"))
    near = ((16, 23),)
    assert found.labels == (near if "label" in change or "drop" in change else ())
    assert found.pictures == (near if "quality" in change or "drop" in change else ())
    assert found.unchanged == (not change)
    assert call(["passport", after, "--check", tmp_path / "p.json"]).code == int(bool(change))


def test_a_ledger_that_changed_went_or_came_is_named(packs: Path, tmp_path: Path) -> None:
    shutil.copytree(packs / "masked", tmp_path / "masked")
    ledger = tmp_path / "masked" / "train.ledger.parquet"
    do(["passport", tmp_path / "masked", tmp_path / "with.json"])
    content = ledger.read_bytes()
    ledger.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert check_passport(str(tmp_path / "masked"), str(tmp_path / "with.json")).ledger == "changed"
    ledger.unlink()
    assert check_passport(str(tmp_path / "masked"), str(tmp_path / "with.json")).ledger == "missing"
    do(["passport", tmp_path / "masked", tmp_path / "without.json"])
    ledger.write_bytes(content)
    found = check_passport(str(tmp_path / "masked"), str(tmp_path / "without.json"))
    assert (found.ledger, found.unchanged) == ("new", False)
    assert "the ledger is new" in call(["passport", tmp_path / "masked", "--check", tmp_path / "without.json"]).out


def test_noise_and_overlap_are_stated(tmp_path: Path) -> None:
    made = make_pack(tmp_path, identities=30)
    model = tmp_path / "features"
    from test_overlap import write_features

    with open_pack(made.folder) as pack:
        write_features(model, pack.keys, pack.labels, np.load(made.features))
    do(["passport", made.folder, tmp_path / "p.json", "--features", model, "--against", made.folder])
    said = json.loads((tmp_path / "p.json").read_text())[KEY]
    wrong = np.mean([len({*made.person[made.labels == label].tolist()}) > 1 for label in np.unique(made.labels)])
    low, high = said["noise"]["interval"]
    assert 0 < low < said["noise"]["share"] < high < 1
    assert wrong > 0
    (shared,) = said["overlap"]
    assert (shared["samePictures"], shared["with"]) == (len(made.labels), made.folder.name)


def test_doors(packs: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(ConfigError, match="is no passport of a pack"):
        check_passport(str(packs / "masked"), str(tmp_path / "other.json"))
    with pytest.raises(ConfigError, match="give --features"):
        from facekit.jobs.inputs.model import ModelChoice

        PassportConfig("a", model=ModelChoice("m.onnx"))
    said = call(["passport", packs / "masked", tmp_path / "new.json", "--check", packs / "masked.json"])
    assert (said.code, "leave out" in said.err) == (2, True)
    assert call(["passport", tmp_path / "nowhere"]).code == 2
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(encode_jpeg(np.zeros((40, 40, 3), np.uint8)))
    assert "is no pack on a disk" in call(["passport", tmp_path / "pictures"]).err


@given(st.dictionaries(st.integers(-50, 200), st.integers(0, 255), max_size=40), st.integers(0, 1000))
def test_trees_change_where_records_do(records: dict[int, int], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(merkle, "BLOCK_KEYS", 16)
        keys = np.array(list(records), np.int64)
        said = np.array(list(records.values()), np.uint8).reshape(-1, 1)
        blocks = block_hashes(keys, said)
        order = np.random.default_rng(seed).permutation(len(keys))
        assert block_hashes(keys[order], said[order]) == blocks
        assert sorted(blocks) == sorted({key // 16 for key in records})
        for key in list(records)[:3]:
            other = said.copy()
            other[list(records).index(key)] ^= 1
            now = block_hashes(keys, other)
            assert changed_blocks(blocks, now) == [(key // 16 * 16, key // 16 * 16 + 15)]
            assert root_of(now) != root_of(blocks)
            less = block_hashes(keys[keys != key], said[keys != key])
            assert changed_blocks(blocks, less) == [(key // 16 * 16, key // 16 * 16 + 15)]


def test_roots_are_of_numbers_and_hashes_together() -> None:
    roots = {
        root_of(dict(zip(numbers, ("00" * 16, "11" * 16), strict=False)))
        for numbers in ((), (1,), (2,), (1, 2), (2, 3))
    }
    assert len(roots) == 5


def planted(packs: Path, folder: Path, leak: str) -> dict[str, Any]:
    """What the passport of the masked pack says with a leak planted: masks coded anew, or types by the person."""
    shutil.copy(packs / "flat" / "train.ledger.parquet", aside := folder / "ledger.parquet")
    ledger = pq.read_table(aside)
    masked = set(ledger.filter(pc.equal(ledger["action"], "mask"))["key"].to_pylist())
    with open_pack(packs / "flat") as pack, PackWriter(folder / leak, "flat") as writer:
        labels = dict(zip(pack.keys.tolist(), pack.labels.tolist(), strict=True))
        for key in labels:
            record = pack.read(key)
            again = leak == "codec" and key in masked
            payload = encode_jpeg(decode(record.payload), 40) if again else record.payload
            writer.write(record.header, payload, key=key)
    if leak == "type":
        kinds = [("kn95", "n95-cup")[labels[key] % 2] if key in masked else None for key in ledger["key"].to_pylist()]
        place = ledger.schema.get_field_index("type")
        ledger = ledger.set_column(place, "type", pa.array(kinds).cast(ledger.schema.field("type").type))
    pq.write_table(ledger, folder / leak / "train.ledger.parquet")
    return make_passport(PassportConfig(str(folder / leak))).passport[KEY]["masked"]


@pytest.mark.parametrize("leak", ["none", "codec", "type"])
def test_a_leak_that_was_planted_in_a_pack_is_told_and_no_other(packs: Path, tmp_path: Path, leak: str) -> None:
    said = planted(packs, tmp_path, leak)
    low, high = said["codecLeak"]["interval"]
    assert (low > 0.6) if leak == "codec" else (low < 0.5 and high < 0.7)
    bits, chance = (said["typeLeak"][name] for name in ("bits", "chance"))
    assert (bits > 2 * chance) == (leak == "type")
    assert (said["typeLeak"]["p"] < 0.01) == (leak == "type")


def test_halves_of_a_split_know_who_made_them_and_what_changed_since_is_named(packs: Path, tmp_path: Path) -> None:
    do(["split", packs / "masked", tmp_path / "halves", "--test", 0.3])
    for half in ("train", "test"):
        said = make_passport(PassportConfig(str(tmp_path / "halves" / half))).passport[KEY]
        assert [run["command"] for run in said["lineage"]] == ["synth", "mask", "split"]
        assert said["changedSince"] == []
    half = tmp_path / "halves" / "train"
    with open(half / "train.rec", "r+b") as file:
        file.seek(60)
        file.write(b"somebody")
    assert make_passport(PassportConfig(str(half))).passport[KEY]["changedSince"] == ["train.rec"]
    assert "  but train.rec changed since: somebody else wrote there\n" in call(["passport", half]).out
    shutil.copytree(packs / "masked", half / "inner")  # what lies in such a folder by chance has a record of its own
    assert [run["command"] for run in lineage_of([half / "inner" / "train.rec"])] == ["synth", "mask"]
    (half / "inner" / "run.json").unlink()
    assert lineage_of([half / "inner" / "train.rec"]) == []


MAKES: dict[str, tuple[list[str], list[str]]] = {
    "convert": (["convert", "masked", "OUT"], ["synth", "mask", "convert"]),
    "to tar and back": (["convert", "TAR", "OUT"], ["synth", "mask", "convert", "convert"]),
    "to parquet and back": (["convert", "PARQUET", "OUT"], ["synth", "mask", "convert", "convert"]),
    "merge": (["merge", "people", "masked", "OUT"], ["synth", "mask", "merge"]),
    "unpack and pack": (["pack", "UNPACKED", "OUT", "--workers", "1"], ["synth", "unpack", "pack"]),
    "check --repair": (["check", "masked", "--repair", "OUT"], ["synth", "mask", "check"]),
    "mask": (["mask", "masked", "OUT", "--ratio", "0.6", "--workers", "1"], ["synth", "mask", "mask"]),
    "clean": (["clean", "people", "OUT", "--features", "VECTORS", "--no-report"], ["synth", "clean"]),
    "apply": (["apply", "people", "CLEANED", "OUT"], ["synth", "clean", "apply"]),
}


@pytest.mark.parametrize("way", MAKES)
def test_every_command_that_makes_a_pack_stands_in_its_lineage(packs: Path, tmp_path: Path, way: str) -> None:
    words, wanted = MAKES[way]
    before = {
        "TAR": ["convert", "masked", "TAR", "--layout", "webdataset"],
        "PARQUET": ["convert", "masked", "PARQUET", "--layout", "parquet"],
        "UNPACKED": ["unpack", "people", "UNPACKED"],
        "CLEANED": ["clean", "people", "CLEANED", "--features", "VECTORS", "--no-report"],
    }
    with open_pack(packs / "people") as pack:
        own = np.eye(64, dtype=np.float32)[pack.labels % 64]
    np.save(tmp_path / "VECTORS.npy", own)
    places = {name: packs / name for name in ("people", "masked")}
    places |= {name: tmp_path / name for name in (*before, "OUT")} | {"VECTORS": tmp_path / "VECTORS.npy"}
    for made in [before[word] for word in words if word in before] + [words]:
        do([places.get(word, word) for word in made])
    said = make_passport(PassportConfig(str(tmp_path / "OUT"), sample=5)).passport[KEY]
    assert [run["command"] for run in said["lineage"]] == wanted
    assert said["changedSince"] == []
    hashed = [run["command"] for run in said["lineage"] if "facekit" in run and run.keys() & {"input", "content"}]
    assert hashed == wanted[1:]  # synth reads nothing


def faces(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 210, (count, 7, 7, 3)).astype(np.float32)
    fine = coarse.repeat(16, 1).repeat(16, 2) + rng.normal(0, 6, (count, 112, 112, 3))
    return np.clip(fine, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("again", [False, True])
def test_pictures_that_were_coded_twice_are_told(again: bool) -> None:
    features, masked = [], []
    for number, picture in enumerate(faces(160, 5)):
        payload = encode_jpeg(picture, 90)
        if again and number % 2:
            payload = encode_jpeg(decode(payload), 70)
        features.append(codec_features(decode(payload).mean(2).astype(np.uint8)))
        masked.append(number % 2 == 1)
    leak = codec_leak(np.array(features), np.array(masked), np.arange(160) // 2, 0)
    assert leak.low <= leak.value <= leak.high
    assert (leak.value > 0.95) if again else (leak.low < 0.5 < leak.high)


def test_types_that_follow_people_are_told() -> None:
    rng = np.random.default_rng(3)
    people = rng.integers(0, 30, 600)
    follows, free = type_leak(people, people % 8, 0), type_leak(people, rng.integers(0, 8, 600), 0)
    assert follows.value > 1
    assert follows.p < 0.01
    assert free.value < free.high + 0.05
    assert free.p > 0.01


def test_too_little_to_tell_is_said() -> None:
    with pytest.raises(FacekitError, match="at least 10 people"):
        codec_leak(np.zeros((4, 3), np.float32), np.array([True, False, True, False]), np.arange(4), 0)
    with pytest.raises(FacekitError, match="no picture is masked"):
        type_leak(np.zeros(0, np.int64), np.zeros(0, np.int64), 0)
    with pytest.raises(FacekitError, match="too small"):
        codec_features(np.zeros((16, 40), np.uint8))
