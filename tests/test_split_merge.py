"""split and merge: nobody in two parts, nobody lost, and the tables that say who is who."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_packs import call, held, picture, write

from facekit.errors import ConfigError, FacekitError
from facekit.jobs.packs.check import CheckConfig, check
from facekit.jobs.packs.merge import MergeConfig, merge
from facekit.jobs.packs.split import SplitConfig, split

# --- split ------------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 6), min_size=8, max_size=40), st.floats(0.2, 0.8), st.sampled_from(["insightface", "flat"])
)
def test_no_identity_is_in_both_parts_and_none_is_lost(
    tmp_path_factory: Any, labels: list[int], share: float, layout: str
) -> None:
    folder = tmp_path_factory.mktemp("split")
    source = write(folder / "source", labels, layout="flat")
    config = SplitConfig(str(source), str(folder / "out"), share, layout=layout)
    wanted = round(share * len(set(labels)))
    if not 0 < wanted < len(set(labels)):
        with pytest.raises(FacekitError, match="one of the parts would be empty"):
            split(config)
        assert not (folder / "out").exists()
        return
    summary = split(config)
    parts = {}
    for name in ("train", "test"):
        with open(folder / "out" / name / "labels.csv", newline="") as file:
            old = {int(row["new_label"]): int(row["old_label"]) for row in csv.DictReader(file)}
        parts[name] = [(old[label], payload) for label, payload in held(folder / "out" / name)]
        assert sorted(old) == list(range(len(old)))
        assert summary.images[name] == len(parts[name])
        assert check(CheckConfig(str(folder / "out" / name), deep=True)).counts == {}
    people = [{label for label, _ in part} for part in parts.values()]
    assert not people[0] & people[1]
    assert len(people[1]) == wanted
    assert sorted(parts["train"] + parts["test"]) == sorted(held(source))
    again = split(SplitConfig(str(source), str(folder / "again"), share, layout=layout))
    assert again.images == summary.images
    assert (folder / "again/test/train.rec").read_bytes() == (folder / "out/test/train.rec").read_bytes()


def test_the_command_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "source", [0, 0, 1, 2, 3])
    assert call("split", source, tmp_path / "out", "--test", "0.25") == 0
    assert "train " in capsys.readouterr().out
    assert call("split", source, tmp_path / "out", "--test", "0.25") == 2
    assert call("split", source, tmp_path / "out", "--test", "0.25", "--overwrite", "--json") == 0
    assert sum(json.loads(capsys.readouterr().out)["images"].values()) == 5
    for share in ("0", "1", "-3"):
        assert call("split", source, tmp_path / "other", "--test", share) == 2
    with pytest.raises(ConfigError, match="layout is 'lmdb'"):
        SplitConfig("a", "b", 0.5, layout="lmdb")
    with pytest.raises(ConfigError, match="seed is -1"):
        SplitConfig("a", "b", 0.5, seed=-1)


# --- merge ------------------------------------------------------------------------------------------------------------


def test_merging_keeps_people_apart_unless_a_table_says_otherwise(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", [0, 0, 4]), write(tmp_path / "b", [0, 1, 1], first=10)
    summary = merge(MergeConfig((str(a), str(b)), str(tmp_path / "out")))
    assert (summary.images, summary.identities, summary.shared, summary.dropped) == (6, 4, 0, {})
    expected = list(zip([0, 0, 1, 2, 3, 3], [picture(n) for n in (0, 1, 2, 10, 11, 12)], strict=True))
    assert held(tmp_path / "out") == expected
    assert check(CheckConfig(str(tmp_path / "out"), deep=True)).counts == {}
    with open(tmp_path / "out" / "identities.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["old_label"], row["new_label"], row["images"]) for row in rows] == [
        ("0", "0", "2"),
        ("4", "1", "1"),
        ("0", "2", "1"),
        ("1", "3", "2"),
    ]
    assert {row["source"] for row in rows} == {str(a), str(b)}
    ledger = pq.read_table(tmp_path / "out" / "train.ledger.parquet").to_pylist()
    said = [(row["source_key"], json.loads(row["params"])["pack"]) for row in ledger if row["action"] == "copy"]
    assert said == [(1, str(a)), (2, str(a)), (3, str(a)), (1, str(b)), (2, str(b)), (3, str(b))]
    lines = (tmp_path / "out" / "identities.csv").read_text().splitlines()
    lines[3] = lines[3].replace(",0,2,", ",0,0,")  # b's 0 is a's 0
    lines[4] = lines[4].replace(",1,3,", ",1,,")  # b's 1 is not wanted
    (tmp_path / "table.csv").write_text("\n".join(lines))
    table = str(tmp_path / "table.csv")
    summary = merge(MergeConfig((str(a), str(b)), str(tmp_path / "joined"), table))
    assert (summary.images, summary.identities, summary.shared, summary.dropped) == (4, 2, 1, {"not_wanted": 2})
    assert held(tmp_path / "joined") == [(0, picture(0)), (0, picture(1)), (0, picture(10)), (1, picture(2))]
    dropped = pq.read_table(tmp_path / "joined" / "train.ledger.parquet").to_pylist()
    assert [(row["source_key"], row["reason"]) for row in dropped if row["action"] == "drop"] == [
        (2, "not_wanted"),
        (3, "not_wanted"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("source,old_label\n", "lacks one of the columns"),
        ("source,old_label,new_label\nnobody,0,0\n", "is none of the packs"),
        ("source,old_label,new_label\nA,zero,0\n", "must be whole numbers"),
        ("source,old_label,new_label\nA,0,0\nA,0,1\n", "has two new labels, 0 and 1"),
        ("source,old_label,new_label\nA,77,0\n", "no picture is left"),
        ("source,old_label,new_label\nA\n", "no picture is left"),
        ("\xff\xfe", "lacks one of the columns"),
        (".", "cannot be read as a table: .*Is a directory"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, problem: str) -> None:
    a, b = write(tmp_path / "a", [0]), write(tmp_path / "b", [0], first=5)
    table = tmp_path if text == "." else tmp_path / "t.csv"
    (tmp_path / "t.csv").write_bytes(text.replace("A", str(a)).encode("latin-1"))
    with pytest.raises(FacekitError, match=problem):
        merge(MergeConfig((str(a), str(b)), str(tmp_path / "out"), str(table)))
    assert not (tmp_path / "out").exists()


def test_a_slash_at_the_end_names_no_other_pack(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", [0]), write(tmp_path / "b", [0], first=5)
    (tmp_path / "t.csv").write_text(f"source,old_label,new_label\n{a},0,0\n{b}/,0,0\n")
    for number, ends in enumerate((("", ""), ("/", ""), ("", "/"), ("/", "//"))):
        sources = f"{a}{ends[0]}", f"{b}{ends[1]}"
        summary = merge(MergeConfig(sources, str(tmp_path / f"out{number}"), str(tmp_path / "t.csv")))
        assert (summary.images, summary.identities, summary.shared) == (2, 1, 1)
    with pytest.raises(ConfigError, match="a pack is named twice"):
        MergeConfig((str(a), f"{a}/"), str(tmp_path / "out"))


def test_the_command_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, c = (write(tmp_path / name, [0, 1], first) for name, first in (("a", 0), ("b", 5), ("c", 9)))
    assert call("merge", a, b, c, tmp_path / "out", "--layout", "flat", "--json") == 0
    assert json.loads(capsys.readouterr().out)["identities"] == 6
    assert call("merge", a, b, c, tmp_path / "out") == 2
    assert call("merge", a, tmp_path / "new") == 2
    assert "two packs or more" in capsys.readouterr().err
    assert call("merge", a, a, tmp_path / "new") == 2
    assert call("merge", a, b, a, "--overwrite") == 2
    assert call("merge", a, tmp_path / "nowhere", tmp_path / "new") == 2
    assert call("merge", a, b, tmp_path / "out", "--overwrite") == 0
    assert "4 pictures, 4 identities" in capsys.readouterr().out
