"""facekit clean on whole packs: counts add up, payloads are copied, nothing depends on places."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from clean_packs import (
    Cleaned,
    DrawnPack,
    clean_drawn,
    contents,
    draw,
    make_pack,
    payloads_by_label,
    unit,
)

from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.clean.apply import ApplyConfig, apply
from facekit.jobs.clean.compare import explain
from facekit.jobs.clean.findings import quality_floor, same_picture
from facekit.jobs.clean.tables import read_decisions
from facekit.records import Header, PackWriter, open_pack
from facekit.run.ledger import LedgerRow, LedgerWriter, payload_hash, table


@pytest.mark.parametrize("layout", ["insightface", "flat"])
@pytest.mark.parametrize("mode", ["published", "robust"])
def test_the_cleaned_pack_is_what_the_decisions_say(tmp_path: Path, layout: str, mode: str) -> None:
    pack = make_pack(tmp_path, layout, gap=3)
    summary = clean_drawn(pack, tmp_path / "out", mode)
    table = read_decisions(tmp_path / "out")
    with open_pack(pack.folder) as source:
        assert table.keys.tolist() == source.keys.tolist()
        given = [record.payload for record in source]
    assert [payload_hash(p) for p in given] == [h.tobytes() for h in table.payload_hash]
    expected: dict[int, list[bytes]] = {}
    for at in np.flatnonzero(table.new_label >= 0):
        expected.setdefault(int(table.new_label[at]), []).append(given[at])
    assert payloads_by_label(tmp_path / "out") == expected
    with open_pack(tmp_path / "out") as cleaned:
        assert cleaned.layout == layout
        assert cleaned.num_classes == cleaned.num_identities == summary.identities_out
        assert cleaned.num_images == summary.images_out == summary.kept + summary.moved
        if layout == "insightface":
            assert len(cleaned.identity_ranges) == summary.identities_out
            for (first, stop), label in zip(cleaned.identity_ranges.tolist(), range(summary.identities_out)):
                assert {int(cleaned.read(key).header.label) for key in range(first, stop)} == {label}
        assert [cleaned.read(key).header.id for key in cleaned.keys.tolist()] == cleaned.keys.tolist()
        numbers = [summary.identities_out, *draw(0, 0).shape[:2]]
        assert (tmp_path / "out" / "property").read_text() == ",".join(map(str, numbers)) + "\n"
    assert summary.kept + summary.moved + summary.dropped + summary.review == summary.images == len(pack.labels)
    assert sum(summary.reasons.values()) == summary.images
    assert (tmp_path / "out" / "config.txt").read_text() == summary.config + "\n"
    wrong = pack.person != np.where(pack.labels // 3 < 36, pack.labels // 3, pack.person)
    dropped = np.isin(table.reason, ["intra", "relabel"])
    assert np.mean(dropped[wrong]) > 0.8
    assert np.mean(dropped[~wrong & (pack.person >= 0)]) < 0.02


@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_an_id_follows_the_key_only_where_it_did(tmp_path: Path, layout: str) -> None:
    pack = make_pack(tmp_path, identities=10)
    rng = np.random.default_rng(0)
    with open_pack(pack.folder) as source, PackWriter(tmp_path / "odd", layout) as writer:
        for record in source:
            own = writer.next_key if rng.random() < 0.5 else 2**40 + writer.next_key
            writer.write(Header(0, record.header.label, own, 0), record.payload)
    clean_drawn(pack._replace(folder=tmp_path / "odd"), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "train.ledger.parquet", filters=[("action", "==", "copy")]).to_pylist()
    follows = []
    with open_pack(tmp_path / "odd") as source, open_pack(tmp_path / "out") as cleaned:
        for row in rows:
            before, after = source.read(row["source_key"]).header.id, cleaned.read(row["key"]).header.id
            follows.append(before == row["source_key"])
            assert after == (row["key"] if follows[-1] else before)
    assert 0 < sum(follows) < len(follows)


def test_no_output_but_one_depends_on_where_the_source_lies(
    drawn_pack: DrawnPack, published: Cleaned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(drawn_pack.folder)
    (tmp_path / "named").symlink_to(drawn_pack.folder)
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(drawn_pack.folder, tmp_path / "elsewhere" / "copy")
    monkeypatch.chdir(tmp_path)
    named = [Path("named"), tmp_path / "link", drawn_pack.folder / "train", tmp_path / "elsewhere" / "copy"]
    plain = contents(published.folder)
    for number, folder in enumerate(named):
        out = Path(f"out{number}")
        clean_drawn(drawn_pack._replace(folder=folder), out)
        found = contents(out)
        assert found.keys() == plain.keys()
        assert {str(name) for name in found if found[name] != plain[name]} <= {"source.txt", "run.json"}
        lies = drawn_pack.folder if number < 3 else tmp_path / "elsewhere" / "copy"
        assert (out / "source.txt").read_text() == f"{(lies / 'train.rec').resolve()}\n"


def test_the_ledger_has_a_row_for_everything(drawn_pack: DrawnPack, published: Cleaned) -> None:
    out, summary = published
    rows = pq.read_table(out / "train.ledger.parquet").to_pylist()
    written = {row["key"]: row for row in rows if row["key"] is not None}
    with open_pack(out) as cleaned, open_pack(drawn_pack.folder) as source:
        assert sorted(written) == sorted(cleaned.physical_keys.tolist())
        for key in cleaned.keys.tolist():
            row = written[key]
            assert row["action"] == "copy"
            assert source.read(row["source_key"]).payload == cleaned.read(key).payload
            assert row["payload_hash"] == payload_hash(cleaned.read(key).payload)
    gone = [row for row in rows if row["key"] is None]
    assert len(gone) == summary.dropped
    assert {row["reason"] for row in gone} == {"intra"}


def test_the_tables_agree(tmp_path: Path) -> None:
    pack = make_pack(tmp_path, gap=2)
    clean_drawn(pack, tmp_path / "out", "robust")
    table = read_decisions(tmp_path / "out")
    identities = pq.read_table(tmp_path / "out" / "identities.parquet").to_pylist()
    labels = dict(map(int, line.split(",")) for line in (tmp_path / "out" / "labels.csv").read_text().split()[1:])
    assert [row["label"] for row in identities] == sorted(set(pack.labels.tolist()))
    for row in identities:
        mine = table.old_label == row["label"]
        assert row["faces"] == mine.sum() == sum(row[a] for a in ("keep", "move", "drop", "review"))
        assert row["new_label"] == labels[row["label"]]
        home = table.new_label[mine & np.isin(table.reason, ["inlier", "inter"])]
        assert set(home.tolist()) <= {row["new_label"]}
    schema = pq.read_schema(tmp_path / "out" / "decisions.parquet")
    for name in ("key", "payload_hash", "old_label", "new_label", "action", "reason", "similarity", "threshold",
                 "round", "model", "evidence"):  # fmt: skip
        assert name in schema.names


def test_a_masked_pack_follows_its_bare_pictures(drawn_pack: DrawnPack, tmp_path: Path) -> None:
    """Copies with vectors of no use: the bare pictures are decided as without them, and the copies go where they go."""
    bare = clean_drawn(drawn_pack, tmp_path / "bare", "robust")
    rows, vectors, origin = [], [], []
    given = np.load(drawn_pack.features)
    rng = np.random.default_rng(0)
    with open_pack(drawn_pack.folder) as source, PackWriter(tmp_path / "masked") as writer:
        for at, record in enumerate(source):
            for copy in range(1 + at % 2):
                payload = record.payload if not copy else encode_jpeg(draw(500, at))
                key = writer.write(Header(0, record.header.label, writer.next_key, 0), payload)
                action, kind = ("mask", "surgical") if copy else ("copy", None)
                rows.append(LedgerRow(key, record.key, payload_hash(payload), action, kind, "{}" if copy else None))
                vectors.append(unit(rng.standard_normal((1, 64)))[0] if copy else given[at])
                origin.append((at, copy))
    with LedgerWriter(tmp_path / "masked" / "train.ledger.parquet") as ledger:
        ledger.append(table(rows))
    np.save(tmp_path / "masked.npy", np.array(vectors))
    masked = DrawnPack(tmp_path / "masked", tmp_path / "masked.npy", drawn_pack.person, drawn_pack.labels)
    summary = clean_drawn(masked, tmp_path / "out", "robust")
    table_ = read_decisions(tmp_path / "out")
    alone = read_decisions(tmp_path / "bare")
    at, copy = np.array(origin).T
    np.testing.assert_array_equal(table_.new_label, alone.new_label[at])
    np.testing.assert_array_equal(table_.action_code, alone.action_code[at])
    assert set(table_.reason[copy == 1]) == {"copy"}
    assert summary.identities_out == bare.identities_out
    # The masks are still known as masks, of the picture beside them.
    again = pq.read_table(tmp_path / "out" / "train.ledger.parquet").to_pylist()
    masks = [row for row in again if row["action"] == "mask"]
    assert len(masks) == np.count_nonzero((copy == 1) & (table_.new_label >= 0))
    assert {row["type"] for row in masks} == {"surgical"}
    bare_keys = {row["source_key"] for row in again if row["action"] == "copy"}
    assert {row["source_key"] for row in masks} <= bare_keys


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    """One folder a person comes in, a pack comes out, and the original names are known."""
    pack = make_pack(tmp_path, identities=12)
    with open_pack(pack.folder) as source:
        for at, record in enumerate(source):
            place = tmp_path / "people" / f"{int(record.header.label):03d}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{at:04d}.jpg").write_bytes(record.payload)
    people = pack._replace(folder=tmp_path / "people")
    clean_drawn(people, tmp_path / "out", "robust")
    clean_drawn(pack, tmp_path / "same", "robust")
    assert payloads_by_label(tmp_path / "out") == payloads_by_label(tmp_path / "same")
    names = dict(line.split("\t")[::2] for line in (tmp_path / "out" / "source.lst").read_text().splitlines())
    table = read_decisions(tmp_path / "out")
    for key, label in zip(table.keys.tolist(), table.old_label.tolist()):
        assert names[str(key)].startswith(f"{label:03d}/")
    undone = apply(ApplyConfig(str(people.folder), str(tmp_path / "out"), str(tmp_path / "undone"), revert=("all",)))
    assert undone.images_out == len(pack.labels)
    assert payloads_by_label(tmp_path / "undone") == payloads_by_label(pack.folder)


def test_near_duplicates_are_dropped_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(6), 5)
    pictures = [draw(who, at) for at, who in enumerate(person)]
    pictures[1] = np.clip(pictures[0] * 1.15 + 9, 0, 255).astype(np.uint8)
    pictures[7] = np.ascontiguousarray(pictures[6][:, ::-1])
    direction = unit(rng.standard_normal((6, 64)))
    vectors = unit(0.8 * direction[person] + 0.6 * unit(rng.standard_normal((30, 64))))
    vectors[[1, 7]] = vectors[[0, 6]]
    # A different picture whose vector is the same all the same.
    vectors[13] = vectors[12]
    with PackWriter(tmp_path / "pack") as writer:
        for label, picture in zip(person.tolist(), pictures):
            writer.write(Header(0, float(label), 0, 0), encode_jpeg(picture, 80 if label else 95))
    np.save(tmp_path / "v.npy", vectors)
    pictures[13] = draw(600, 1)
    pack = DrawnPack(tmp_path / "pack", tmp_path / "v.npy", person, person)
    assert same_picture(pictures[0], pictures[1]) > 0.98
    assert same_picture(pictures[6], pictures[7]) > 0.98
    assert same_picture(pictures[12], pictures[13]) < 0.9
    clean_drawn(pack, tmp_path / "out", near_duplicates=True)
    table = read_decisions(tmp_path / "out")
    again = table.keys[table.reason == "near_duplicate"]
    assert {2, 8} <= set(again.tolist())
    assert not {1, 7} & set(again.tolist())
    assert "key 1 " in explain(table, 2).text + table.evidence[1]


def test_quality_is_a_matter_of_norms(drawn_pack: DrawnPack, tmp_path: Path) -> None:
    norms = np.exp(np.random.default_rng(0).normal(3, 0.1, 5000)).astype(np.float32)
    norms[:10] = 5
    floor = quality_floor(norms)
    assert 5 < floor < np.exp(3 - 0.3)
    with pytest.raises(ConfigError, match="norms"):
        clean_drawn(drawn_pack, tmp_path / "x", low_quality=True)


@pytest.mark.parametrize(("kind", "message"), [
    ("short", "one row for each image"), ("whole", "no floating"), ("text", "cannot be read"),
    ("missing", "no such folder of vectors"), ("nan", "row 17 is not finite"),
])  # fmt: skip
def test_vectors_that_are_none_of_the_pack(kind: str, message: str, drawn_pack: DrawnPack, tmp_path: Path) -> None:
    vectors, path = np.load(drawn_pack.features), tmp_path / f"{kind}.npy"
    if kind == "text":
        path.write_text("no array")
    elif kind != "missing":
        vectors[17, 3] = np.nan
        np.save(path, {"short": vectors[:-1], "whole": np.arange(6), "nan": vectors}[kind])
    with pytest.raises(FacekitError, match=message):
        clean_drawn(drawn_pack._replace(features=path), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_what_is_there_already_is_replaced_only_where_asked(drawn_pack: DrawnPack, tmp_path: Path) -> None:
    clean_drawn(drawn_pack, tmp_path / "x", report=False)
    before = contents(tmp_path / "x")
    with pytest.raises(DestinationExists):
        clean_drawn(drawn_pack, tmp_path / "x")
    assert contents(tmp_path / "x") == before
    clean_drawn(drawn_pack, tmp_path / "x", "robust", overwrite=True, report=False)
    assert json.loads((tmp_path / "x" / "run.json").read_text())["config"]["settings"]["mode"] == "robust"


def test_a_pack_is_not_kept_out_of_itself(drawn_pack: DrawnPack, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--exclude .* holds pictures"):
        clean_drawn(drawn_pack, tmp_path / "x", exclude=(str(drawn_pack.folder),))
