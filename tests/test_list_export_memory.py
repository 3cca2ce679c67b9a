"""What ``lists export`` holds of each record, counted by tracemalloc, and that its rows are put where they belong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_bytes_a_record import decisions, grown_once

from facekit.clean.decisions import Action
from facekit.clean.lists import list_order
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.tables import DECISIONS, write_decisions
from facekit.jobs.inputs.clean_list import read_list
from facekit.jobs.inputs.source import Source
from facekit.jobs.lists import job
from facekit.jobs.lists.config import ExportConfig
from facekit.output import input_of
from facekit.records.distinct import blocks


def shows(payload_hash: np.ndarray) -> np.ndarray:
    """What the picture of a payload shows, by a rule: (N, 40)."""
    return np.concatenate([payload_hash, payload_hash[:, ::-1], payload_hash[:, :8] ^ 255], axis=1)


def export(folder: Path, table: DecisionTable, payloads: np.ndarray, patch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """The job over a source whose record of key k has the k-th payload; who reads pictures is stood in for."""
    (folder / "pack").mkdir(parents=True)
    write_decisions(folder / DECISIONS, table)
    config = ExportConfig(str(folder / DECISIONS), str(folder / "a.list"), str(folder / "pack"), overwrite=True)

    def opened(*_: object, **__: object) -> tuple[Source, bool]:
        keys = np.arange(len(payloads))
        columns = np.zeros(len(keys), np.int64), np.ones(len(keys), np.bool_), keys.copy()
        return Source("pack", "pack", "flat", keys, *columns), False

    def looked(source: Source, *_: object) -> np.ndarray:
        found = np.empty((len(source), 40), np.uint8)
        for part in blocks(len(source), 4096):
            found[part] = shows(payloads[source.keys[part]])
        return found

    patch.setattr(job, "open_source", opened)
    patch.setattr(job, "source_input", lambda source, place: input_of(place, lambda: ()))
    patch.setattr(job, "hash_payloads", lambda source: payloads[source.keys])
    patch.setattr(job, "share_hashing", looked)
    return lambda: job.export_list(config)


def test_export_takes_a_hundred_bytes_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which 66 are the row. Every hundredth picture is there twice, every fiftieth was not decided about."""

    def make(count: int) -> Callable[[], Any]:
        table = decisions(count)
        table.payload_hash[1::100] = table.payload_hash[::100]
        others = np.random.default_rng(1).integers(0, 256, (count // 50, 16), np.uint8)
        payloads = np.random.default_rng(2).permutation(np.concatenate([table.payload_hash, others]))
        return export(tmp_path / str(count), table, payloads, monkeypatch)

    bytes_each, objects = grown_once(make)
    assert bytes_each < 100
    assert objects < 200


@given(st.data())
def test_every_row_of_a_list_has_what_its_picture_shows(data: st.DataObject) -> None:
    from tempfile import TemporaryDirectory

    count = data.draw(st.integers(1, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    kinds = rng.integers(0, 256, (data.draw(st.integers(1, 40)), 16), np.uint8)
    table = decisions(50)
    rows = np.arange(count)
    out = rng.random(count) < 0.3
    table = replace(
        table.select_rows(rows), payload_hash=kinds[rng.integers(0, len(kinds), count)],
        action_code=np.where(out, Action.DROP, Action.KEEP).astype(np.int8),
        reason_code=rng.integers(0, 3, count).astype(np.int8), new_label=np.where(out, -1, rng.integers(0, 9, count)),
    )  # fmt: skip
    payloads = rng.permutation(np.concatenate([table.payload_hash, kinds]))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        export(Path(folder), table, payloads, patch)()
        listed = read_list(Path(folder, "a.list"))
    np.testing.assert_array_equal(listed.pictures.perceptual, shows(listed.pictures.payload_hash))
    wanted = sorted(zip(map(bytes, table.payload_hash), table.action_code, table.reason_code, strict=True))
    found = zip(map(bytes, listed.pictures.payload_hash), listed.action_code, listed.reason_code, strict=True)
    assert list(found) == wanted
    assert (listed.known_by == 1).all()
    assert (listed.said_by == 1).all()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 1), st.integers(-2, 4)), max_size=25))
def test_the_order_of_a_list_is_that_of_sorted_tuples(rows: list[tuple[int, int, int, int]]) -> None:
    def number(people: list[int]) -> list[int]:
        firsts = list(dict.fromkeys(who for who in people if who >= 0))
        return [firsts.index(who) if who >= 0 else -1 for who in people]

    by_hash = sorted(range(len(rows)), key=lambda row: rows[row][0])
    fresh = dict(zip(by_hash, number([rows[row][3] for row in by_hash]), strict=True))
    wanted = sorted(by_hash, key=lambda row: (*rows[row][:3], fresh[row]))
    hashes = np.zeros((len(rows), 16), np.uint8)
    hashes[:, 7] = [row[0] for row in rows]
    action, reason = (np.array([row[column] for row in rows], np.int8) for column in (1, 2))
    order, identity = list_order(hashes, action, reason, np.array([row[3] for row in rows], np.int64))
    assert order.tolist() == wanted
    assert identity.tolist() == number([rows[row][3] for row in wanted])
