"""facekit clean and apply on whole packs: counts add up, payloads are copied, everything can be undone."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from clean_packs import DrawnPack, draw, make_pack, unit
from hypothesis import given
from hypothesis import strategies as st

from facekit.clean.overrides import Overrides, override, read_overrides
from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.clean.apply import ApplyConfig, apply
from facekit.jobs.clean.compare import diff, explain
from facekit.jobs.clean.config import CleanConfig, CleanSummary
from facekit.jobs.clean.findings import quality_floor, same_picture
from facekit.jobs.clean.job import clean
from facekit.jobs.clean.match import _occurrence_rows
from facekit.jobs.clean.sweep import SweepConfig, sweep
from facekit.jobs.clean.tables import read_decisions
from facekit.records import Header, PackWriter, open_pack
from facekit.run.ledger import payload_hash


def run(pack: DrawnPack, folder: Path, mode: str = "published", **options: Any) -> CleanSummary:
    settings = CleanSettings(mode=mode, threads=1, **options.pop("settings", {}))
    return clean(CleanConfig(str(pack.folder), str(folder), features=str(pack.features), settings=settings, **options))


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.glob("*") if path.name in ("train.rec", "train.idx", "property")
    }


def payloads(folder: Path) -> dict[int, list[bytes]]:
    with open_pack(folder) as pack:
        found: dict[int, list[bytes]] = {}
        for record in pack:
            found.setdefault(int(np.atleast_1d(record.header.label)[0]), []).append(record.payload)
    return found


@pytest.mark.parametrize("layout", ["insightface", "flat"])
@pytest.mark.parametrize("mode", ["published", "robust"])
def test_the_cleaned_pack_is_what_the_decisions_say(tmp_path: Path, layout: str, mode: str) -> None:
    pack = make_pack(tmp_path, layout, gap=3)
    summary = run(pack, tmp_path / "out", mode)
    table = read_decisions(tmp_path / "out")
    with open_pack(pack.folder) as source:
        assert table.keys.tolist() == source.keys.tolist()
        given = [record.payload for record in source]
    assert [payload_hash(p) for p in given] == [h.tobytes() for h in table.payload_hash]
    expected: dict[int, list[bytes]] = {}
    for at in np.flatnonzero(table.new_label >= 0):
        expected.setdefault(int(table.new_label[at]), []).append(given[at])
    assert payloads(tmp_path / "out") == expected
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
    run(pack._replace(folder=tmp_path / "odd"), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "train.ledger.parquet", filters=[("action", "==", "copy")]).to_pylist()
    follows = []
    with open_pack(tmp_path / "odd") as source, open_pack(tmp_path / "out") as cleaned:
        for row in rows:
            before, after = source.read(row["source_key"]).header.id, cleaned.read(row["key"]).header.id
            follows.append(before == row["source_key"])
            assert after == (row["key"] if follows[-1] else before)
    assert 0 < sum(follows) < len(follows)


def test_no_output_but_one_depends_on_where_the_source_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = make_pack(tmp_path)
    run(pack, tmp_path / "plain")
    (tmp_path / "link").symlink_to(pack.folder)
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(pack.folder, tmp_path / "elsewhere" / "copy")
    monkeypatch.chdir(tmp_path)
    named = [Path("pack"), tmp_path / "link", pack.folder / "train", tmp_path / "elsewhere" / "copy"]
    plain = {path.relative_to("plain"): path.read_bytes() for path in Path("plain").rglob("*") if path.is_file()}
    for number, folder in enumerate(named):
        out = Path(f"out{number}")
        run(pack._replace(folder=folder), out)
        found = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        assert found.keys() == plain.keys()
        assert {str(name) for name in found if found[name] != plain[name]} <= {"source.txt", "run.json"}
        lies = pack.folder if number < 3 else tmp_path / "elsewhere" / "copy"
        assert (out / "source.txt").read_text() == f"{(lies / 'train.rec').resolve()}\n"


def test_the_ledger_has_a_row_for_everything(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    summary = run(pack, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "train.ledger.parquet").to_pylist()
    written = {row["key"]: row for row in rows if row["key"] is not None}
    with open_pack(tmp_path / "out") as cleaned, open_pack(pack.folder) as source:
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
    run(pack, tmp_path / "out", "robust")
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


@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_apply_repeats_and_undoes(tmp_path: Path, layout: str) -> None:
    pack = make_pack(tmp_path, layout, gap=2)
    run(pack, tmp_path / "out", "robust", decisions_only=True)
    assert not (tmp_path / "out" / "train.rec").exists()
    run(pack, tmp_path / "whole", "robust")
    source = str(pack.folder)
    apply(ApplyConfig(source, str(tmp_path / "out"), str(tmp_path / "again")))
    assert files(tmp_path / "again") == files(tmp_path / "whole")
    undone = apply(ApplyConfig(source, str(tmp_path / "out"), str(tmp_path / "undone"), revert=("all",)))
    assert files(tmp_path / "undone") == files(pack.folder)
    assert undone.dropped == undone.moved == 0
    # Every single decision reverted by name is the same as all of them.
    names = tuple(set(read_decisions(tmp_path / "out").reason.tolist()))
    apply(ApplyConfig(source, str(tmp_path / "out"), str(tmp_path / "named"), revert=names))
    assert files(tmp_path / "named") == files(pack.folder)
    kept = apply(ApplyConfig(source, str(tmp_path / "out"), str(tmp_path / "kept"), revert=("intra",)))
    assert kept.dropped == 0
    table = read_decisions(tmp_path / "kept")
    back = table.reason == "override"
    assert back.sum() == kept.reasons["override"] > 0
    assert set(zip(table.old_label[back], table.new_label[back])) <= set(
        zip(table.old_label[~back].tolist(), table.new_label[~back].tolist())
    )


def test_reverting_merges_takes_identities_apart(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    merged = run(pack, tmp_path / "out")
    apart = apply(ApplyConfig(str(pack.folder), str(tmp_path / "out"), str(tmp_path / "a"), revert=("inter", "union")))
    assert merged.identities_out == 36
    assert apart.identities_out == 40
    table = read_decisions(tmp_path / "a")
    kept = table.new_label >= 0
    assert len(set(zip(table.old_label[kept].tolist(), table.new_label[kept].tolist()))) == 40
    assert apart.dropped == merged.dropped


def test_decisions_find_the_same_pictures_in_a_repack(tmp_path: Path) -> None:
    """Somebody else's pack: other labels, another order, another layout; the groups must come out the same."""
    pack = make_pack(tmp_path, gap=2)
    run(pack, tmp_path / "out", "robust")
    rng = np.random.default_rng(0)
    with open_pack(pack.folder) as source, PackWriter(tmp_path / "repack", "flat") as writer:
        records = list(source)
        other = rng.permutation(200)
        for at in rng.permutation(len(records)).tolist():
            label = int(other[int(records[at].header.label)])
            writer.write(Header(0, float(label), 7, 7), records[at].payload)
    shared = (str(tmp_path / "repack"), str(tmp_path / "out"))
    with pytest.raises(FacekitError, match="another pack"):
        apply(ApplyConfig(*shared, str(tmp_path / "x")))
    apply(ApplyConfig(*shared, str(tmp_path / "theirs"), match="hash"))
    mine = {frozenset(each) for each in payloads(tmp_path / "out").values()}
    assert {frozenset(each) for each in payloads(tmp_path / "theirs").values()} == mine


