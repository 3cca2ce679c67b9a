"""facekit diff, explain and sweep: what they count is what the decisions say."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from clean_packs import (
    Cleaned,
    DrawnPack,
    clean_drawn,
)

from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.compare import EXPLAINED, diff, explain
from facekit.jobs.clean.sweep import SweepConfig, sweep
from facekit.jobs.clean.tables import read_decisions
from facekit.records import open_pack


def test_diff_and_explain(drawn_pack: DrawnPack, published: Cleaned, tmp_path: Path) -> None:
    clean_drawn(drawn_pack, tmp_path / "b", "robust")
    a, b = read_decisions(published.folder), read_decisions(tmp_path / "b")
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


def test_to_explain_one_image_takes_nothing_of_the_others(published: Cleaned) -> None:
    """Words are made of its row alone: 60 bytes for each of all rows were made of them."""
    table = read_decisions(published.folder, EXPLAINED)
    many = table.select_rows(np.arange(200_000) % len(table))
    tracemalloc.start()
    explain(many, int(table.keys[3]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(many)


def test_the_sweep_of_a_pack(drawn_pack: DrawnPack, published: Cleaned, tmp_path: Path) -> None:
    with open_pack(drawn_pack.folder) as source:
        wrong = drawn_pack.person != np.where(drawn_pack.labels < 36, drawn_pack.labels, drawn_pack.person)
        lines = [f"{key},{int(bad)}" for key, bad in zip(source.keys, wrong)]
    (tmp_path / "truth.csv").write_text("\n".join(["key,wrong", *lines]))
    found = sweep(SweepConfig(str(drawn_pack.folder), str(drawn_pack.features), truth=str(tmp_path / "truth.csv")))
    assert found.f1[4] > 0.9
    kept = published.summary
    assert found.images[4] == kept.images_out
    assert found.identities[4] == kept.identities_out
    with pytest.raises(ConfigError, match="robust"):
        sweep(SweepConfig(str(drawn_pack.folder), str(drawn_pack.features), CleanSettings(mode="robust")))
    (tmp_path / "truth.csv").write_text("key,wrong\n1,0\n")
    with pytest.raises(FacekitError, match="another pack"):
        sweep(SweepConfig(str(drawn_pack.folder), str(drawn_pack.features), truth=str(tmp_path / "truth.csv")))
