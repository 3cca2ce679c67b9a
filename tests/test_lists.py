"""Lists of decisions: the same decisions on the same pictures, however they are stored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from clean_packs import vectors_of
from writing_commands import assert_refused, call, do

from facekit.clean.decisions import Action
from facekit.images import decode, encode_jpeg, encode_stored
from facekit.jobs.clean.tables import read_decisions
from facekit.jobs.inputs.clean_list import read_list
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.source_records import read_records
from facekit.records import Header, PackWriter, open_pack
from facekit.run import shards


class Cleaned(NamedTuple):
    """A drawn pack with wrong labels, what cleaning made of it, and the list of that."""

    pack: Path
    folder: Path
    list: Path


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Cleaned:
    folder = tmp_path_factory.mktemp("lists")
    noise = ["--label-noise", 0.1, "--outliers", 0.05, "--duplicate-identities", 0.2]
    do(["synth", folder / "pack", "--identities", 10, "--images", 8, *noise, "--workers", 1])
    truth = pq.read_table(folder / "pack" / "train.truth.parquet", columns=["identity"])["identity"].to_numpy()
    np.save(folder / "vectors.npy", vectors_of(np.unique(truth, return_inverse=True)[1], 3))
    do(["clean", folder / "pack", folder / "cleaned", "--features", folder / "vectors.npy", "--no-report"])
    do(["lists", "export", folder / "cleaned", folder / "a.list", "--who", "the test"])
    return Cleaned(folder / "pack", folder / "cleaned", folder / "a.list")


def rewritten(source: Path, target: Path, encode: Callable[[np.ndarray], bytes]) -> Path:
    """A flat pack of the same pictures, encoded in another way."""
    opened, _ = open_source(str(source), layout="flat")
    with PackWriter(target, "flat") as writer:
        for (record, _), label in zip(read_records(opened), opened.labels.tolist(), strict=True):
            writer.write(Header(0, float(label), writer.next_key, 0), encode(decode(record.payload)))
    return target


def tarred(source: Path, target: Path) -> Path:
    """A pack by way of webdataset tars, packed with gzip."""
    do(["convert", source, target / "tars", "--layout", "webdataset"])
    tars = target / "zipped"
    tars.mkdir()
    import gzip

    for tar in (target / "tars").glob("*.tar"):
        (tars / f"{tar.name}.gz").write_bytes(gzip.compress(tar.read_bytes()))
    do(["convert", tars, target / "pack"])
    return target / "pack"


def by_parquet(source: Path, target: Path) -> Path:
    do(["convert", source, target / "parquet", "--layout", "parquet"])
    do(["convert", target / "parquet", target / "pack"])
    return target / "pack"


def converted(*options: object) -> Callable[[Path, Path], Path]:
    def convert(source: Path, target: Path) -> Path:
        do(["convert", source, target / "pack", *options])
        return target / "pack"

    return convert


def resized(image: np.ndarray) -> bytes:
    return encode_jpeg(cv2.resize(image, (108, 108), interpolation=cv2.INTER_AREA), 95)


def png(image: np.ndarray) -> bytes:
    return encode_stored(np.ascontiguousarray(image[..., ::-1]), ".png", 3)


REPACKED: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "the same": (lambda source, target: source, "by payload hash"),
    "flat": (converted("--layout", "flat"), "by payload hash"),
    "shuffled": (converted("--layout", "flat", "--shuffle"), "by payload hash"),
    "tar.gz": (tarred, "by payload hash"),
    "parquet": (by_parquet, "by payload hash"),
    "quality 75": (lambda s, t: rewritten(s, t / "p", lambda image: encode_jpeg(image, 75)), "by perceptual hash"),
    "quality 95": (lambda s, t: rewritten(s, t / "p", lambda image: encode_jpeg(image, 95)), "by perceptual hash"),
    "PNG": (lambda s, t: rewritten(s, t / "p", png), "by perceptual hash"),
    "resized": (lambda s, t: rewritten(s, t / "p", resized), "by perceptual hash"),
    "channels swapped": (lambda s, t: rewritten(s, t / "p", lambda i: encode_jpeg(np.ascontiguousarray(i[..., ::-1]))),
                         "with channels swapped"),
}  # fmt: skip


def thumbnails(path: Path) -> np.ndarray:
    """(N, 256): what the pictures of a pack show, in grey, roughly: tells drawn faces apart and knows no hash."""
    opened, _ = open_source(str(path), layout="flat")
    pictures = [decode(record.payload).mean(axis=2).astype(np.float32) for record, _ in read_records(opened)]
    return np.stack([cv2.resize(one, (16, 16), interpolation=cv2.INTER_AREA).ravel() for one in pictures])


def same_pictures(path: Path, other: Path) -> np.ndarray:
    """The row of a pack that shows what each row of another one does, by brute force."""
    known, wanted = thumbnails(path), thumbnails(other)
    apart = ((wanted[:, None] - known[None]) ** 2).mean(axis=2)
    rows = apart.argmin(axis=1)
    assert np.array_equal(np.sort(rows), np.arange(len(known)))
    return rows


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@pytest.mark.parametrize("way", REPACKED)
def test_a_list_makes_the_same_decisions_however_the_pictures_are_stored(
    way: str, cleaned: Cleaned, tmp_path: Path
) -> None:
    repack, key = REPACKED[way]
    pack = repack(cleaned.pack, tmp_path)
    said = call(["apply", pack, cleaned.list, tmp_path / "out", "--match", "auto", "--json"])
    assert said.code == 0, said.err
    wanted, made = read_decisions(cleaned.folder), read_decisions(tmp_path / "out")
    found = json.loads(said.out)["found"]
    assert sum(found.values()) == len(wanted)
    assert found["not found"] == found["ambiguous"] == 0
    assert found[key] > 0.9 * len(wanted)  # some are stored with quality 75 as they are drawn, some nearly grey
    rows = same_pictures(cleaned.pack, pack)
    assert np.array_equal(made.action_code, wanted.action_code[rows])
    assert np.array_equal(made.reason_code, wanted.reason_code[rows])
    assert same_partition(made.new_label, wanted.new_label[rows])
    assert {Action.KEEP, Action.MOVE, Action.DROP} <= set(made.action_code)
    with open_pack(tmp_path / "out") as out:
        assert len(out.labels) == np.count_nonzero(wanted.new_label >= 0)
    if way == "the same":
        assert (tmp_path / "out" / "train.rec").read_bytes() == (cleaned.folder / "train.rec").read_bytes()


def test_swapped_channels_are_said_in_words(cleaned: Cleaned, tmp_path: Path) -> None:
    pack = REPACKED["channels swapped"][0](cleaned.pack, tmp_path)
    said = call(["apply", pack, cleaned.list, tmp_path / "out", "--match", "auto"])
    assert "channels are swapped" in said.out


def test_the_file_is_sorted_and_follows_from_its_rows(cleaned: Cleaned, tmp_path: Path) -> None:
    do(["lists", "export", cleaned.folder, tmp_path / "again.list", "--who", "the test", "--source", cleaned.pack])
    assert (tmp_path / "again.list").read_bytes() == cleaned.list.read_bytes()
    table = pq.read_table(cleaned.list)
    hashes = table["payload_hash"].to_pylist()
    assert hashes == sorted(hashes)
    decisions = read_decisions(cleaned.folder)
    assert hashes == sorted(bytes(row) for row in decisions.payload_hash)
    found: list[int] = []  # people are numbered by their first picture: no order of labels is left
    for person in table["identity"].to_pylist():
        found += [person] if person >= 0 and person not in found else []
    assert found == list(range(len(found)))
    about = json.loads(table.schema.metadata[b"facekit.list"])
    assert about["format"] == 1
    assert about["voters"][0]["who"] == "the test"
    assert about["voters"][0]["model"] == decisions.about["model"]
    assert about["voters"][0]["settings"] == decisions.about["settings"]
    assert sum(about["counts"].values()) == len(decisions)
    for place in (cleaned.pack, cleaned.folder):
        assert str(place).encode() not in cleaned.list.read_bytes()


def test_a_list_is_applied_by_hash_alone_where_that_is_asked_for(cleaned: Cleaned, tmp_path: Path) -> None:
    do(["apply", cleaned.pack, cleaned.list, tmp_path / "out", "--match", "hash"])
    assert (tmp_path / "out" / "train.rec").read_bytes() == (cleaned.folder / "train.rec").read_bytes()
    pack = rewritten(cleaned.pack, tmp_path / "png", png)
    said = call(["apply", pack, cleaned.list, tmp_path / "other", "--match", "hash"])
    assert_refused(said, "knows 0 of the 80 pictures", "--match auto")


def without_time(said: str) -> dict[str, object]:
    return json.loads(said) | {"seconds": 0, "destination": "", "path": ""}


def test_whoever_hashes_the_list_is_the_same(
    cleaned: Cleaned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SMALLEST", 7)
    export = ["lists", "export", cleaned.folder, "--who", "the test", "--json"]
    alone = json.loads(call([*export, tmp_path / "alone.list"]).out)
    for name, more in {"two": ["--workers", 2], "three": ["--workers", 3], "parts": ["--workers", 1]}.items():
        (tmp_path / name).mkdir()
        target = tmp_path / name / "the.list"
        if name == "parts":
            done = [json.loads(call([*export, target, "--part", f"{part}/3"]).out) for part in (1, 3)]
            assert [part["shards"] for part in done] == [4, 4]
            assert done[-1]["total"] == 12
            assert os.listdir(target.parent) == ["the.list.hashes.partial"]
        said = call([*export, target, *more])
        assert said.code == 0, said.err
        assert json.loads(said.out) | {"path": ""} == alone | {"path": ""}
        assert target.read_bytes() == cleaned.list.read_bytes()
        assert os.listdir(target.parent) == ["the.list"]


def test_whoever_hashes_the_pictures_a_list_decides_the_same(
    cleaned: Cleaned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SMALLEST", 7)
    pack = rewritten(cleaned.pack, tmp_path / "pack", lambda image: encode_jpeg(image, 75))
    apply, end = ["apply", pack, cleaned.list], ["--match", "auto", "--json"]
    alone, found = call([*apply, tmp_path / "alone", *end]), []
    for name, more in {"two": ["--workers", 2], "parts": [], "parts of two": ["--workers", 2]}.items():
        target = tmp_path / name / "out"
        target.parent.mkdir()
        if name.startswith("parts"):
            done = json.loads(call([*apply, target, *end, "--part", "2/2"]).out)
            assert 0 < done["shards"] < done["total"]
            assert os.listdir(target.parent) == ["out.hashes.partial"]
        said = call([*apply, target, *end, *more])
        assert said.code == 0, said.err
        assert without_time(said.out) == without_time(alone.out) | {"config": json.loads(said.out)["config"]}
        assert os.listdir(target.parent) == ["out"]
        found.append([(target / file).read_bytes() for file in ("train.rec", "train.idx", "train.ledger.parquet")])
    wanted = [(tmp_path / "alone" / file).read_bytes() for file in ("train.rec", "train.idx", "train.ledger.parquet")]
    assert found == [wanted] * 3


def test_hashes_of_a_pack_that_changed_meanwhile_are_refused(
    cleaned: Cleaned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SMALLEST", 7)
    pack = rewritten(cleaned.pack, tmp_path / "pack", lambda image: encode_jpeg(image, 75))
    words = ["apply", pack, cleaned.list, tmp_path / "out", "--match", "auto"]
    do([*words, "--part", "1/2"])
    os.utime(pack / "train.rec", ns=(1, 1))
    assert_refused(call(words), "changed was", "--overwrite")
    do([*words, "--overwrite"])
    assert sorted(os.listdir(tmp_path)) == ["out", "pack"]


def test_who_said_it_stands_in_whatever_is_made_of_a_list(cleaned: Cleaned, tmp_path: Path) -> None:
    do(["apply", cleaned.pack, cleaned.list, tmp_path / "out", "--match", "auto"])
    (voter,) = read_list(cleaned.list).about["voters"]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["said_by"] == [voter]
    assert "made by   synth, apply (a list of the test)" in call(["passport", tmp_path / "out"]).out
    do(["lists", "export", tmp_path / "out", tmp_path / "again.list", "--who", "somebody"])
    (again,) = read_list(tmp_path / "again.list").about["voters"]
    assert (again["who"], again["from"]) == ("somebody", [voter])
    assert "said by  somebody; model" in (said := call(["lists", "show", tmp_path / "again.list"]).out)
    assert "; from the test; model" in said


def half(cleaned: Cleaned, folder: Path) -> Path:
    """A list of every second picture."""
    rows = pq.read_table(cleaned.list)
    pq.write_table(rows.take(list(range(0, rows.num_rows, 2))), folder / "half.list")
    return folder / "half.list"


@pytest.mark.parametrize("way", ["the same", "quality 75"])
def test_below_the_least_share_a_pack_is_refused_above_it_the_rest_is_dropped(
    way: str, cleaned: Cleaned, tmp_path: Path
) -> None:
    pack, known = REPACKED[way][0](cleaned.pack, tmp_path), half(cleaned, tmp_path)
    said = call(["apply", pack, known, tmp_path / "out", "--match", "auto"])
    assert_refused(said, "knows 40 of the 80 pictures", "40 not found", "choose --least-found 0.50")
    assert not (tmp_path / "out").exists()
    do(["apply", pack, known, tmp_path / "out", "--match", "auto", "--least-found", 0.5])
    made, listed = read_decisions(tmp_path / "out"), read_list(known)
    assert np.count_nonzero(made.reason == "unmatched") == 40
    assert np.array_equal(np.bincount(made.action_code, minlength=4) - [0, 0, 40, 0], list(listed.counts().values()))


def test_pictures_of_nobody_known_are_not_found(cleaned: Cleaned, tmp_path: Path) -> None:
    do(["synth", tmp_path / "others", "--identities", 3, "--images", 4, "--seed", 9, "--workers", 1])
    said = call(["apply", tmp_path / "others", cleaned.list, tmp_path / "out", "--match", "auto", "--least-found", 0])
    assert_refused(said, "knows 0 of the 12 pictures", "12 not found", "name a list of this pack")
    assert "--least-found" not in said.err


def test_a_pack_without_pictures_is_refused(cleaned: Cleaned, tmp_path: Path) -> None:
    with PackWriter(tmp_path / "empty", "flat"):
        pass
    said = call(["apply", tmp_path / "empty", cleaned.list, tmp_path / "out", "--match", "auto", "--least-found", 0])
    assert_refused(said, "holds no pictures", "name another pack")


@pytest.mark.parametrize("encode", [None, png])
def test_of_one_picture_under_two_people_as_many_stay_as_were_decided(
    encode: Callable[[np.ndarray], bytes] | None, cleaned: Cleaned, tmp_path: Path
) -> None:
    """Two pictures stand under another person too, one of them a third time; the list is applied in another order."""
    opened, _ = open_source(str(cleaned.pack), layout="flat")
    payloads, labels = [record.payload for record, _ in read_records(opened)], opened.labels.tolist()
    payloads += [payloads[0], payloads[9], payloads[9]]
    labels += [labels[-1], labels[-1], labels[20]]
    for name, rows in (("one", range(len(labels))), ("other", reversed(range(len(labels))))):
        with PackWriter(tmp_path / name, "flat") as writer:
            for row in rows:
                payload = payloads[row] if encode is None or name == "one" else encode(decode(payloads[row]))
                writer.write(Header(0, float(labels[row]), writer.next_key, 0), payload)
    vectors = np.load(cleaned.folder.parent / "vectors.npy")
    np.save(tmp_path / "v.npy", np.concatenate([vectors, vectors[[0, 9, 9]]]))
    do(["clean", tmp_path / "one", tmp_path / "cleaned", "--features", tmp_path / "v.npy", "--no-report"])
    do(["lists", "export", tmp_path / "cleaned", tmp_path / "the.list"])
    do(["apply", tmp_path / "other", tmp_path / "the.list", tmp_path / "out", "--match", "auto"])
    kept = [people(tmp_path / name) for name in ("cleaned", "out")]
    assert kept[0] == kept[1]
    assert sum(kept[0].values()) > 2


def people(path: Path) -> Counter[tuple[bytes, ...]]:
    """The people of a pack, each as what its pictures show."""
    opened, _ = open_source(str(path), layout="flat")
    shown = thumbnails(path)
    return Counter(tuple(sorted(map(bytes, shown[opened.labels == label]))) for label in np.unique(opened.labels))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["apply", "PACK", "CLEANED", "DST", "--match", "auto"], "lists export"),
        (["apply", "PACK", "LIST", "DST"], "choose --match auto"),
        (["apply", "PACK", "LIST", "DST", "--match", "auto", "--allowed-signers", "TEXT"], "no such signature"),
        (["apply", "PACK", "LIST", "DST", "--match", "hash", "--allowed-signers", "NONE"], "no such file of allowed"),
        (["apply", "PACK", "CLEANED", "DST", "--allowed-signers", "TEXT"], "is about the signature of a list"),
        (["apply", "PACK", "NONE", "DST", "--match", "auto"], "no such list"),
        (["apply", "PACK", "LIST", "DST", "--match", "auto", "--least-found", "1.5"], "give a share from 0 to 1"),
        (["apply", "PACK", "LIST", "DST", "--match", "auto", "--least-found", "nan"], "give a share from 0 to 1"),
        (["lists", "show", "CLEANED"], "lists export"),
        (["lists", "show", "TABLE"], "a table of decisions, not a list"),
        (["lists", "show", "TEXT"], "cannot be read as a list"),
        (["lists", "show", "CUT"], "cannot be read as a list"),
        (["lists", "show", "LATER"], "a list of format 2"),
        (["lists", "show", "OTHER"], "by blake2b-128 and phash"),
        (["lists", "show", "NOBODY"], "do not say whose it is"),
        (["lists", "show", "COLUMN"], "has no column identity"),
        (["lists", "show", "WIDTH"], "perceptual is not 40 bytes"),
        (["lists", "show", "WORD"], "'burn' is none of keep, move"),
        (["lists", "show", "UNSORTED"], "not sorted"),
        (["lists", "show", "CONTRADICTS"], "contradicts itself"),
        (["lists", "show", "PEOPLE"], "more people than it has pictures"),
        (["lists", "merge", "LIST", "PEOPLE", "DST"], "more people than it has pictures"),
        (["lists", "diff", "LIST", "BELOW"], "or below -1; fetch it again"),
        (["lists", "show", "UNNAMED"], "voters whom it does not name"),
        (["apply", "PACK", "UNKNOWN", "DST", "--match", "auto"], "voters whom it does not name"),
        (["lists", "show", "LINES"], "do not say whose it is"),
        (["lists", "show", "WORDS"], "do not say whose it is"),
        (["lists", "show", "FROM"], "do not say whose it is"),
        (["lists", "show", "NONE"], "no such list"),
        (["lists", "diff", "LIST", "NONE"], "no such list"),
        (["lists", "diff", "TEXT", "LIST"], "cannot be read as a list"),
        (["lists", "merge", "LIST", "DST"], "name two or more"),
        (["lists", "merge", "LIST", "TEXT", "DST"], "cannot be read as a list"),
        (["lists", "export", "PACK", "DST"], "name what facekit clean wrote"),
        (["lists", "export", "NONE", "DST"], "no such folder of decisions"),
        (["lists", "export", "ALONE", "DST"], "--source PACK"),
        (["lists", "export", "GONE", "DST"], "is gone: name a copy of it with --source PACK"),
        (["lists", "export", "CLEANED", "DST", "--source", "NONE"], "no such pack"),
        (["lists", "export", "CLEANED", "DST", "--source", "CLEANED"], "lacks"),
        (["lists", "export", "CLEANED", "DST", "--who", "two\nlines"], "one line of at most 200"),
        (["lists", "export", "CLEANED", "LIST"], "exists already"),
        (["lists", "sign", "LIST", "--key", "NONE"], "no such key"),
        (["lists", "sign", "LIST", "--key", "TEXT"], "signs nothing"),
        (["lists", "sign", "TEXT", "--key", "TEXT"], "cannot be read as a list"),
        (["lists", "show", "LIST", "--allowed-signers", "NONE"], "no such file of allowed signers"),
        (["lists", "show", "LIST", "--allowed-signers", "TEXT"], "no such signature"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_at_every_door_is_said(words: list[str], message: str, cleaned: Cleaned, tmp_path: Path) -> None:
    places = {"PACK": cleaned.pack, "CLEANED": cleaned.folder, "LIST": tmp_path / "a.list", "DST": tmp_path / "dst",
              "NONE": tmp_path / "none", **bad_files(cleaned, tmp_path)}  # fmt: skip
    shutil.copy(cleaned.list, tmp_path / "a.list")
    before = sorted(tmp_path.iterdir())
    said = call([places.get(word, word) for word in words])
    assert said.code in (1, 2), said
    assert message in " ".join(said.err.split()), said.err
    assert "Traceback" not in said.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not on this machine: install OpenSSH")
def test_apply_refuses_a_list_that_is_not_what_its_signature_signs(cleaned: Cleaned, tmp_path: Path) -> None:
    listed, keys = tmp_path / "a.list", [tmp_path / "mine", tmp_path / "other"]
    shutil.copy(cleaned.list, listed)
    apply = ["apply", cleaned.pack, listed, tmp_path / "out", "--match", "auto", "--overwrite"]
    assert "\nthe list is unsigned\n" in call(apply).out
    for key in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        key.with_suffix(".signers").write_text(f"{key.name}@example.org {key.with_suffix('.pub').read_text()}")
    do(["lists", "sign", listed, "--key", keys[0]])
    assert "\nthe list is signed with ED25519 key SHA256:" in call(apply).out
    signers = [["--allowed-signers", key.with_suffix(".signers")] for key in keys]
    said = json.loads(call([*apply, *signers[0], "--json"]).out)
    assert said["signature"].startswith("signed by mine@example.org (ED25519 key SHA256:")
    before = (tmp_path / "out" / "run.json").read_bytes()
    signature = Path(f"{listed}.sig")
    assert_refused(call([*apply, *signers[1]]), f"{signature} is by nobody in")
    right = signature.read_bytes()
    for wrong in (b"", right[: len(right) // 2], right.replace(b"SSH SIGNATURE", b"OPENSSH PRIVATE KEY")):
        signature.write_bytes(wrong)
        for more in ([], signers[0]):
            assert_refused(call([*apply, *more]), str(signature))
    signature.write_bytes(right)
    shutil.copy(half(cleaned, tmp_path), listed)
    assert_refused(call([*apply, "--least-found", 0]), f"{listed} is not what {signature} signs")
    assert_refused(call([*apply, "--least-found", 0, *signers[0]]), f"{listed} is not what mine@example.org signed")
    words = ["ssh-keygen", "-Y", "sign", "-q", "-f", keys[0], "-n", "file", listed]  # for another purpose
    subprocess.run(words, check=True, capture_output=True, input=b"y\n")
    for more in ([], signers[0]):
        assert_refused(call([*apply, "--least-found", 0, *more]), str(listed), "namespace")
    assert (tmp_path / "out" / "run.json").read_bytes() == before
    assert_refused(call([*apply[:3], signature, *apply[4:]]), "choose another")
    assert_refused(call([*apply[:3], keys[0].with_suffix(".signers"), *apply[4:], *signers[0]]), "choose another")


def bad_files(cleaned: Cleaned, folder: Path) -> dict[str, Path]:
    """Files that are no list, or damaged ones."""
    places = {name: folder / f"{name.lower()}.list" for name in
              ("TEXT", "CUT", "TABLE", "LATER", "OTHER", "NOBODY", "COLUMN", "WIDTH", "WORD", "UNSORTED",
               "CONTRADICTS", "PEOPLE", "BELOW", "UNNAMED", "UNKNOWN", "LINES", "WORDS", "FROM")}  # fmt: skip
    places["TEXT"].write_text("nothing")
    content, table = cleaned.list.read_bytes(), pq.read_table(cleaned.list)
    places["CUT"].write_bytes(content[: len(content) // 2])
    shutil.copy(cleaned.folder / "decisions.parquet", places["TABLE"])
    about = json.loads(table.schema.metadata[b"facekit.list"])
    forged = {"LINES": {"who": "me\nsigned by me"}, "WORDS": {"pictures": "all"}, "FROM": {"from": [{"who": 1}]}}
    changes = {name: {"voters": [about["voters"][0] | one]} for name, one in forged.items()}
    changes |= {"LATER": {"format": 2}, "OTHER": {"perceptual": "phash"}, "NOBODY": {"voters": 3}}
    for name, change in changes.items():
        meta = {b"facekit.list": json.dumps(about | change).encode()}
        pq.write_table(table.replace_schema_metadata(meta), places[name])
    pq.write_table(table.drop_columns("identity"), places["COLUMN"])
    place = table.schema.get_field_index
    narrow = table["payload_hash"]
    pq.write_table(table.set_column(place("perceptual"), "perceptual", narrow), places["WIDTH"])
    pq.write_table(table.set_column(place("action"), "action", [["burn"] * table.num_rows]), places["WORD"])
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), places["UNSORTED"])
    pq.write_table(
        table.set_column(place("identity"), "identity", [np.full(table.num_rows, -1)]), places["CONTRADICTS"]
    )
    numbers, voters = table["identity"].to_numpy(), np.ones(table.num_rows, np.uint64)
    for name, column, values in (
        ("PEOPLE", "identity", np.where(numbers >= 0, numbers + (1 << 60), -1)),
        ("BELOW", "identity", np.where(numbers >= 0, numbers, -2)),
        ("UNNAMED", "known_by", 2 * voters),
        ("UNKNOWN", "said_by", 3 * voters),
    ):
        pq.write_table(table.set_column(place(column), column, [values]), places[name])
    (folder / "alone").mkdir()
    shutil.copy(cleaned.folder / "decisions.parquet", folder / "alone")
    shutil.copytree(folder / "alone", folder / "gone")
    (folder / "gone" / "source.txt").write_text(str(folder / "nowhere"))
    return places | {"ALONE": folder / "alone", "GONE": folder / "gone"}