BYTES = st.lists(st.sampled_from([b"a" * 16, b"b" * 16, bytes(16), b"c" + bytes(15)]), max_size=12)


@given(known=BYTES, wanted=BYTES)
def test_the_nth_of_equal_pictures_finds_the_nth(known: list[bytes], wanted: list[bytes]) -> None:
    places: dict[bytes, list[int]] = {}
    for row, one in enumerate(known):
        places.setdefault(one, []).append(row)
    expected = [places[one].pop(0) if places.get(one) else -1 for one in wanted]
    assert _occurrence_rows(np.array(known, "S16"), np.array(wanted, "S16")).tolist() == expected


def test_pictures_that_the_decisions_do_not_know(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    run(pack, tmp_path / "out")
    with open_pack(pack.folder) as source, PackWriter(tmp_path / "more") as writer:
        for record in source:
            writer.write(record)
        writer.write(Header(0, 40.0, 0, 0), encode_jpeg(draw(77, 3)))
    given = (str(tmp_path / "more"), str(tmp_path / "out"), str(tmp_path / "x"))
    with pytest.raises(FacekitError, match=r"1 of .* are in no decision; --unmatched drop"):
        apply(ApplyConfig(*given, match="hash"))
    found = apply(ApplyConfig(*given, match="hash", unmatched="drop"))
    assert found.reasons["unmatched"] == 1
    assert payloads(tmp_path / "x") == payloads(tmp_path / "out")
    (tmp_path / "b").mkdir()
    with pytest.raises(FacekitError, match="none of"):
        apply(
            ApplyConfig(
                str(make_pack(tmp_path / "b", first=50_000).folder), given[1], str(tmp_path / "y"), match="hash"
            )
        )


def test_a_payload_that_changed_is_refused(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    run(pack, tmp_path / "out")
    with open_pack(pack.folder) as source, PackWriter(tmp_path / "changed") as writer:
        for record in source:
            writer.write(record.header, record.payload[:-2] + b"\0\0")
    with pytest.raises(FacekitError, match="not the one that was decided about"):
        apply(ApplyConfig(str(tmp_path / "changed"), str(tmp_path / "out"), str(tmp_path / "x")))
    assert not (tmp_path / "x").exists()


def test_a_masked_pack_follows_its_bare_pictures(tmp_path: Path) -> None:
    """Copies with vectors of no use: the bare pictures are decided as without them, and the copies go where they go."""
    pack = make_pack(tmp_path)
    bare = run(pack, tmp_path / "bare", "robust")
    from facekit.run.ledger import LedgerRow, LedgerWriter, table

    rows, vectors, origin = [], [], []
    given = np.load(pack.features)
    rng = np.random.default_rng(0)
    with open_pack(pack.folder) as source, PackWriter(tmp_path / "masked") as writer:
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
    masked = DrawnPack(tmp_path / "masked", tmp_path / "masked.npy", pack.person, pack.labels)
    summary = run(masked, tmp_path / "out", "robust")
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
    run(people, tmp_path / "out", "robust")
    run(pack, tmp_path / "same", "robust")
    assert payloads(tmp_path / "out") == payloads(tmp_path / "same")
    names = dict(line.split("\t")[::2] for line in (tmp_path / "out" / "source.lst").read_text().splitlines())
    table = read_decisions(tmp_path / "out")
    for key, label in zip(table.keys.tolist(), table.old_label.tolist()):
        assert names[str(key)].startswith(f"{label:03d}/")
    undone = apply(ApplyConfig(str(people.folder), str(tmp_path / "out"), str(tmp_path / "undone"), revert=("all",)))
    assert undone.images_out == len(pack.labels)
    assert payloads(tmp_path / "undone") == payloads(pack.folder)


def test_overrides_win(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    run(pack, tmp_path / "out")
    before = read_decisions(tmp_path / "out")
    dropped = before.keys[before.action == "drop"]
    kept = before.keys[before.action == "keep"]
    double = int(before.old_label[before.action == "move"][0])
    lead = int(before.nearest[before.old_label == double][0])
    apart = [label for label in range(36) if label not in before.nearest[before.action == "move"]]
    to, into, gone = apart[:3]
    wish = Overrides(
        keep=(int(dropped[0]),),
        drop=(int(kept[0]),),
        move={int(dropped[1]): to},
        merge=((into, gone),),
        split=(double,),
    )
    (tmp_path / "o.json").write_text(wish.to_json())
    run(pack, tmp_path / "changed", overrides=str(tmp_path / "o.json"))
    after = read_decisions(tmp_path / "changed")
    home = {
        int(label): int(after.new_label[(after.old_label == label) & (after.reason == "inlier")][0])
        for label in (to, into, lead)
    }
    own = after.row_of(int(dropped[0]))
    assert after.action[own] == "keep"
    peers = (after.old_label == after.old_label[own]) & (after.action == "keep")
    assert len(set(after.new_label[peers])) == 1
    assert after.action[after.row_of(int(kept[0]))] == "drop"
    assert after.new_label[after.row_of(int(dropped[1]))] == home[to]
    moved = (after.old_label == gone) & (before.action == "keep")
    assert set(after.action[moved]) == {"move"}
    assert set(after.new_label[moved]) == {home[into]}
    apart = after.new_label[(after.old_label == double) & (after.action == "keep")]
    assert len(set(apart)) == 1
    assert apart[0] != home[lead]
    # The same file on top of the decisions gives the same pack.
    apply(ApplyConfig(str(pack.folder), str(tmp_path / "out"), str(tmp_path / "b"), overrides=str(tmp_path / "o.json")))
    assert files(tmp_path / "b") == files(tmp_path / "changed")


def test_a_kept_face_makes_its_identity_again() -> None:
    keys, old = np.array([1, 2, 3]), np.array([4, 4, 9])
    action, reason = np.array([2, 2, 0], np.int8), np.array([5, 5, 0], np.int8)
    found = override(Overrides(keep=(1, 2)).arrays(), keys, old, action, reason, np.array([-1, -1, 0]))
    assert found.new_label.tolist() == [1, 1, 0]
    assert found.action_code.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"keep": 3}', '{"keep": [-1]}', '{"keep": [true]}', '{"keep": [1.5]}', '{"keep": ["x"]}',
     '{"move": [1]}', '{"merge": [[1]]}', '{"merge": [1]}', '{"else": []}', '{"format": 2}',
     '{"keep": [1], "drop": [1]}'],
)  # fmt: skip
def test_what_is_no_overrides_file(text: str) -> None:
    with pytest.raises(ConfigError):
        read_overrides(text)


