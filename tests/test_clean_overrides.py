"""What a person decides: its file, and that it holds against everything that was found."""

from __future__ import annotations

from pathlib import Path

import pytest
from clean_packs import (
    Cleaned,
    DrawnPack,
    clean_drawn,
    pack_files,
)
from hypothesis import given
from hypothesis import strategies as st

from facekit.clean.overrides import Overrides, read_overrides
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.apply import ApplyConfig, apply
from facekit.jobs.clean.tables import read_decisions


def test_overrides_win(drawn_pack: DrawnPack, published: Cleaned, tmp_path: Path) -> None:
    before = read_decisions(published.folder)
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
    clean_drawn(drawn_pack, tmp_path / "changed", overrides=str(tmp_path / "o.json"))
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
    apply(
        ApplyConfig(
            str(drawn_pack.folder), str(published.folder), str(tmp_path / "b"), overrides=str(tmp_path / "o.json")
        )
    )
    assert pack_files(tmp_path / "b") == pack_files(tmp_path / "changed")


KEYS = st.integers(0, (1 << 63) - 1)
WISHES = st.builds(
    lambda keys, cuts, merge, split, homes: Overrides(
        tuple(keys[: cuts[0]]), tuple(keys[cuts[0] : cuts[1]]), dict(zip(keys[cuts[1] :], homes)), tuple(merge),
        tuple(split),
    ),
    st.lists(KEYS, max_size=12, unique=True), st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted),
    st.lists(st.tuples(KEYS, KEYS), max_size=4), st.lists(KEYS, max_size=4, unique=True),
    st.lists(KEYS, min_size=12, max_size=12),
)  # fmt: skip


@given(WISHES)
def test_an_overrides_file_says_what_was_decided(wish: Overrides) -> None:
    assert read_overrides(wish.to_json()) == wish


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"keep": 3}', '{"keep": [-1]}', '{"keep": [true]}', '{"keep": [1.5]}', '{"keep": ["x"]}',
     '{"move": [1]}', '{"merge": [[1]]}', '{"merge": [1]}', '{"else": []}', '{"format": 2}',
     '{"keep": [1], "drop": [1]}'],
)  # fmt: skip
def test_what_is_no_overrides_file(text: str) -> None:
    with pytest.raises(ConfigError):
        read_overrides(text)


def test_overrides_of_another_pack(drawn_pack: DrawnPack, tmp_path: Path) -> None:
    for text, message in (
        ('{"keep": [99999]}', "key 99999"),
        ('{"split": [777]}', "label 777"),
        ('{"move": {"1": 777}}', "777"),
    ):
        (tmp_path / "o.json").write_text(text)
        with pytest.raises(FacekitError, match=message):
            clean_drawn(drawn_pack, tmp_path / "x", overrides=str(tmp_path / "o.json"))
    with pytest.raises(ConfigError, match="there is no such file"):
        clean_drawn(drawn_pack, tmp_path / "x", overrides=str(tmp_path / "missing.json"))
    assert not (tmp_path / "x").exists()
