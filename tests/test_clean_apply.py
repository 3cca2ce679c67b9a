"""facekit apply: decisions are repeated, undone, and found again in a pack of the same pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clean_packs import (
    Cleaned,
    DrawnPack,
    clean_drawn,
    draw,
    make_pack,
    pack_files,
    payloads_by_label,
)
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import ConfigError, FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.clean.apply import ApplyConfig, apply
from facekit.jobs.clean.match import _occurrence_rows
from facekit.jobs.clean.tables import read_decisions
from facekit.records import Header, PackWriter, open_pack


@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_apply_repeats_and_undoes(tmp_path: Path, layout: str) -> None:
    pack = make_pack(tmp_path, layout, gap=2)
    clean_drawn(pack, tmp_path / "out", "robust", decisions_only=True)
    assert not (tmp_path / "out" / "train.rec").exists()
    clean_drawn(pack, tmp_path / "whole", "robust")
    source = str(pack.folder)
    apply(ApplyConfig(source, str(tmp_path / "out"), str(tmp_path / "again")))
    assert pack_files(tmp_path / "again") == pack_files(tmp_path / "whole")
    undone = apply(ApplyConfig(source, str(tmp_path / "out"), str(tmp_path / "undone"), revert=("all",)))
    assert pack_files(tmp_path / "undone") == pack_files(pack.folder)
    assert undone.dropped == undone.moved == 0
    # Every single decision reverted by name is the same as all of them.
    names = tuple(set(read_decisions(tmp_path / "out").reason.tolist()))
    apply(ApplyConfig(source, str(tmp_path / "out"), str(tmp_path / "named"), revert=names))
    assert pack_files(tmp_path / "named") == pack_files(pack.folder)
    kept = apply(ApplyConfig(source, str(tmp_path / "out"), str(tmp_path / "kept"), revert=("intra",)))
    assert kept.dropped == 0
    table = read_decisions(tmp_path / "kept")
    back = table.reason == "override"
    assert back.sum() == kept.reasons["override"] > 0
    assert set(zip(table.old_label[back], table.new_label[back])) <= set(
        zip(table.old_label[~back].tolist(), table.new_label[~back].tolist())
    )


def test_reverting_merges_takes_identities_apart(drawn_pack: DrawnPack, published: Cleaned, tmp_path: Path) -> None:
    out, merged = published
    apart = apply(ApplyConfig(str(drawn_pack.folder), str(out), str(tmp_path / "a"), revert=("inter", "union")))
    assert merged.identities_out == 36
    assert apart.identities_out == 40
    table = read_decisions(tmp_path / "a")
    kept = table.new_label >= 0
    assert len(set(zip(table.old_label[kept].tolist(), table.new_label[kept].tolist()))) == 40
    assert apart.dropped == merged.dropped


def test_decisions_find_the_same_pictures_in_a_repack(tmp_path: Path) -> None:
    """Somebody else's pack: other labels, another order, another layout; the groups must come out the same."""
    pack = make_pack(tmp_path, gap=2)
    clean_drawn(pack, tmp_path / "out", "robust")
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
    mine = {frozenset(each) for each in payloads_by_label(tmp_path / "out").values()}
    assert {frozenset(each) for each in payloads_by_label(tmp_path / "theirs").values()} == mine


BYTES = st.lists(st.sampled_from([b"a" * 16, b"b" * 16, bytes(16), b"c" + bytes(15)]), max_size=12)


@given(known=BYTES, wanted=BYTES)
def test_the_nth_of_equal_pictures_finds_the_nth(known: list[bytes], wanted: list[bytes]) -> None:
    places: dict[bytes, list[int]] = {}
    for row, one in enumerate(known):
        places.setdefault(one, []).append(row)
    expected = [places[one].pop(0) if places.get(one) else -1 for one in wanted]
    assert _occurrence_rows(np.array(known, "S16"), np.array(wanted, "S16")).tolist() == expected


def test_pictures_that_the_decisions_do_not_know(drawn_pack: DrawnPack, published: Cleaned, tmp_path: Path) -> None:
    with open_pack(drawn_pack.folder) as source, PackWriter(tmp_path / "more") as writer:
        for record in source:
            writer.write(record)
        writer.write(Header(0, 40.0, 0, 0), encode_jpeg(draw(77, 3)))
    given = (str(tmp_path / "more"), str(published.folder), str(tmp_path / "x"))
    with pytest.raises(FacekitError, match=r"1 of .* are in no decision; --unmatched drop"):
        apply(ApplyConfig(*given, match="hash"))
    found = apply(ApplyConfig(*given, match="hash", unmatched="drop"))
    assert found.reasons["unmatched"] == 1
    assert payloads_by_label(tmp_path / "x") == payloads_by_label(published.folder)
    (tmp_path / "b").mkdir()
    with pytest.raises(FacekitError, match="none of"):
        apply(
            ApplyConfig(
                str(make_pack(tmp_path / "b", first=50_000).folder), given[1], str(tmp_path / "y"), match="hash"
            )
        )


def test_a_payload_that_changed_is_refused(drawn_pack: DrawnPack, published: Cleaned, tmp_path: Path) -> None:
    with open_pack(drawn_pack.folder) as source, PackWriter(tmp_path / "changed") as writer:
        for record in source:
            writer.write(record.header, record.payload[:-2] + b"\0\0")
    with pytest.raises(FacekitError, match="not the one that was decided about"):
        apply(ApplyConfig(str(tmp_path / "changed"), str(published.folder), str(tmp_path / "x")))
    assert not (tmp_path / "x").exists()


def test_what_cannot_be_applied(drawn_pack: DrawnPack, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a pack, not decisions"):
        apply(ApplyConfig(str(drawn_pack.folder), str(drawn_pack.folder), str(tmp_path / "y")))
    with pytest.raises(ConfigError, match="revert"):
        ApplyConfig("a", "b", "c", revert=("everything",))
    with pytest.raises(ConfigError, match="match"):
        ApplyConfig("a", "b", "c", match="name")