def test_overrides_of_another_pack(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    for text, message in (
        ('{"keep": [99999]}', "key 99999"),
        ('{"split": [777]}', "label 777"),
        ('{"move": {"1": 777}}', "777"),
    ):
        (tmp_path / "o.json").write_text(text)
        with pytest.raises(FacekitError, match=message):
            run(pack, tmp_path / "x", overrides=str(tmp_path / "o.json"))
    with pytest.raises(ConfigError, match="there is no such file"):
        run(pack, tmp_path / "x", overrides=str(tmp_path / "missing.json"))
    assert not (tmp_path / "x").exists()


def test_diff_and_explain(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    run(pack, tmp_path / "a")
    run(pack, tmp_path / "b", "robust")
    a, b = read_decisions(tmp_path / "a"), read_decisions(tmp_path / "b")
    nothing = diff(a, a)
    assert (nothing.same, nothing.changes) == (len(a), {})
    shuffled = dataclasses.replace(a, new_label=np.where(a.new_label < 0, -1, 99 - a.new_label))
    assert diff(a, shuffled).changes == {}
    found = diff(a, b)
    assert found.changes["drop -> move"] == np.count_nonzero((a.action == "drop") & (b.action == "move"))
    assert found.same + sum(found.changes.values()) == found.common == len(a)
    assert all(b.action[b.row_of(key)] == "move" for key in found.keys["drop -> move"])
    for table in (a, b):
        for reason in np.unique(table.reason):
            row = int(np.flatnonzero(table.reason == reason)[0])
            told = explain(table, int(table.keys[row]))
            assert str(told.key) in told.text
            assert f"{table.similarity[row]:.3f}" in told.text
            assert told.identity["faces"] == np.count_nonzero(table.old_label == table.old_label[row])
    with pytest.raises(FacekitError, match="key 123456"):
        explain(a, 123456)


def test_the_sweep_of_a_pack(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    with open_pack(pack.folder) as source:
        wrong = pack.person != np.where(pack.labels < 36, pack.labels, pack.person)
        lines = [f"{key},{int(bad)}" for key, bad in zip(source.keys, wrong)]
    (tmp_path / "truth.csv").write_text("\n".join(["key,wrong", *lines]))
    found = sweep(SweepConfig(str(pack.folder), str(pack.features), truth=str(tmp_path / "truth.csv")))
    assert found.f1[4] > 0.9
    kept = run(pack, tmp_path / "out", decisions_only=True)
    assert found.images[4] == kept.images_out
    assert found.identities[4] == kept.identities_out
    with pytest.raises(ConfigError, match="robust"):
        sweep(SweepConfig(str(pack.folder), str(pack.features), CleanSettings(mode="robust")))
    (tmp_path / "truth.csv").write_text("key,wrong\n1,0\n")
    with pytest.raises(FacekitError, match="another pack"):
        sweep(SweepConfig(str(pack.folder), str(pack.features), truth=str(tmp_path / "truth.csv")))


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
    run(pack, tmp_path / "out", near_duplicates=True)
    table = read_decisions(tmp_path / "out")
    again = table.keys[table.reason == "near_duplicate"]
    assert {2, 8} <= set(again.tolist())
    assert not {1, 7} & set(again.tolist())
    assert "key 1 " in explain(table, 2).text + table.evidence[1]


def test_quality_is_a_matter_of_norms(tmp_path: Path) -> None:
    norms = np.exp(np.random.default_rng(0).normal(3, 0.1, 5000)).astype(np.float32)
    norms[:10] = 5
    floor = quality_floor(norms)
    assert 5 < floor < np.exp(3 - 0.3)
    pack = make_pack(tmp_path)
    with pytest.raises(ConfigError, match="norms"):
        run(pack, tmp_path / "x", low_quality=True)


def test_bad_input(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    np.save(tmp_path / "short.npy", np.load(pack.features)[:-1])
    np.save(tmp_path / "whole.npy", np.arange(6))
    (tmp_path / "text.npy").write_text("no array")
    for name, message in (
        ("short.npy", "one row for each image"),
        ("whole.npy", "no floating"),
        ("text.npy", "cannot be read"),
    ):
        with pytest.raises(FacekitError, match=message):
            run(pack._replace(features=tmp_path / name), tmp_path / "x")
    with pytest.raises(ConfigError, match="no such folder of vectors"):
        run(pack._replace(features=tmp_path / "missing"), tmp_path / "x")
    broken = np.load(pack.features)
    broken[17, 3] = np.nan
    np.save(tmp_path / "nan.npy", broken)
    with pytest.raises(FacekitError, match="row 17 is not finite"):
        run(pack._replace(features=tmp_path / "nan.npy"), tmp_path / "x")
    with pytest.raises(ConfigError, match=r"--exclude .* holds pictures"):
        run(pack, tmp_path / "x", exclude=(str(pack.folder),))
    run(pack, tmp_path / "x", report=False)
    with pytest.raises(DestinationExists):
        run(pack, tmp_path / "x")
    run(pack, tmp_path / "x", "robust", overwrite=True, report=False)
    assert json.loads((tmp_path / "x" / "run.json").read_text())["config"]["settings"]["mode"] == "robust"
    with pytest.raises(ConfigError, match="is a pack, not decisions"):
        apply(ApplyConfig(str(pack.folder), str(pack.folder), str(tmp_path / "y")))
    with pytest.raises(ConfigError, match="revert"):
        ApplyConfig("a", "b", "c", revert=("everything",))
    with pytest.raises(ConfigError, match="match"):
        ApplyConfig("a", "b", "c", match="name")
