"""Nothing is published whose numbers do not add up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_packs import call, write

from facekit.errors import FacekitError
from facekit.jobs.outputs import rewrite
from facekit.jobs.outputs.counts import check_counts, records_in
from facekit.jobs.outputs.ledger_rows import layout_keys, layout_rows
from facekit.records import open_pack


@given(counts=st.lists(st.tuples(st.text(), st.integers(), st.integers())))
def test_counts_add_up_where_each_pair_is_equal(counts: list[tuple[str, int, int]]) -> None:
    wrong = [(name, found, expected) for name, found, expected in counts if found != expected]
    check_counts(*((name, found, found) for name, found, _ in counts))
    if not wrong:
        check_counts(*counts)
        return
    with pytest.raises(FacekitError) as caught:
        check_counts(*counts)
    name, found, expected = wrong[0]
    assert str(caught.value) == f"the ledger has {found} {name} where there are {expected}; please report this"


@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_layout_keys_are_those_of_a_pack_that_are_no_pictures(tmp_path: Path, layout: str) -> None:
    labels = [0, 0, 1, 3, 3]
    folder = write(tmp_path / "pack", labels, layout=layout)
    with open_pack(folder) as pack:
        others = sorted(set(pack.physical_keys.tolist()) - set(pack.keys.tolist()))
        keys = layout_keys(layout, int(pack.keys.max()) + 1, len(set(labels)))
        assert keys.tolist() == others
        assert records_in(folder) == len(pack.reader)
    assert layout_rows(keys)["action"].to_pylist() == ["layout"] * len(others)


def test_a_ledger_that_lacks_a_row_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = write(tmp_path / "pack", [0, 0, 1])
    monkeypatch.setattr(rewrite, "layout_keys", lambda *given: layout_keys(*given)[:-1])
    assert call("convert", pack, tmp_path / "out") == 1
    assert "the ledger has 5 records where there are 6; please report this" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
