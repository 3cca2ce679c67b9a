"""What grows with the pack is columns: bytes a record of the functions that see all of them, and no object a row.

Counted exactly, by tracemalloc, for two sizes whose difference leaves out what does not grow. Whole commands are
measured by benchmarks/scale.py.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekit.clean.decisions import Action, Reason, label_homes
from facekit.clean.overrides import OverrideArrays, override, renumber
from facekit.clean.pairs import Pairs
from facekit.clean.sweep import sweep_thresholds
from facekit.jobs.clean.apply import revert_decisions
from facekit.jobs.clean.compare import diff
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.match import _occurrence_rows
from facekit.jobs.clean.report import build_report
from facekit.jobs.clean.tables import read_decisions, write_decisions
from facekit.jobs.mask.plan import copies_of
from facekit.jobs.outputs.rewrite import contiguous, grouped, too_few
from facekit.records.distinct import count_pairs, distinct
from facekit.records.key_rows import rows_of

SMALL, LARGE, EACH = 200_000, 400_000, 50
NOBODY = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def decisions(count: int) -> DecisionTable:
    """Fifty faces a label, of which every tenth is dropped and every eleventh moved."""
    rows = np.arange(count)
    old, drop, move = rows // EACH, rows % 10 == 3, rows % 11 == 5
    new = np.where(drop, -1, np.where(move, (old + 1) % (count // EACH), old))
    action = np.where(drop, Action.DROP, np.where(move, Action.MOVE, Action.KEEP)).astype(np.int8)
    reason = np.where(drop, Reason.INTRA, np.where(move, Reason.RELABEL, Reason.INLIER)).astype(np.int8)
    similarity = np.linspace(0, 1, count, dtype=np.float32)
    return DecisionTable(
        rows + 1, np.random.default_rng(count).integers(0, 256, (count, 16), np.uint8), old, new, action, reason,
        similarity, np.broadcast_to(np.float32(0.25), count), old, np.zeros(count, np.int8),
        np.broadcast_to(np.int32(0), count), (old % 7).astype(np.int32), tuple("abcdefg"),
        {"settings": {"mode": "published"}},
    )  # fmt: skip


def grown(make: Callable[[int], Callable[[], Any]]) -> tuple[float, int]:
    """Bytes a record at the peak of a call, and by how many objects a larger call leaves more behind.

    The least of three tries: threads and garbage of tests before this one come and go in the same process, once; what
    grows with the records does so every time.
    """
    tries = [grown_once(make) for _ in range(3)]
    return min(bytes_each for bytes_each, _ in tries), min(objects for _, objects in tries)


def grown_once(make: Callable[[int], Callable[[], Any]]) -> tuple[float, int]:
    peaks, objects = [], []
    for count in (SMALL, LARGE):
        call = make(count)
        call()  # what is imported or cached the first time
        gc.collect()
        before = len(gc.get_objects())
        tracemalloc.start()
        kept = call()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        gc.collect()
        objects.append(len(gc.get_objects()) - before)
        del kept
    return (peaks[1] - peaks[0]) / (LARGE - SMALL), objects[1] - objects[0]


def sweep(count: int) -> Callable[[], Any]:
    table = decisions(count)
    return lambda: sweep_thresholds(table.similarity, table.nearest)


def homes(count: int) -> Callable[[], Any]:
    table = decisions(count)
    return lambda: label_homes(table.old_label, table.reason_code, table.new_label)


def overridden(count: int) -> Callable[[], Any]:
    table, none = decisions(count), np.zeros(0, np.int64)
    given = OverrideArrays(table.keys[3:4], none, none, none, np.array([[0, 1]]), np.array([2]))
    columns = table.keys, table.old_label, table.action_code, table.reason_code, table.new_label
    return lambda: override(given, *columns)


def reverted(count: int) -> Callable[[], Any]:
    from facekit.clean.overrides import Overrides

    table = decisions(count)
    return lambda: revert_decisions(table, ("intra",), Overrides())


def compared(count: int) -> Callable[[], Any]:
    one, two = decisions(count), decisions(count)
    two.action_code[::100] = Action.KEEP
    return lambda: diff(one, two)


def reported(count: int) -> Callable[[], Any]:
    table = decisions(count)
    return lambda: build_report(table, NOBODY, 100)


def hashed(count: int) -> Callable[[], Any]:
    known = decisions(count).payload_hash.view("S16").reshape(-1)
    wanted = np.random.default_rng(0).permutation(known)
    return lambda: _occurrence_rows(known, wanted)


def selected(count: int) -> Callable[[], Any]:
    labels = decisions(count).old_label
    stay = labels % 3 > 0
    return lambda: (contiguous(labels)[0], grouped(labels), too_few(labels, stay, 3))


def looked_up(count: int) -> Callable[[], Any]:
    keys = np.arange(count)
    return lambda: (rows_of(keys, keys), distinct(keys // EACH), count_pairs(keys // EACH, keys // 7, keys >= 0)[0][:0])


def planned(count: int) -> Callable[[], Any]:
    keys = np.arange(count)
    return lambda: copies_of(keys, 0, 0.15, "add")


@pytest.mark.parametrize(
    ("make", "most"),
    [(sweep, 6), (homes, 24), (overridden, 40), (reverted, 48), (compared, 48), (reported, 40), (hashed, 48),
     (selected, 24), (looked_up, 48), (planned, 40), (lambda count: lambda: renumber(decisions_of[count]), 16)],
    ids=["sweep", "homes", "overridden", "reverted", "compared", "reported", "hashed", "selected", "looked_up",
         "planned", "renumbered"],
)  # fmt: skip
def test_bytes_a_record_stay_below_a_limit(make: Callable[[int], Callable[[], Any]], most: float) -> None:
    bytes_each, objects = grown(make)
    assert bytes_each < most
    assert objects < (LARGE - SMALL) / 1000


decisions_of = {count: decisions(count).new_label for count in (SMALL, LARGE)}


def test_decisions_are_read_and_written_without_a_copy_of_what_is_there(tmp_path: Path) -> None:
    """Sixteen bytes of hash and eight of labels are not read twice; Arrow's own memory is bounded by its blocks."""
    tables = {count: decisions(count) for count in (SMALL, LARGE)}
    written, _ = grown(lambda count: lambda: write_decisions(tmp_path / f"{count}.parquet", tables[count]))
    assert written < 4

    def read(count: int) -> Callable[[], Any]:
        table = tables[count]
        known = {"keys": table.keys, "old_label": table.old_label, "payload_hash": table.payload_hash}
        return lambda: read_decisions(tmp_path / f"{count}.parquet", known=known)

    bytes_each, objects = grown(read)
    assert bytes_each < 36
    assert objects < 200
    again, table = read(SMALL)(), tables[SMALL]
    assert again.keys is table.keys
    assert again.threshold.strides == again.round.strides == (0,)
    for name in ("new_label", "action_code", "reason_code", "similarity", "threshold", "nearest", "round"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name), err_msg=name)
    assert again.evidence.tolist() == table.evidence.tolist()
    other = read_decisions(tmp_path / f"{SMALL}.parquet", known={"keys": np.append(table.keys[:-1], 0)})
    np.testing.assert_array_equal(other.keys, table.keys)
    only = read_decisions(tmp_path / f"{SMALL}.parquet", ("new_label",))
    assert not only.keys.any()
    np.testing.assert_array_equal(only.new_label, table.new_label)
